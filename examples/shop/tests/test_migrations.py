"""The shop's chain before, between and after the migrations of clerk-user-sync."""

import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from adapters.database import engine_at
from alembic_chain import SHOP, Chain
from sqlalchemy import text


@pytest.fixture
async def empty(clerk_database: str):
    """Another database on the same server."""
    name = f"shop_{uuid4().hex[:8]}"
    engine = engine_at(clerk_database)
    admin = await (await engine.connect()).execution_options(isolation_level="AUTOCOMMIT")
    await admin.execute(text(f"create database {name}"))
    yield f"{clerk_database.rpartition('/')[0]}/{name}"
    await admin.execute(text(f"drop database {name} with (force)"))
    await admin.close()
    await engine.dispose()


@pytest.fixture
def old_chain(empty: str, tmp_path: Path) -> Chain:
    """The shop as it was before: one revision."""
    folder = tmp_path / "shop"
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("000[23]*", "tests", "__pycache__"))
    chain = Chain(empty, folder)
    chain.run("upgrade", "head")
    return chain


def generated(chain: Chain, revision: str) -> str:
    chain.run("revision", "--autogenerate", "--rev-id", revision, "-m", "generated")
    [file] = (chain.folder / "migrations" / "versions").glob(f"{revision}_*.py")
    text = file.read_text()
    if revision == "9997":  # only looked at
        file.unlink()
    return text.partition("def upgrade")[2].partition("def downgrade")[0]


def test_the_whole_chain_up_down_and_up_again(empty: str) -> None:
    chain = Chain(empty)
    for revision in ("0001", "0002", "head"):
        chain.run("upgrade", revision)
    assert chain.migrate_ours() == "The schema is at head.\n"
    assert "No new upgrade operations detected" in chain.run("check")
    chain.run("downgrade", "base")
    chain.run("upgrade", "head")


def test_autogenerate_before_between_and_after_ours_is_about_theirs_alone(old_chain: Chain) -> None:
    before = generated(old_chain, "9997")
    assert old_chain.migrate_ours() == "The schema is at head.\n"
    between = generated(old_chain, "9998")
    for upgrade in (before, between):
        assert upgrade.count("op.create_table(") == 2
        assert "drop_" not in upgrade
        assert "schema='clerk'" not in upgrade
    old_chain.run("upgrade", "head")
    after = generated(old_chain, "9999")
    assert after.strip().endswith("pass\n    # ### end Alembic commands ###")
