"""Rows of an application's table and our users: which are linked, and which are only reported."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.adoption import PostgresAdoption
from adapters.postgres.database import Database
from domain.adoption import HostTable, Verdict
from domain.user import User
from tests.adapters.postgres.accounts import TABLE, given_, insert, links, person, sync
from tests.fakes.adoption import HostRow, InMemoryAdoption
from tests.people import at
from tests.postgres_server import Sql

ADDRESSES = (
    *("ada@example.com", "ADA@example.com", "\v ada@example.com\t"),
    *("vera@example.dev", "era@example.dev", "vera@example.de"),
    "",
)


async def test_by_external_id_and_by_a_verified_primary_address(
    accounts: Sql, database: Database, store_url: str
) -> None:
    rows = [
        HostRow("1", "old@example.com"),
        HostRow("2", " Grace@Example.com"),
        HostRow("3", "x@y.z"),
    ]
    users = [person(1, "ada@example.com", external_id="1"), person(2, "grace@example.com")]
    await given_(accounts, database, rows, users)
    adoption = PostgresAdoption(store_url)
    expected = {Verdict.BY_EXTERNAL_ID: 1, Verdict.BY_ADDRESS: 1, Verdict.NO_USER: 1}
    assert await adoption.report(TABLE) == expected
    assert await links(accounts) == {}
    assert await adoption.link(TABLE) == expected
    assert await links(accounts) == {"1": "user_1", "2": "user_2"}
    assert await adoption.link(TABLE) == {Verdict.LINKED_BEFORE: 2, Verdict.NO_USER: 1}


CASES: dict[str, tuple[list[HostRow], list[User], Verdict]] = {
    "unverified at Clerk": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com", verified=False)],
        Verdict.UNVERIFIED,
    ),
    "unverified in the table": (
        [HostRow("1", "ada@example.com", verified=False)],
        [person(1, "ada@example.com")],
        Verdict.UNVERIFIED,
    ),
    "not the primary one": (
        [HostRow("1", "ada@example.com")],
        [person(1, "new@example.com", others=("ada@example.com",))],
        Verdict.UNVERIFIED,
    ),
    "of two users": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com"), person(2, "Ada@example.com", verified=False)],
        Verdict.AMBIGUOUS,
    ),
    "claimed by another user": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com"), person(2, "b@example.com", others=("ADA@example.com",))],
        Verdict.AMBIGUOUS,
    ),
    "of two rows but for case and space": (
        [HostRow("1", "ada@example.com"), HostRow("2", " ADA@EXAMPLE.COM ", verified=False)],
        [person(1, "ada@example.com")],
        Verdict.AMBIGUOUS,
    ),
    "external id of two users": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com", external_id="1"), person(2, external_id="1")],
        Verdict.AMBIGUOUS,
    ),
    "an id of two rows": (
        [HostRow("1", "ada@example.com"), HostRow("1", "grace@example.com")],
        [person(1, "ada@example.com"), person(2, "grace@example.com")],
        Verdict.AMBIGUOUS,
    ),
    "its user belongs to another row": (
        [HostRow("1", "ada@example.com"), HostRow("2", "x@example.com")],
        [person(1, "ada@example.com", external_id="2")],
        Verdict.CONFLICT,
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_may_be_somebody_elses_is_never_linked(
    accounts: Sql, database: Database, store_url: str, case: str
) -> None:
    rows, users, verdict = CASES[case]
    await given_(accounts, database, rows, users)
    adoption = PostgresAdoption(store_url)
    judged = {one.row_id: one.verdict async for one in adoption.judged(TABLE)}
    assert judged["1"] is verdict
    await adoption.link(TABLE)
    assert "1" not in await links(accounts)


async def test_white_space_around_an_address_is_left_out_and_no_letter(
    accounts: Sql, database: Database, store_url: str
) -> None:
    rows = [HostRow("1", "\v\tgrace@example.com\f\r\n "), HostRow("2", "ada@example.dev")]
    rows += [HostRow("3", "vera@example.com")]
    users = [person(1, "grace@example.com"), person(2, "ada@example.de")]
    await given_(accounts, database, rows, [*users, person(3, "era@example.com")])
    counts = await PostgresAdoption(store_url).link(TABLE)
    assert counts == {Verdict.BY_ADDRESS: 1, Verdict.NO_USER: 2, Verdict.NO_ROW: 2}
    assert await links(accounts) == {"1": "user_1"}


async def test_a_deleted_user_takes_part_in_nothing_and_keeps_their_link(
    accounts: Sql, database: Database, store_url: str
) -> None:
    ada = person(1, "ada@example.com", external_id="1")
    await given_(accounts, database, [HostRow("1", "ada@example.com")], [], ada)
    adoption = PostgresAdoption(store_url)
    assert await adoption.link(TABLE) == {Verdict.NO_USER: 1}
    tombstone = await accounts.fetchval("select id from users")
    await accounts.execute(
        "insert into adopted_users values ('public.accounts', '1', $1, 'by_address')", tombstone
    )
    assert await adoption.link(TABLE) == {Verdict.LINKED_BEFORE: 1}
    await sync(database, [person(2, "ada@example.com")])
    # Whoever comes back under another id is somebody else until a person has looked.
    assert await adoption.link(TABLE) == {Verdict.CONFLICT: 1}


async def test_without_a_word_about_verification_no_address_counts(
    accounts: Sql, database: Database, store_url: str
) -> None:
    rows = [HostRow("1", "ada@example.com", verified=False)]
    await given_(accounts, database, rows, [person(1, "ada@example.com")])
    adoption = PostgresAdoption(store_url)
    bare = HostTable(name="accounts", email="email")
    assert await adoption.report(bare) == {Verdict.UNVERIFIED: 1}
    every = HostTable(name="accounts", email="email", all_verified=True)
    assert await adoption.report(every) == {Verdict.BY_ADDRESS: 1}
    none = HostTable(name="accounts")
    assert await adoption.report(none) == {Verdict.NO_USER: 1, Verdict.NO_ROW: 1}


IDS = st.sampled_from(("1", "2", "3", "4"))
ROWS = st.lists(
    st.builds(
        HostRow,
        id=IDS,
        email=st.sampled_from((None, *ADDRESSES)),
        external_id=st.sampled_from((None, "x", "y")),
        verified=st.booleans(),
    ),
    max_size=5,
)
PEOPLE = st.lists(
    st.builds(
        person,
        st.integers(1, 4),
        st.sampled_from((None, *ADDRESSES[:-1])),
        verified=st.booleans(),
        others=st.lists(st.sampled_from(ADDRESSES[:-1]), max_size=1).map(tuple),
        external_id=st.sampled_from((None, "1", "2", "x", "y")),
    ),
    max_size=4,
    unique_by=lambda one: one.clerk_id,
)
TABLES = st.sampled_from(
    (
        TABLE,
        HostTable(name="accounts"),
        HostTable(name="accounts", email="email"),
        HostTable(name="accounts", email="email", external_id="external_id", all_verified=True),
    )
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, people=PEOPLE, rows_later=ROWS, people_later=PEOPLE, table=TABLES)
async def test_the_statement_judges_as_the_rule_written_out(
    accounts: Sql,
    database: Database,
    store_url: str,
    *,
    rows: list[HostRow],
    people: list[User],
    rows_later: list[HostRow],
    people_later: list[User],
    table: HostTable,
) -> None:
    """Twice: the second run has other rows and people, and meets the links of the first."""
    rule = await given_(accounts, database, rows, people)
    adoption = PostgresAdoption(store_url)
    await equal(adoption, rule, table)
    assert await links(accounts) == rule.links
    await accounts.execute("delete from accounts")
    await insert(accounts, rows_later)
    later = [replace(one, clerk_updated_at=at(9), observed_at=at(9)) for one in people_later]
    await sync(database, later)
    ids = {one.clerk_id for one in later}
    rule.rows = rows_later
    rule.users = [*(one for one in people if one.clerk_id not in ids), *later]
    await equal(adoption, rule, table)
    assert await links(accounts) == rule.links


async def equal(adoption: PostgresAdoption, rule: InMemoryAdoption, table: HostTable) -> None:
    """Both judge alike, and link alike."""
    judged = Counter([(one.row_id, one.verdict) async for one in adoption.judged(table)])
    assert judged == Counter([(one.row_id, one.verdict) async for one in rule.judged(table)])
    counted = await adoption.report(table)
    assert counted == await rule.report(table)
    assert await adoption.link(table) == counted
    await rule.link(table)
