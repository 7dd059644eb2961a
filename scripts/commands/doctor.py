"""`doctor`: check settings, store, Clerk and webhooks, and tell what to do."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from domain import health
from domain.drift import load_sweep
from domain.errors import IdentityProviderUnavailable, SecretKeyRefused, StorageUnavailable
from domain.finding import Finding, State
from domain.history import StoreHistory
from domain.instance import recall
from domain.subscription_health import changes, standings_now
from scripts.commands.command import AsJson
from scripts.commands.demo import settings_of_the_demo
from scripts.commands.ending import ending
from scripts.commands.screen import Screen
from service.bootstrap import operations
from service.bootstrap.settings import notes_on, read_settings, works_on
from service.dotenv import read_dotenv
from service.exit_code import ExitCode
from service.mistakes import mistakes, slips
from service.services import Operations, comparing_of, polling_of
from service.settings import Settings

TIMEOUT = 10.0
"""Seconds for Clerk's answers."""

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.BAD: "red"}


def doctor(*, as_json: AsJson = False) -> None:
    """Check settings, store, Clerk and webhooks. Exit code 1 if anything is bad."""
    screen = Screen(as_json=as_json)
    raise typer.Exit(ending(screen, lambda: _doctor(screen), if_stopped="It writes nothing."))


def _doctor(screen: Screen) -> ExitCode:
    findings = asyncio.run(_examine(screen))
    _show(screen, findings)
    is_bad = any(finding.state is State.BAD for finding in findings)
    return ExitCode.NOT_WELL if is_bad else ExitCode.OK


async def _examine(screen: Screen) -> list[Finding]:
    try:
        settings = read_settings(**settings_of_the_demo())
    except ValidationError as error:
        return [health.configuration(mistakes(error), [])]
    screen.say(f"doctor: {works_on(settings)}")
    findings = [health.configuration([], _doubts(settings, {**read_dotenv(), **os.environ}))]
    try:
        async with operations(settings) as available:
            return [*findings, *await _of_all(settings, available)]
    except StorageUnavailable as error:
        return [*findings, health.store(str(error))]


async def _of_all(settings: Settings, available: Operations) -> list[Finding]:
    key_ids = await available.signing_key_ids()
    return [
        *await _of_the_store(settings, available),
        health.signing_keys(loaded=key_ids is not None),
        *await _of_clerk(available, key_ids or frozenset()),
    ]


async def _of_the_store(settings: Settings, available: Operations) -> list[Finding]:
    try:
        schema = await available.store.schema()
        store = health.store(None, is_read_only=schema.is_read_only)
        reached = [store, health.schema(schema)]
        if not schema.is_usable:
            return reached
        await recall(available.clerk.instance, available.store.checkpoints)
        return [
            *reached,
            health.rights(schema),
            health.rows_instance(available.clerk.instance.contradiction),
            health.history(await _went_back(available.store.history)),
            *await _of_webhooks(settings, available),
        ]
    except StorageUnavailable as error:
        return [health.store(str(error))]


async def _of_webhooks(settings: Settings, available: Operations) -> list[Finding]:
    store, polling = available.store, polling_of(settings, available.store)
    comparing = comparing_of(settings, store)
    last_at, expected = await store.watch.last_delivery_at(), polling is None
    silent = await store.watch.silent_users(timedelta(seconds=settings.silence_after))
    return [
        health.last_delivery(last_at, datetime.now(UTC), expected=expected),
        health.quarantine(await store.journal.quarantined()),
        health.webhooks(silent, expected=expected),
        *([await polling.look()] if polling else []),
        *([await comparing.look()] if comparing else []),
        health.drift(await load_sweep(store.checkpoints)),
        changes(await standings_now(store.changes, store.desk)),
    ]


async def _went_back(history: StoreHistory) -> str | None:
    """Also what no process has noted yet: doctor writes nothing."""
    return (await history.look()).reason or await history.unrepaired()


async def _of_clerk(available: Operations, key_ids: frozenset[str]) -> list[Finding]:
    try:
        async with asyncio.timeout(TIMEOUT):
            clerks = await available.clerk.clock.now()
            ours = datetime.now(UTC)
            ids = await available.clerk.bulk.instance_ids()
            users = await _of_users(available)
    except SecretKeyRefused:
        return [health.clerk(None, key_refused=True)]
    except (IdentityProviderUnavailable, TimeoutError) as error:
        return [health.clerk(str(error))]
    return [
        health.clerk(None),
        health.instance(available.clerk.instance.id, ids, key_ids),
        health.clock(ours, clerks),
        *users,
    ]


async def _of_users(available: Operations) -> list[Finding]:
    """Nothing if there are users here, or if the store cannot be read: that is said elsewhere."""
    try:
        if await available.store.user_table.live_ids(after=None, limit=1):
            return []
    except StorageUnavailable:
        return []
    return [health.users(await available.clerk.bulk.count())]


def _doubts(settings: Settings, environment: Mapping[str, str | None]) -> list[str]:
    """Settings that are valid, but may be a mistake."""
    doubts = [f"{name} is not a setting" for name in slips(environment)]
    if not settings.clerk_authorized_parties:
        doubts.append("CLERK_AUTHORIZED_PARTIES is empty")
    if settings.poll_every is not None and settings.reconcile_every is None:
        doubts.append("polls do not notice deletions: set RECONCILE_EVERY beside POLL_EVERY")
    return [*doubts, *notes_on(settings)]


def _show(screen: Screen, findings: list[Finding]) -> None:
    for finding in findings:
        screen.record(
            {
                "about": finding.about,
                "state": finding.state,
                "words": finding.words,
                "advice": finding.advice,
                "see": finding.see,
            }
        )
    screen.wide_table(_table(findings))


def _table(findings: list[Finding]) -> Table:
    table = Table("", "", "found", "what to do", title="doctor", title_justify="left")
    for one in findings:
        state = f"[{_COLOURS[one.state]}]{one.state}[/]"
        table.add_row(state, one.about.replace("_", " "), escape(one.words), _what_to_do(one))
    return table


def _what_to_do(one: Finding) -> str:
    return "; ".join(part for part in (one.advice, one.see and f"see {one.see}") if part)
