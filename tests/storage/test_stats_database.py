"""What both kinds of SQL database promise, whoever asks, and what is PostgreSQL's own."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from schemas.calendars import DAY_US, UTC_DAYS
from schemas.dimensions import Dimension, encode_value
from schemas.placeholders import LastValues
from schemas.tables import last_values, meta, segments, shards
from storage.directory import Directory, NewUser
from storage.errors import StorageError, UnavailableError
from storage.stats import Database
from storage.stats.reader import Span, StatsReader
from storage.stats.segments import load_last_values, save_groups, save_last_values
from storage.stats.shard import Shard


@pytest.fixture
def database(stats_url):
    with Database(stats_url) as opened:
        yield opened


@pytest.fixture
def on_postgres(postgres):
    """A database on PostgreSQL alone, and its URL."""
    url = postgres.new_url()
    with Database(url) as opened:
        yield opened, url
    postgres.drop(url)


def facts(connection):
    return set(connection.scalars(sa.select(meta.c.name)))


def note(connection, name):
    connection.execute(sa.insert(meta).values(name=name, value=""))


def test_a_snapshot_does_not_see_what_is_committed_after_it_began(database):
    with database.reading() as connection:
        before = facts(connection)
        with database.writing() as other:
            note(other, "later")
        assert facts(connection) == before
    with database.reading() as connection:
        assert facts(connection) == before | {"later"}


def test_single_statements_see_what_is_committed_and_keep_nothing_open(database):
    with database.statements() as connection:
        before = facts(connection)
        with database.writing() as other:
            note(other, "later")
        assert facts(connection) == before | {"later"}


def test_rows_are_replaced_by_their_keys_however_often_in_one_transaction(database):
    first, second = ((1, "UTC", 5, 0, "=é", n, n + 1, n + 2, n + 3) for n in (10, 20))
    other = (1, "UTC", 5, 0, "=z", 0, 0, 0, 1)
    with database.writing() as connection:
        save_groups(connection, [first, other])
        save_groups(connection, [second])
    with database.writing() as connection:
        save_groups(connection, [other])
    with database.reading() as connection:
        rows = connection.execute(sa.select(segments).order_by(segments.c.value)).all()
    assert [tuple(row) for row in rows] == [other, second], "in the order of code points"


@pytest.mark.parametrize("others", [0, 10, 1_000], ids=["one", "few", "many"])
def test_rows_are_kept_as_they_are_given_however_many(database, others):
    texts = ("", "plain", "a\\b'c\"d{e},f\tg\n", "é\U0001f600", "NULL", "%s")
    values = [LastValues(text, -1, None, None) for text in texts]
    values += [LastValues(None, None, text, 1 << 60) for text in texts]
    replaced = [(7, "same", LastValues("old", 1, "old", 1))] + [(8, f"old-{n}", LastValues()) for n in range(others)]
    written = [(7, "same", value) for value in values]
    fill = [(8, f"new-{n}", LastValues("Go", n, None, None)) for n in range(others)]
    for row in written:
        with database.writing() as connection:
            save_last_values(connection, replaced)
            save_last_values(connection, [row, *fill])
        with database.reading() as connection:
            assert load_last_values(connection, 7, "same") == row[2]
            kept = connection.scalar(sa.select(sa.func.count()).select_from(last_values))
        assert kept == 1 + 2 * others


def test_a_shard_is_taken_once_at_a_time_even_when_it_is_new(database):
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda _: Shard.take(database, "log"), range(4)))
    assert sorted(shard.epoch for shard in taken) == [1, 2, 3, 4]


def test_shards_of_one_log_have_owners_and_watermarks_of_their_own(database):
    first, second = (Shard.take(database, "log", number, shards=2) for number in (0, 1))
    with first.writing(5) as connection:
        note(connection, "first")
    with second.writing(7) as connection:
        note(connection, "second")
    Shard.take(database, "log", 1)
    with first.writing(6):
        pass
    with database.reading() as connection:
        assert set(connection.execute(sa.select(shards.c.shard, shards.c.epoch, shards.c.offset))) == {
            (0, 1, 6),
            (1, 2, 7),
        }


def test_to_ask_for_the_watermark_is_to_wait_for_a_commit_under_way(database):
    shard = Shard.take(database, "log")
    doubtful = copy.copy(shard)
    asked, answered = threading.Event(), threading.Event()

    def ask():
        asked.set()
        doubtful.refresh()
        answered.set()

    asking = threading.Thread(target=ask)
    with shard.writing(9):
        asking.start()
        asked.wait()
        assert not answered.wait(0.2), "while it is not known which, nothing is the right answer"
    asking.join()
    assert doubtful.offset == 9


def test_users_added_at_the_same_time_have_ids_of_their_own(database):
    directory = Directory(database)
    with ThreadPoolExecutor(4) as threads:
        added = list(threads.map(lambda n: directory.add(NewUser(username=f"u{n}"))[0].user_id, range(12)))
    assert sorted(added) == list(range(1, 13))
    assert directory.version() == 12


def test_names_with_nul_have_no_user_and_no_days(database):
    directory = Directory(database)
    assert directory.by_username("a\0") is directory.by_email("a\0@b") is directory.by_slack_uid("\0") is None
    reader = StatsReader(database)
    assert reader.days_with(1, Span(0, 1 << 50), Dimension.PROJECT, ["a\0", "b"]) == []
    reader.close()


def test_days_are_found_by_more_values_than_a_statement_may_have_parameters(database):
    categories = [f"category {n}" for n in range(70_000)]  # PostgreSQL takes 65,535
    row = {"user_id": 1, "calendar": UTC_DAYS, "first_us": 0, "last_us": 0, "duration_us": 0, "count": 1}
    row |= {"dimension": Dimension.CATEGORY}
    with database.writing() as connection:
        for day, category in ((5, categories[0]), (9, categories[-1]), (7, "another")):
            connection.execute(sa.insert(segments).values(**row, day=day, value=encode_value(category)))
    reader = StatsReader(database)
    assert reader.days_with(1, Span(0, 100 * DAY_US), Dimension.CATEGORY, categories) == [5, 9]
    reader.close()


@pytest.mark.parametrize("url", ["mysql://ann:very-secret@host/db", "no url", "postgres://host/db"])
def test_an_address_of_another_kind_is_refused_without_showing_it(url):
    with pytest.raises(StorageError, match="no known kind") as refused:
        Database(url)
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_named_without_the_password():
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1.*refused") as refused:
        Database("postgresql://ann:very-secret@127.0.0.1:1/db")
    assert "secret" not in str(refused.value)


def test_errors_quote_no_parameters(database):
    with database.writing() as connection, pytest.raises(sa.exc.IntegrityError) as refused:
        connection.execute(sa.insert(meta).values(name="schema_version", value="very secret"))
    assert "secret" not in str(refused.value)


def test_who_only_reads_cannot_write_by_mistake(on_postgres):
    database, _ = on_postgres
    with pytest.raises(UnavailableError, match="read-only"), database.reading() as connection:
        note(connection, "by mistake")


def test_what_is_committed_waits_for_the_disk(on_postgres):
    database, url = on_postgres
    with database.statements() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    with Database(f"{url}?options=-csynchronous_commit%3Doff") as weakened, weakened.statements() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_connections_that_the_server_has_dropped_are_replaced_unseen(on_postgres, postgres):
    database, url = on_postgres
    with database.reading() as connection:
        before = facts(connection)
    postgres.cut_off(url)
    with pytest.raises(UnavailableError), database.reading() as connection:
        facts(connection)
    postgres.let_in(url)
    with database.reading() as connection:
        assert facts(connection) == before


def test_more_than_16_at_once_are_refused_rather_than_kept_waiting_for_ever(on_postgres):
    database, _ = on_postgres
    held = [database.statements() for _ in range(16)]
    with pytest.raises(UnavailableError, match="every connection"), database.reading():
        pass
    for connection in held:
        connection.close()
    with database.reading() as connection:
        assert facts(connection)
