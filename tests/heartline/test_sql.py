"""`heartline sql` while the aggregator goes on (design.md: a file that is gone means a new snapshot)."""

import json
import time

import pytest
from typer.testing import CliRunner

from aggregator.compact import compact
from aggregator.flush import flush_tail
from aggregator.recompute import rebuild
from heartline.cli import app
from storage import views
from tests.stored import NOON, S, Store, beat


@pytest.fixture
def store(tmp_path, stats_url):
    opened = Store.open(tmp_path, stats_url)
    opened.add_user(7)
    for number in range(3):
        opened.append(7, beat(NOON + number * S))
        flush_tail(opened.shard, opened.lake)
    rebuild(opened.shard, opened.lake)
    yield opened
    opened.database.close()


def sql(store, *arguments):
    places = ["--data", str(store.folder), "--stats-url", store.url]
    return CliRunner().invoke(app, ["sql", *places, *arguments])


@pytest.fixture
def compacted_meanwhile(store, monkeypatch):
    """The first snapshot's files are rewritten, and deleted, before the statement is run."""
    connect, connected = views.connect, []

    def connect_and_compact(database, lake):
        duck = connect(database, lake)
        if not connected:
            assert compact(store.shard, store.lake, min_files=2, now_s=time.time()) == 1
        connected.append(duck)
        return duck

    monkeypatch.setattr(views, "connect", connect_and_compact)
    return connected


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "table"])
def test_a_statement_whose_files_are_compacted_away_sees_their_successors(store, compacted_meanwhile, form):
    done = sql(store, *form, "SELECT count(*) AS n FROM heartbeats")
    assert (done.exit_code, len(compacted_meanwhile)) == (0, 2), done.exception
    if form:
        assert json.loads(done.stdout) == {"n": 3}
    else:
        assert "3" in done.stdout


def test_a_file_of_ones_own_that_is_missing_is_named(store):
    done = sql(store, "SELECT * FROM 'nowhere.parquet'")
    assert done.exit_code != 0
    assert "nowhere.parquet" in str(done.exception)
    assert "lake" not in str(done.exception)
