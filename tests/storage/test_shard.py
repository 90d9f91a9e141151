import contextlib

import psycopg
import pytest
import sqlalchemy as sa

from schemas.tables import meta, shards
from storage.errors import FencedError, StorageError
from storage.stats import Database
from storage.stats import frozen as frozen_connections
from storage.stats.shard import Shard
from tests.server import eventually


@pytest.fixture
def database(stats_url):
    with Database(stats_url) as opened:
        yield opened


def facts(database):
    with database.reading() as connection:
        return set(connection.scalars(sa.select(meta.c.name)))


def watermark(database):
    with database.reading() as connection:
        return connection.execute(sa.select(shards.c.epoch, shards.c.offset)).one()


def test_a_transaction_moves_the_watermark_with_what_it_writes(database):
    shard = Shard.take(database, "log")
    with shard.writing(7) as connection:
        connection.execute(sa.insert(meta).values(name="written", value=""))
    assert watermark(database) == (1, 7)
    assert shard.offset == 7
    assert "written" in facts(database)


def test_a_failed_transaction_moves_nothing(database):
    shard = Shard.take(database, "log")

    def fail():
        with shard.writing(7) as connection:
            connection.execute(sa.insert(meta).values(name="written", value=""))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert watermark(database) == (1, 0)
    assert shard.offset == 0
    assert "written" not in facts(database)


def test_an_owner_that_was_replaced_can_write_nothing(database):
    old = Shard.take(database, "log")
    new = Shard.take(database, "log")
    with pytest.raises(FencedError), old.writing(1) as connection:
        connection.execute(sa.insert(meta).values(name="zombie", value=""))
    with pytest.raises(FencedError):
        old.refresh()
    with new.writing(3):
        pass
    assert watermark(database) == (2, 3)
    assert "zombie" not in facts(database)


def test_an_owner_that_does_not_know_the_watermark_can_write_nothing_until_it_looks(database):
    shard = Shard.take(database, "log")
    with shard.writing(5):
        pass
    shard.offset = 4  # as after a COMMIT whose answer was lost
    with pytest.raises(FencedError), shard.writing(6):
        pass
    shard.refresh()
    with shard.writing(6):
        pass
    assert watermark(database) == (1, 6)


def test_a_database_refuses_another_log(database):
    Shard.take(database, "first")
    with pytest.raises(StorageError, match="follows log first"):
        Shard.take(database, "second")


def within_a_copy(frozen):
    frozen.pgconn.exec_(b"COPY meta FROM STDIN")
    return "ClientRead"


def between_the_messages_of_a_statement(frozen):
    """As one whose parameters fill the socket: the statement has come, its end has not."""
    frozen.pgconn.enter_pipeline_mode()
    frozen.pgconn.send_query_params(b"SELECT 1", None)
    frozen.pgconn.send_flush_request()
    frozen.pgconn.flush()
    return "ClientRead"


def before_an_answer_that_it_does_not_take(frozen):
    frozen.pgconn.send_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)")
    return "ClientWrite"


@pytest.mark.parametrize(
    "stand_still", [within_a_copy, between_the_messages_of_a_statement, before_an_answer_that_it_does_not_take]
)
def test_an_owner_that_is_frozen_within_a_statement_does_not_keep_its_shard(postgres, monkeypatch, stand_still):
    monkeypatch.setattr(frozen_connections, "_FROZEN_AFTER_S", 0)
    url = postgres.new_url()
    with Database(url) as database, contextlib.closing(psycopg.connect(url)) as frozen:
        Shard.take(database, "log")
        frozen.execute("UPDATE shards SET epoch = epoch")
        waits_for = stand_still(frozen)
        waits = f"SELECT state, wait_event FROM pg_stat_activity WHERE pid = {frozen.info.backend_pid}"
        seen = ("active", waits_for)
        with database.statements() as connection:
            assert eventually(lambda: tuple(connection.exec_driver_sql(waits).one()), seen) == seen
        assert Shard.take(database, "log").epoch == 2
        with database.statements() as connection:
            assert connection.exec_driver_sql(waits).all() == []
    postgres.drop(url)


@pytest.mark.parametrize("locks", ["SELECT 1", "UPDATE shards SET epoch = epoch"])
def test_who_reads_for_long_or_has_just_begun_is_left_alone(postgres, monkeypatch, locks):
    """Slow readers lock nothing; whoever writes has half a minute."""
    monkeypatch.setattr(frozen_connections, "_FROZEN_AFTER_S", 0 if locks == "SELECT 1" else 30)
    url = postgres.new_url()
    with Database(url) as database, contextlib.closing(psycopg.connect(url)) as slow:
        Shard.take(database, "log", 0)
        slow.execute(locks)
        before_an_answer_that_it_does_not_take(slow)
        waits = f"SELECT wait_event FROM pg_stat_activity WHERE pid = {slow.info.backend_pid}"
        with database.statements() as connection:
            assert eventually(lambda: connection.exec_driver_sql(waits).scalar(), "ClientWrite") == "ClientWrite"
        with database.writing() as connection:
            frozen_connections.end_frozen(connection)
        with database.statements() as connection:
            assert connection.exec_driver_sql(waits).scalar() == "ClientWrite"
    postgres.drop(url)
