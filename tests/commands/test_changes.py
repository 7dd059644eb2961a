"""`changes`: what an operator sees of changes and their subscriptions, and does about them."""

import pytest

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.database import Database
from adapters.postgres.subscriptions import PostgresSubscriptions
from adapters.postgres.users import PostgresUserRepository
from domain.change_log import Progress
from domain.changes import Kind
from domain.finding import command
from domain.subscriptions import AsideState, SetAside, Subscription, Wants
from domain.user import UserId
from scripts.commands.changes import SHOWN_AT_ONCE
from tests.commands.commands import Operator
from tests.people import deleted, new_id, observed, user
from tests.postgres_server import Sql

MAIL = Subscription(name="mail", begin="oldest")


class Scene:
    """Two users; the first one's first change could not be delivered."""

    def __init__(self, database: Database) -> None:
        self.users = PostgresUserRepository(database)
        self.log = PostgresChangeLog(database)
        self.store = PostgresSubscriptions(database, self.log)
        self.ada, self.bob = new_id(), new_id()

    async def prepare(self) -> None:
        await self.users.sync(observed(user(self.ada, updated=1)))
        await self.users.sync(observed(user(self.bob, updated=1)))
        await self.users.sync(observed(user(self.ada, updated=2, email="private@x.io")))
        await self.users.sync(observed(deleted(self.bob)))
        await self.store.declare(MAIL)
        await self.store.take("mail", "us", 60)
        await self.save(parked(self.ada))

    async def save(self, *aside: SetAside, given_up: bool = False) -> None:
        progress = Progress(
            position=3, read=3, aside=() if given_up else aside, given_up=aside if given_up else ()
        )
        assert await self.store.save("mail", "us", progress, 60)

    async def states(self) -> list[tuple[int, str]]:
        return [(one.position, one.state.value) for one in await self.store.set_aside("mail", 9)]


def parked(clerk_id: UserId, position: int = 1) -> SetAside:
    where = "SMTPServerDisconnected at smtplib.py:398"
    state = AsideState.PARKED
    return SetAside(position=position, clerk_id=clerk_id, state=state, attempts=8, error=where)


@pytest.fixture
async def scene(database: Database) -> Scene:
    scene = Scene(database)
    await scene.prepare()
    return scene


async def test_tail_prints_the_newest_changes_and_no_value(
    scene: Scene, operator: Operator
) -> None:
    ended = await operator.run("changes", "tail")
    assert ended.code == 0
    assert f"{scene.ada} updated email, first_name by jit" in ended.said
    assert "private@x.io" not in ended.said
    ended = await operator.run("changes", "tail", "--after", "2", "--json")
    assert [one["position"] for one in ended.records] == [3, 4]


async def test_tail_says_what_is_no_longer_kept(scene: Scene, operator: Operator, sql: Sql) -> None:
    await sql.execute("delete from user_changes where position < 3")
    ended = await operator.run("changes", "tail", "--after", "0")
    assert (ended.code, "--after 2" in ended.err) == (65, True)
    assert (await operator.run("changes", "tail")).code == 0
    assert scene.ada


async def test_list_shows_each_subscription_and_what_one_has_set_aside(
    scene: Scene, operator: Operator
) -> None:
    [one] = (await operator.run("changes", "list", "--json")).records
    assert (one["name"], one["position"], one["behind"], one["parked"], one["holder"]) == (
        "mail",
        3,
        1,
        1,
        "us",
    )
    said = (await operator.run("changes", "list", "mail")).said
    assert f"1 {scene.ada} parked, 8 failures: SMTPServerDisconnected at smtplib.py:398" in said
    assert "mail" in (await operator.run("changes", "list")).said


async def test_list_says_how_many_it_does_not_show(scene: Scene, operator: Operator) -> None:
    await scene.save(*(parked(new_id(), 2 + n) for n in range(SHOWN_AT_ONCE)))
    ended = await operator.run("changes", "list", "mail", "--json")
    assert (len(ended.records), ended.err.endswith("Not shown: 1 more\n")) == (SHOWN_AT_ONCE, True)


async def test_retry_tries_again_and_is_on_the_audit_trail(
    scene: Scene, operator: Operator, sql: Sql
) -> None:
    dry = await operator.run("changes", "retry", "mail", "--dry-run")
    assert "1 change to be tried again (dry run" in dry.said
    assert await scene.states() == [(1, "parked")]
    assert (await operator.run("changes", "retry", "mail")).code == 0
    assert await scene.states() == [(1, "waiting")]
    row = await sql.fetchrow("select action, target, result from operator_actions")
    assert row is not None
    assert tuple(row) == ("changes retry", "mail", "done")


async def test_skip_gives_up_one_change(scene: Scene, operator: Operator) -> None:
    ended = await operator.run("changes", "skip", "mail", "--position", "1", "--json")
    assert ended.records[-1]["number"] == 1
    assert await scene.states() == [(1, "skipping")]


@pytest.mark.parametrize(("to", "position"), [("oldest", 0), ("now", 4), ("2", 2)])
async def test_rewind_goes_on_from_another_place(
    scene: Scene, operator: Operator, to: str, position: int
) -> None:
    assert (await operator.run("changes", "rewind", "mail", "--to", to, "--yes")).code == 0
    assert await scene.store.take("mail", "another", 60) == position


async def test_what_starts_over_a_subscription_that_fell_behind_is_run_twice(
    scene: Scene, operator: Operator, sql: Sql
) -> None:
    await scene.store.declare(Subscription(name="post", begin="oldest"))
    await sql.execute("delete from user_changes where position < 3")
    start_over = ("changes", "rewind", "post", "--to", "oldest")
    for _ in range(2):
        assert (await operator.run(*start_over)).code == 0
        assert await scene.store.take("post", "us", 60) == 2
    assert await scene.store.save("post", "us", Progress(position=4, read=4), 60)
    ended = await operator.run(*start_over)
    assert (ended.code, "2 of the changes" in ended.err) == (64, True)
    assert await scene.store.take("post", "us", 60) == 4
    assert (await operator.run(*start_over, "--yes")).code == 0
    assert await scene.store.take("post", "us", 60) == 2


@pytest.mark.parametrize(("to", "code"), [("yesterday", 64), ("5", 65), ("-1", 64)])
async def test_rewind_refuses_a_place_that_is_none(
    scene: Scene, operator: Operator, to: str, code: int
) -> None:
    ended = await operator.run("changes", "rewind", "mail", "--to", to)
    assert (ended.code, "--to" in ended.err) == (code, True)
    assert await scene.states() == [(1, "parked")]


async def test_a_paused_subscription_is_named_with_the_way_out_and_resumed(
    scene: Scene, operator: Operator, sql: Sql
) -> None:
    assert "mail is not paused" in (await operator.run("changes", "resume", "mail")).said
    assert await scene.store.pause("mail", "us", "every attempt failed for 5 d")
    said = " ".join((await operator.run("changes", "list")).said.split())
    assert "paused" in said
    [found] = [
        one for one in (await operator.run("doctor", "--json")).records if one["about"] == "changes"
    ]
    assert (found["state"], found["words"]) == (
        "bad",
        "the subscription mail is paused: every attempt failed for 5 d",
    )
    assert command("changes resume mail") in found["advice"]
    await operator.run("changes", "resume", "mail", "--dry-run")
    assert (await scene.store.standings())[0].paused_at is not None
    ended = await operator.run("changes", "resume", "mail")
    assert (ended.code, "mail goes on after 3" in ended.said) == (0, True)
    assert (await scene.store.standings())[0].paused_at is None
    row = await sql.fetchrow("select action, target from operator_actions order by id desc limit 1")
    assert row is not None
    assert tuple(row) == ("changes resume", "mail")


async def test_remove_forgets_what_nobody_runs(scene: Scene, operator: Operator) -> None:
    ended = await operator.run("changes", "remove", "mail")
    assert (ended.code, "is run by us" in ended.err) == (75, True)
    await scene.store.release("mail", "us")
    assert (await operator.run("changes", "remove", "mail")).code == 0
    assert not await scene.store.standings()


async def test_a_subscription_that_is_not_there_is_named_with_those_that_are(
    scene: Scene, operator: Operator
) -> None:
    ended = await operator.run("changes", "retry", "post")
    assert (ended.code, "'post'. There are: mail" in ended.err) == (65, True)
    assert scene.ada


async def test_explain_tells_what_each_subscription_made_of_each_change(
    scene: Scene, operator: Operator
) -> None:
    only_deletions = Wants(kinds=frozenset({Kind.DELETED}))
    await scene.store.declare(Subscription(name="purge", begin="oldest", wants=only_deletions))
    await scene.users.sync(observed(user(scene.ada, updated=3)))
    await scene.log.number()
    records = (await operator.run("explain", scene.ada, "--json")).records
    told = [one["subscriptions"] for one in records if "change" in one]
    assert told == [
        {
            "mail": "parked after 8 tries: SMTPServerDisconnected at smtplib.py:398",
            "purge": "not wanted",
        },
        {"mail": "held back by change 1", "purge": "not wanted"},
        {"mail": "held back by change 1", "purge": "not wanted"},
    ]
    records = (await operator.run("explain", scene.bob, "--json")).records
    told = [one["subscriptions"] for one in records if "change" in one]
    assert told == [
        {"mail": "delivered", "purge": "not wanted"},
        {"mail": "not delivered yet", "purge": "not delivered yet"},
    ]
    assert "mail: parked after 8 tries" in (await operator.run("explain", scene.ada)).said


async def test_explain_calls_what_was_given_up_by_its_name(
    scene: Scene, operator: Operator
) -> None:
    await operator.run("changes", "skip", "mail")
    [aside] = await scene.store.set_aside("mail", 9)
    await scene.save(aside, given_up=True)
    said = (await operator.run("explain", scene.ada)).said
    assert "mail: given up" in said
    assert "mail: not tried yet" in said
    assert "waiting, not tried yet" in (await operator.run("changes", "list", "mail")).said


async def test_explain_does_not_call_delivered_what_a_rewind_passed_over(
    scene: Scene, operator: Operator
) -> None:
    await operator.run("changes", "rewind", "mail", "--to", "now")
    records = (await operator.run("explain", scene.bob, "--json")).records
    assert [one["subscriptions"]["mail"] for one in records if "change" in one] == [
        "delivered",
        "given up",
    ]
    assert [one["state"] for one in records if "deletion" in one] == ["not told"]


async def test_a_dry_run_counts_as_the_real_run_does(scene: Scene, operator: Operator) -> None:
    await operator.run("changes", "skip", "mail")
    [aside] = await scene.store.set_aside("mail", 9)
    await scene.save(aside, given_up=True)
    for verb in ("retry", "skip"):
        dry = await operator.run("changes", verb, "mail", "--position", "1", "--dry-run")
        assert "0 changes to be" in dry.said


async def test_doctor_names_what_is_parked(scene: Scene, operator: Operator) -> None:
    records = (await operator.run("doctor", "--json")).records
    [found] = [one for one in records if one["about"] == "changes"]
    assert found["state"] == "warn"
    assert found["words"] == "1 change could not be delivered: mail"
    assert scene.ada
