"""What arrived: the list, and one of them."""

import json
from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter, Depends, Request, Response

from domain.journal import JournalEntry
from domain.user import Source
from domain.words import span
from service.console.answers import ConsoleRoute, Refused
from service.console.charts import OUTCOMES
from service.console.pages.queries import HIGHEST, asked_for
from service.console.pages.users import LONGEST_SEARCH, is_user_id
from service.console.permission import Reading, Visit, seeing_bodies

router = APIRouter(route_class=ConsoleRoute)

LONGEST_BODY = 256 * 1024
"""Bytes of a body that one page shows."""

TYPES = ("user.created", "user.updated", "user.deleted")


@router.get("/deliveries")
async def deliveries(visit: Reading, request: Request) -> Response:
    asked = asked_for(await _with_clerks_id(visit, request.query_params))
    return visit.page(
        "deliveries.html",
        active="deliveries",
        asked=asked,
        found=await visit.room.store.journal_pages.page(asked.query, asked.before),
        outcomes=OUTCOMES,
        sources=tuple(Source),
        types=TYPES,
    )


@router.get("/deliveries/{entry_id:int}")
async def delivery(visit: Reading, entry_id: int) -> Response:
    entry = await entry_of(visit, entry_id)
    return visit.page(
        "delivery.html",
        active="deliveries",
        entry=replace(entry, body=None),
        has_body=entry.body is not None,
        took=_took(entry),
        actions=await visit.room.store.audit.about(entry.svix_id) if entry.svix_id else (),
    )


@router.get("/deliveries/{entry_id:int}/body", dependencies=[Depends(seeing_bodies)])
async def body(visit: Reading, entry_id: int) -> Response:
    entry = await entry_of(visit, entry_id)
    return visit.page(
        "body.html",
        active="deliveries",
        entry=replace(entry, body=None),
        size=len(entry.body or b""),
        cut=len(entry.body or b"") > LONGEST_BODY,
        text=None if entry.body is None else readable(entry.body[:LONGEST_BODY]),
    )


async def entry_of(visit: Visit, entry_id: int) -> JournalEntry:
    """Raises `Refused` where there is none."""
    entry = await visit.room.store.journal_pages.entry(entry_id) if entry_id <= HIGHEST else None
    if entry is None:
        words = "It may have been forgotten: entries are kept for JOURNAL_DAYS."
        raise Refused(404, "There is no such delivery", words)
    return entry


def readable(body: bytes) -> str:
    """Indented where it is JSON, else as it came; bytes that are no text become `�`."""
    text = body.decode(errors="replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


async def _with_clerks_id(visit: Visit, unverified: Mapping[str, str]) -> Mapping[str, str]:
    """A user may be named in any way that finds one; the journal knows the Clerk id only."""
    text = unverified.get("user", "").strip().replace("\0", "")[:LONGEST_SEARCH]
    if not text or is_user_id(text):
        return unverified
    found = await visit.room.store.reads.find_users(text)
    return {**unverified, "user": found[0].clerk_id} if len(found) == 1 else unverified


def _took(entry: JournalEntry) -> str | None:
    """From the event at Clerk to its arrival here."""
    if entry.occurred_at is None or entry.received_at < entry.occurred_at:
        return None
    return span(entry.received_at - entry.occurred_at)
