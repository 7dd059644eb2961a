"""How it is shown."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.run.story import Someone, Step


def story_table(steps: Iterable[Step]) -> Table:
    """What happened, what arrived, what was answered, what it did, how long it took."""
    table = Table(title="What happened", title_justify="left", expand=False)
    for heading in ("at Clerk", "arrives", "answer", "what it did", "ms", ""):
        table.add_column(heading, justify="right" if heading in ("answer", "ms") else "left")
    for step in steps:
        table.add_row(
            step.happening,
            step.arrival,
            str(step.status),
            step.effect,
            f"{step.milliseconds:.1f}",
            "[green]✓[/]" if step.right else "[red]✗ not as it should be[/]",
        )
    return table


def show_addresses(console: Console, service: str, clerk: str, secret_key: str) -> None:
    console.print(
        f"\n[bold]The service[/]  {service}   health {service}/readyz   {service}/metrics"
    )
    console.print(f"[bold]Its Clerk[/]    {clerk}   emulated; Backend API key {secret_key}\n")


def show_console(console: Console, service: str, token: str) -> None:
    """Where an operator looks, and what opens it. Never in the address: histories keep those."""
    console.print(f"[bold]The console[/]  {service}/console   sign in with the token")
    console.print(f"              {token}\n", markup=False, highlight=False, soft_wrap=True)


def show_curls(
    console: Console, service: str, clerk: str, secret_key: str, someone: Someone
) -> None:
    """Three lines to try by hand."""
    for title, command in _curls(service, clerk, secret_key, someone):
        console.print(f"[dim]# {title}[/]")
        console.print(command, soft_wrap=True, markup=False, highlight=False)


def _curls(
    service: str, clerk: str, secret_key: str, someone: Someone
) -> Iterable[tuple[str, str]]:
    key = f'-H "Authorization: Bearer {secret_key}"'
    tokens = f"{clerk}/v1/sessions/{someone.session_id}/tokens"
    only_the_jwt = r"""sed 's/.*"jwt":"\([^"]*\)".*/\1/'"""
    token = f"$(curl -s -X POST {tokens} {key} | {only_the_jwt})"
    renamed = """-H "Content-Type: application/json" -d '{"first_name": "Amazing"}'"""
    return (
        (
            "Grace, as our table knows her",
            f'curl -s {service}/v1/me -H "Authorization: Bearer {token}"',
        ),
        (
            "Rename her at Clerk, then ask again",
            f"curl -s -X PATCH {clerk}/v1/users/{someone.user_id} {key} {renamed}",
        ),
        (
            "What came and what it did",
            f"curl -s {service}/metrics | grep ^webhook_deliveries_total",
        ),
    )


def show_request(console: Console, line: Mapping[str, Any]) -> None:
    """One canonical line, for a person."""
    if line.get("event") != "request":
        console.print(dict(line))
        return
    facts = [line.get(name) for name in ("outcome", "user_id", "svix_id")]
    console.print(
        f"{line['timestamp'][11:19]}  {line['method']} {line['route']}  {line['status']}  "
        f"{line['duration_ms']} ms  " + "  ".join(str(fact) for fact in facts if fact),
        highlight=False,
        markup=False,
    )


def show_dashboard_steps(console: Console) -> None:
    """What to enter at Clerk, for those who bring their own instance."""
    console.print(
        "\n[bold]In Clerk's dashboard[/] (Configure → Webhooks → Add endpoint):\n"
        "  Endpoint URL   https://<the address the world reaches this service by>/webhooks/clerk\n"
        "  Events         user.created, user.updated, user.deleted\n"
        "  then copy its Signing Secret into CLERK_WEBHOOK_SIGNING_SECRET in .env\n"
    )
