"""How it is shown."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.run.story import Step, Story


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


def show_curls(console: Console, service: str, clerk: str, secret_key: str, story: Story) -> None:
    """Three lines to try by hand."""
    grace = story.people["Grace"]
    key = f'-H "Authorization: Bearer {secret_key}"'
    token = (
        f"$(curl -s -X POST {clerk}/v1/sessions/{grace.session_id}/tokens {key}"
        """ | sed 's/.*"jwt":"\\([^"]*\\)".*/\\1/')"""
    )
    for title, command in {
        "Grace, as our table knows her": f'curl -s {service}/v1/me -H "Authorization: Bearer {token}"',
        "Rename her at Clerk, then ask again": (
            f"curl -s -X PATCH {clerk}/v1/users/{grace.user_id} {key}"
            """ -H "Content-Type: application/json" -d '{"first_name": "Amazing"}'"""
        ),
        "What came and what it did": f"curl -s {service}/metrics | grep ^webhook_deliveries_total",
    }.items():
        console.print(f"[dim]# {title}[/]")
        console.print(command, soft_wrap=True, markup=False, highlight=False)


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
