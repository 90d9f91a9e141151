import contextlib

import psycopg
import pytest
import sqlalchemy as sa

from schemas.tables import meta, shards
from storage.errors import FencedError, StorageError
from storage.stats import Database, copying
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


def test_an_owner_that_is_frozen_within_a_copy_does_not_keep_its_shard(postgres, monkeypatch):
    monkeypatch.setattr(copying, "_FROZEN_AFTER_S", 0)
    url = postgres.new_url()
    with Database(url) as database, contextlib.closing(psycopg.connect(url)) as frozen:
        Shard.take(database, "log")
        frozen.execute("UPDATE shards SET epoch = epoch")
        copy = frozen.cursor().copy("COPY meta FROM STDIN")
        copy.__enter__()
        waits = f"SELECT wait_event FROM pg_stat_activity WHERE pid = {frozen.info.backend_pid}"
        with database.statements() as connection:
            assert eventually(lambda: connection.exec_driver_sql(waits).scalar(), "ClientRead") == "ClientRead"
        assert Shard.take(database, "log").epoch == 2
        with pytest.raises(psycopg.OperationalError, match="terminat"):
            copy.__exit__(None, None, None)
    postgres.drop(url)
