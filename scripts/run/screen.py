"""What `make run` and `make demo` print."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from domain.sync_user import FOLLOWED_EVENTS
from scripts.run.story import Person, Step
from service.routes.webhooks import PATH


def story_table(steps: Iterable[Step]) -> Table:
    """One row for each step."""
    table = Table(title="The demo, step by step", title_justify="left", expand=False)
    for heading in ("what happens", "request", "status", "result", "ms", ""):
        table.add_column(heading, justify="right" if heading in ("status", "ms") else "left")
    for step in steps:
        table.add_row(
            step.event,
            step.request,
            str(step.status),
            step.result,
            f"{step.milliseconds:.1f}",
            "[green]✓[/]" if step.passed else "[red]✗ wrong[/]",
        )
    return table


def show_addresses(
    console: Console,
    *,
    service: str,
    wanted_port: int,
    database: str,
    clerk: str,
    secret_key: str,
    console_token: str,
) -> None:
    """The addresses. The token is not in the console's address: browsers keep a history."""
    if not service.endswith(f":{wanted_port}"):
        port = service.rpartition(":")[2]
        console.print(f"\nThe service is on port {port}, because {wanted_port} is taken.")
    console.print(
        f"\n[bold]Service[/]         {service}   (health: {service}/readyz, "
        f"metrics: {service}/metrics)\n"
        f"[bold]Database[/]        psql {database}\n"
        f"[bold]Emulated Clerk[/]  {clerk}   (Backend API key: {secret_key})\n"
        f"[bold]Console[/]         {service}/console   (sign in with this token:)",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"                {console_token}\n", markup=False, highlight=False, soft_wrap=True
    )


def show_curls(console: Console, service: str, clerk: str, secret_key: str, person: Person) -> None:
    """Commands to try. `person` is Grace."""
    key = f'-H "Authorization: Bearer {secret_key}"'
    tokens = f"{clerk}/v1/sessions/{person.session_id}/tokens"
    only_the_jwt = r"""sed 's/.*"jwt":"\([^"]*\)".*/\1/'"""
    token = f"$(curl -s -X POST {tokens} {key} | {only_the_jwt})"
    name = """-H "Content-Type: application/json" -d '{"first_name": "Amazing"}'"""
    commands = (
        (
            "Read Grace's record from the local table",
            f'curl -s {service}/v1/me -H "Authorization: Bearer {token}"',
        ),
        (
            "Rename Grace at Clerk; then read her record again",
            f"curl -s -X PATCH {clerk}/v1/users/{person.user_id} {key} {name}",
        ),
        (
            "Create a test user at Clerk, which sends a signed webhook",
            f"curl -s -X POST {clerk}/emulator/sign-up",
        ),
        (
            "Count the webhooks by type and outcome",
            f"curl -s {service}/metrics | grep ^clerk_user_sync_webhook_deliveries_total",
        ),
        (
            "Operator's commands find all this by themselves, while it runs",
            f"{_python()} -m scripts.replay_webhooks doctor",
        ),
        (
            "What happened to Grace, and why",
            f"{_python()} -m scripts.replay_webhooks explain {person.user_id} --live",
        ),
    )
    for title, command in commands:
        console.print(f"[dim]# {title}[/]")
        console.print(command, soft_wrap=True, markup=False, highlight=False)


def show_request(console: Console, line: Mapping[str, Any]) -> None:
    """One line of the service's log. A request's line is shortened."""
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
    """What to enter in Clerk's dashboard, for a real Clerk instance."""
    console.print(
        "\n[bold]In Clerk's dashboard[/] (Configure → Webhooks → Add endpoint):\n"
        f"  Endpoint URL   https://<the public address of this service>{PATH}\n"
        f"  Events         {', '.join(FOLLOWED_EVENTS)}\n"
        "  Then copy its Signing Secret into CLERK_WEBHOOK_SIGNING_SECRET in .env.\n"
    )


def _python() -> str:
    """This interpreter, as it is typed in the folder where this was started."""
    here, program = Path.cwd(), Path(sys.executable)
    return str(program.relative_to(here) if program.is_relative_to(here) else program)
