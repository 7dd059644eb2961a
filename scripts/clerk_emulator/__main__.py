"""`python -m scripts.clerk_emulator`: a Clerk instance on this machine, until Ctrl-C.

It prints the settings that make a service use it as its Clerk instance.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from scripts.clerk_emulator.config import EmulatorConfig
from scripts.clerk_emulator.emulator import ClerkEmulator
from scripts.clerk_emulator.server import listen, serving
from scripts.clerk_emulator.state import State, StateFile, load_state
from service.signals import at_signal


def main(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8401,
    public_url: Annotated[str | None, typer.Option(help="Default: host and port.")] = None,
    webhook_url: Annotated[
        list[str] | None, typer.Option(help="A receiver of webhooks. May be repeated.")
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option(
            envvar="CLERK_WEBHOOK_SIGNING_SECRET",
            help="whsec_…, or several with commas. Default: from the state file, or random.",
        ),
    ] = None,
    secret_key: Annotated[
        str | None,
        typer.Option(
            envvar="CLERK_SECRET_KEY", help="sk_test_…. Default: from the state file, or random."
        ),
    ] = None,
    instance_id: Annotated[
        str | None,
        typer.Option(
            envvar="CLERK_INSTANCE_ID", help="ins_…. Default: from the state file, or random."
        ),
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(envvar="CLERK_ISSUER", help="Default: the address for clients.")
    ] = None,
    azp: Annotated[
        str, typer.Option(help="The azp claim of session tokens.")
    ] = "http://localhost:3000",
    state: Annotated[
        Path | None, typer.Option(help="A file that keeps users, keys and secrets across runs.")
    ] = None,
    rate_limit: Annotated[
        int, typer.Option(min=0, help="API calls per 10 s, as at Clerk. 0 for no limit.")
    ] = 100,
    time_scale: Annotated[
        float, typer.Option(min=0.0, help="A factor for the waits between webhook attempts.")
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the settings as one line of JSON.")
    ] = False,
) -> None:
    """A Clerk instance on this machine, until Ctrl-C."""
    given = {
        "instance_id": instance_id,
        "secret_key": secret_key,
        "webhook_secrets": webhook_secret and tuple(webhook_secret.split(",")),
    }
    try:
        saved = load_state(state) if state else None
        config = EmulatorConfig(
            host=host,
            port=port,
            public_url=public_url,
            issuer=issuer,
            authorized_party=azp,
            webhook_urls=tuple(webhook_url or ()),
            rate_limit=rate_limit or None,
            time_scale=time_scale,
            **_kept(saved) | {name: value for name, value in given.items() if value},
        )
        asyncio.run(_serve(config, saved, state, as_json=as_json))
    except (OSError, ValueError) as error:
        print(f"The emulator cannot start: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _kept(saved: State | None) -> dict[str, Any]:
    """Settings from the state file. The command line and the environment override them."""
    if saved is None:
        return {}
    return {
        "instance_id": saved.instance_id,
        "secret_key": saved.secret_key,
        "webhook_secrets": saved.webhook_secrets,
    }


async def _serve(
    config: EmulatorConfig, saved: State | None, path: Path | None, *, as_json: bool
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        at_signal(number, stop.set)
    listener, config = listen(config)
    emulator = ClerkEmulator(config, signing_key=saved.signing_key if saved else None)
    emulator.users.add_many(list(saved.users) if saved else [])
    state_file = StateFile(path, emulator) if path else None
    async with serving(emulator, listener):
        if state_file:
            await state_file.start()
        _print_settings(config, as_json=as_json)
        await stop.wait()
    if state_file:
        try:
            await state_file.stop()
        except OSError as error:
            print(f"The state is not saved: {error}", file=sys.stderr)
            raise typer.Exit(1) from None


def _print_settings(config: EmulatorConfig, *, as_json: bool) -> None:
    settings = config.environment()
    if as_json:
        print(orjson.dumps(settings).decode(), flush=True)
    else:
        print("\n".join(f"{name}={value}" for name, value in settings.items()), flush=True)


if __name__ == "__main__":
    typer.run(main)
