"""`adopt` as an operator runs it: a report first, links with --apply, and nothing twice."""

from collections.abc import AsyncIterator

import pytest

from domain.adoption import Verdict
from scripts.clerk_emulator import ClerkEmulator
from tests.commands.commands import Operator
from tests.postgres_server import Sql

LINKED = ("by_external_id", "by_address", "linked_before")


@pytest.fixture
async def accounts(sql: Sql, clerk: ClerkEmulator, operator: Operator) -> AsyncIterator[Operator]:
    """Ada by external id, Grace by address; Hedy is not verified, Mary is nobody at Clerk."""
    await sql.execute("drop table if exists accounts")
    await sql.execute("create table accounts (id int primary key, email text, confirmed boolean)")
    await sql.execute(
        "insert into accounts values (1, 'old@example.com', true), "
        "(2, 'Grace@example.com', true), (3, 'hedy@example.com', false), (4, null, true)"
    )
    clerk.create_user(email_address=["ada@example.com"], external_id="1")
    for name in ("grace", "hedy", "joan"):
        clerk.create_user(email_address=[f"{name}@example.com"])
    here = operator.told({"CLERK_INSTANCE_ID": clerk.config.instance_id})
    assert (await here.run("backfill")).code == 0
    yield here
    await sql.execute("drop table accounts")


ADOPT = ("adopt", "accounts", "--email", "email", "--verified", "confirmed")


async def test_a_report_writes_nothing_and_says_what_would_be_linked(
    accounts: Operator, sql: Sql
) -> None:
    ended = await accounts.run(*ADOPT)
    assert ended.code == 0
    for words in (
        "adopt, without --apply: nothing was written",
        "to be linked by external id 1",
        "to be linked by verified address 1",
        "address not verified on both sides 1",
        "row without a user 1",
        "user without a row 1",
    ):
        assert words in ended.said
    assert await sql.fetchval("select count(*) from adopted_users") == 0
    assert await sql.fetchval("select count(*) from operator_actions where action = 'adopt'") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--email", "email"), "say --verified or --all-verified"),
        (("--email", "email", "--verified", "confirmed"), ""),
        (("--external-id", "email"), "run backfill first"),
    ],
)
async def test_a_report_says_what_is_missing(
    accounts: Operator, sql: Sql, arguments: tuple[str, ...], words: str
) -> None:
    if words.startswith("run"):
        await sql.execute("delete from users")
    ended = await accounts.run("adopt", "accounts", *arguments)
    assert (ended.code, words in ended.err, bool(ended.err)) == (0, True, bool(words))


async def test_applied_twice_it_links_once_and_is_on_the_trail(
    accounts: Operator, sql: Sql
) -> None:
    for expected in ((1, 1, 0), (0, 0, 2)):
        ended = await accounts.run(*ADOPT, "--apply", "--json")
        (record,) = ended.records
        assert (ended.code, record["dry_run"]) == (0, False)
        assert tuple(record[name] for name in LINKED) == expected
        assert set(record) == {"command", "dry_run", *Verdict}
    trail = await sql.fetch("select target, result from operator_actions where action = 'adopt'")
    assert [row["target"] for row in trail] == ["accounts", "accounts"]
    joined = await sql.fetch(
        "select accounts.id, users_live.email from accounts "
        "join adopted_users on table_name = 'public.accounts' and row_id = accounts.id::text "
        "join users_live on users_live.id = adopted_users.user_id order by 1"
    )
    assert [tuple(row) for row in joined] == [(1, "ada@example.com"), (2, "grace@example.com")]


async def test_every_row_can_be_shown(accounts: Operator) -> None:
    ended = await accounts.run(*ADOPT, "--show-rows", "--json")
    verdicts = {one["row_id"]: one["verdict"] for one in ended.records if "verdict" in one}
    assert verdicts == {
        "1": "by_external_id",
        "2": "by_address",
        "3": "unverified",
        "4": "no_user",
        None: "no_row",
    }


async def test_an_id_commands_no_terminal(accounts: Operator, sql: Sql) -> None:
    await sql.execute("alter table accounts alter id type text")
    await sql.execute("insert into accounts values (E'x\\x1b[2J', null, true)")
    ended = await accounts.run(*ADOPT, "--show-rows")
    assert (ended.code, "\x1b" in ended.out, r"x\x1b[2J" in ended.out) == (0, False, True)


async def test_contradictions_are_65_and_the_rest_is_linked(accounts: Operator, sql: Sql) -> None:
    await sql.execute("insert into accounts values (5, ' hedy@example.com', true)")
    ended = await accounts.run(*ADOPT, "--apply", "--json")
    (record,) = ended.records
    assert (ended.code, record["ambiguous"], record["by_address"]) == (65, 2, 1)


async def test_many_links_want_an_answer(accounts: Operator, sql: Sql) -> None:
    await sql.execute(
        "insert into users (clerk_id, external_id, clerk_updated_at, observed_at, digest, "
        "synced_by, email_verified, banned, public_metadata, email_addresses) "
        "select 'user_' || n, n, now(), now(), 'x', 'backfill', false, false, '{}', '[]' "
        "from generate_series(1000, 2200) as n"
    )
    await sql.execute("insert into accounts select n from generate_series(1000, 2200) as n")
    refused = await accounts.run("adopt", "accounts", "--apply")
    assert "1202 rows would be linked: add --yes to agree, or leave out --apply" in refused.said
    assert refused.code == 64
    assert await sql.fetchval("select count(*) from adopted_users") == 0
    agreed = await accounts.run("adopt", "accounts", "--apply", "--yes", "--json")
    assert (agreed.code, agreed.records[0]["by_external_id"]) == (0, 1202)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("adopt", "nowhere"), "Cannot adopt: there is no table or view nowhere."),
        (("adopt", "accounts", "--id", "n"), "public.accounts has no column n"),
        (("adopt", "accounts", "--id", "email", "--email", "email"), "must not be the address"),
        (("adopt", "accounts", "--all-verified"), "about the addresses of --email"),
        ((*ADOPT, "--all-verified"), "give --verified or --all-verified"),
    ],
)
async def test_what_cannot_be_done_is_said_and_is_64(
    accounts: Operator, arguments: tuple[str, ...], words: str
) -> None:
    ended = await accounts.run(*arguments)
    assert (ended.code, words in ended.said) == (64, True), ended.said
