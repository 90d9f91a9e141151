"""Each kind of damage, on a healthy database: it is named, and repaired or told how people can repair it."""

import shutil
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from aggregator import rebuilding
from aggregator.service import Aggregator, AggregatorConfig
from aggregator.verify import findings
from heartline.owner import RefusedError
from schemas.record import (
    Rebuild,
    SetZone,
    command_record,
    compress,
    heartbeat_records,
    pack_lines,
    unpack_command,
)
from schemas.tables import RUNNING, command_results, metadata
from storage.directory import Directory, NewUser
from storage.errors import UnavailableError
from storage.history import History
from storage.lake.folder import FolderLake
from storage.log.sqlite import SqliteLogReader, append_now
from storage.stats import Database
from storage.stats.shard import Shard
from tests.server import eventually
from tests.stored import DAY, NOON, S, beat

ANN, BOB = 1, 2
ANNS_DAY = "2023-11-15"
FIRST_BEATS = [beat(NOON + i * 40 * S, project="ab"[i % 2], language="Go", branch="main") for i in range(9)]
LATE_EVENING = beat(NOON + 7 * 3600 * S, project="a")  # 19:00 UTC: the next day in Kolkata
LATER_BEATS = [beat(NOON + DAY + i * 50 * S, project="a") for i in range(5)]
IN_TAIL = [beat(NOON + 20 * S, project="b"), beat(NOON + 2 * DAY, project="b"), beat(NOON + 2 * DAY + S, project="b")]


class Place:
    """A data folder that a real aggregator works on, and ways to damage it behind its back."""

    def __init__(self, folder):
        self.folder = folder
        self.database = Database(f"sqlite:///{folder}/stats.db")
        self.lake = FolderLake(folder / "lake")
        self.log_path = folder / "log.db"

    def close(self):
        self.database.close()

    def work(self, *records):
        """Append records and let an aggregator count them, from nothing in memory; return the last one's offset."""
        offset = append_now(self.log_path, list(records))
        with self.aggregator() as aggregator:
            aggregator.run_until(offset)
        return offset

    def flush(self):
        with self.aggregator() as aggregator:
            aggregator.flush_now()

    @contextmanager
    def aggregator(self):
        config = AggregatorConfig(flush_interval_s=1e12)
        with (
            closing(SqliteLogReader(self.log_path)) as log,
            closing(Aggregator(self.database, log, self.lake, config)) as aggregator,
        ):
            yield aggregator

    def rebuild(self, *args, **options):
        self.command(Rebuild(*args, **options))

    def command(self, command):
        """Send a command; raises RefusedError with the reason where it is refused."""
        offset = self.work(command_record(command))
        with self.database.reading() as connection:
            error = connection.scalar(sa.select(command_results.c.error).where(command_results.c.offset == offset))
        if error is not None:
            raise RefusedError(error)

    def found(self, user_id=None):
        return [str(finding) for finding in findings(self.database, self.lake, user_id)]

    def run(self, statement, *parameters):
        """Change rows as an accident would: past every rule of the program."""
        with closing(sqlite3.connect(self.folder / "stats.db")) as connection, connection:
            assert connection.execute(statement, parameters).rowcount > 0

    def all(self, statement):
        with closing(sqlite3.connect(self.folder / "stats.db")) as connection:
            return connection.execute(statement).fetchall()

    def file_of(self, date=NOON // DAY):
        """The path of a day's first file."""
        (path,) = self.all(f"SELECT path FROM lake_files WHERE state = 'live' AND date = {date} ORDER BY first_offset")[
            0
        ]
        return self.folder / "lake" / path

    def edit_file(self, change):
        """Write a file's table anew, changed; and the number of its rows into its entry."""
        path = self.file_of()
        table = change(pq.read_table(path, partitioning=None))
        pq.write_table(table, path)
        self.run("UPDATE lake_files SET rows = ? WHERE path LIKE ?", table.num_rows, f"%{path.name}")

    def beats(self, user_id):
        return [(h.time_us, h.id) for h in History(self.database, self.lake).read(user_id, 0, 1 << 61)]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """Two users; two days in Parquet, some heartbeats in the tail."""
    place = Place(tmp_path_factory.mktemp("healthy"))
    directory = Directory(place.database)
    directory.add(NewUser(username="ann", timezone="Asia/Kolkata"))
    directory.add(NewUser(username="bob"))
    place.work(*heartbeat_records(ANN, [*FIRST_BEATS, LATE_EVENING]), *heartbeat_records(BOB, LATER_BEATS))
    place.flush()
    place.work(*heartbeat_records(ANN, IN_TAIL))
    place.close()
    return place.folder


@pytest.fixture
def place(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "data", ignore=shutil.ignore_patterns("*-doorbell"))
    opened = Place(tmp_path / "data")
    yield opened
    opened.close()


def doubled(table):
    return pa.concat_tables([table, table.slice(0, 1)])


def with_a_row_of_the_next_day(table):
    moved = table.slice(table.num_rows - 1)
    at = table.schema.get_field_index("time")
    times = pc.add(moved["time"].cast(pa.int64()), pa.scalar(DAY)).cast(moved.schema.field("time").type)
    return pa.concat_tables([table.slice(0, table.num_rows - 1), moved.set_column(at, moved.schema.field(at), times)])


def renamed(table):
    at = table.schema.get_field_index("project")
    return table.set_column(at, table.schema.field(at), pa.array(["z"] * table.num_rows))


def in_a_second_file(place):
    path = place.file_of()
    copy = path.with_name("copy.parquet")
    shutil.copy(path, copy)
    place.run(
        "INSERT INTO lake_files SELECT replace(path, ?, 'copy.parquet'), state, epoch, date, log, shard, first_offset,"
        " last_offset, rows, min_user, max_user, min_us, max_us FROM lake_files WHERE path LIKE ?",
        path.name,
        f"%{path.name}",
    )


def in_the_tail_too(place):
    value = pack_lines([FIRST_BEATS[0]])
    place.run("INSERT INTO tail SELECT log, 0, 1, ?, ?, ?, 1, ? FROM shards", ANN, NOON, NOON, value)


def twice_in_the_tail(place):
    place.run("INSERT INTO tail SELECT log, shard, 2, user_id, min_us, max_us, count, value FROM tail")


def with_a_later_time(table):
    """One microsecond: no sum of whole seconds shows it."""
    at = table.schema.get_field_index("time")
    times = pc.add(table["time"].cast(pa.int64()), pa.scalar(1)).cast(table.schema.field("time").type)
    return table.set_column(at, table.schema.field(at), times)


def with_an_extra_column(table):
    return table.append_column("surprise", pa.array([1] * table.num_rows))


REPAIRED = {
    "a changed segment": (
        lambda p: p.run("UPDATE segments SET duration_us = 5 WHERE user_id = 1 AND dimension = 1 AND calendar = 'UTC'"),
        f"segments, user 1, UTC {ANNS_DAY}: project '=a': stored (",
    ),
    "a missing segment": (
        lambda p: p.run("DELETE FROM segments WHERE user_id = 2 AND calendar = 'UTC' AND dimension = 3"),
        "segments, user 2, UTC 2023-11-16: editor '': not there, computed (",
    ),
    "a missing month": (
        lambda p: p.run("DELETE FROM segments WHERE user_id = 2 AND calendar = 'UTC/month'"),
        "segments, user 2, UTC/month 2023-11-01: total '': not there, computed (",
    ),
    "a wrong lifetime": (
        lambda p: p.run("UPDATE segments SET first_us = 1 WHERE user_id = 1 AND calendar = 'lifetime'"),
        "segments, user 1, lifetime 1970-01-01: total '': stored (1, ",
    ),
    "segments of a user without heartbeats": (
        lambda p: p.run("INSERT INTO segments VALUES (77, 'UTC', 19676, 0, '', 1, 1, 0, 1)"),
        "segments, user 77, UTC 2023-11-15: total '': stored (1, 1, 0, 1), must not be there",
    ),
    "a dimension that there is not": (
        lambda p: p.run("INSERT INTO segments VALUES (1, 'UTC', 4000000, 77, '', 1, 1, 0, 1)"),
        "segments, user 1, UTC day 4000000: dimension 77 '': stored (1, 1, 0, 1), must not be there",
    ),
    "a stale local day": (
        lambda p: p.run("UPDATE segments SET calendar = 'Europe/Paris' WHERE calendar = 'Asia/Kolkata'"),
        f"segments, user 1, Europe/Paris {ANNS_DAY}: total '': stored (",
    ),
    "a heartbeat in the wrong local day": (
        lambda p: p.run("UPDATE segments SET day = 19670 WHERE calendar = 'Asia/Kolkata' AND day = 19677"),
        "segments, user 1, Asia/Kolkata 2023-11-16: total '': not there, computed (",
    ),
    "a zone changed past the log": (
        lambda p: p.run("UPDATE users SET timezone = 'America/Los_Angeles' WHERE user_id = 1"),
        f"segments, user 1, Asia/Kolkata {ANNS_DAY}: total '': stored (",
    ),
    "a changed last value": (
        lambda p: p.run("UPDATE last_values SET language = 'Rust' WHERE project = 'a'"),
        "last_values, user 1: project 'a': stored ('Rust', ",
    ),
    "a missing last value": (
        lambda p: p.run("DELETE FROM last_values WHERE project = 'b'"),
        "last_values, user 1: project 'b': not there, computed ('Go', ",
    ),
    "a doubled Parquet row": (
        lambda p: p.edit_file(doubled),
        f"heartbeats, user 1, UTC {ANNS_DAY}: the heartbeat {FIRST_BEATS[0].id} is there 2 times",
    ),
    "a file that counts twice": (
        in_a_second_file,
        f"heartbeats, user 1, UTC {ANNS_DAY}: the heartbeat {FIRST_BEATS[0].id} is there 2 times, and 9 others",
    ),
    "a heartbeat in tail and lake": (
        in_the_tail_too,
        f"heartbeats, user 1, UTC {ANNS_DAY}: the heartbeat {FIRST_BEATS[0].id} is there 2 times;",
    ),
    "an extra column": (
        lambda p: p.edit_file(with_an_extra_column),
        "has other columns than every file: surprise (not in the schema)",
    ),
    "a row outside its date": (
        lambda p: p.edit_file(with_a_row_of_the_next_day),
        "holds rows of 2023-11-15 to 2023-11-16",
    ),
    "a file under a wrong date": (
        lambda p: p.run("UPDATE lake_files SET date = date + 3 WHERE min_user = 1"),
        "holds rows of 2023-11-15 to 2023-11-15",
    ),
    "a changed row": (
        lambda p: p.edit_file(renamed),
        f"segments, user 1, UTC {ANNS_DAY}: project '=z': not there, computed (",
    ),
    "a time that is a microsecond off": (
        lambda p: p.edit_file(with_a_later_time),
        f"segments, user 1, UTC {ANNS_DAY}: total '': stored (",
    ),
    "a record that is twice in the tail": (
        twice_in_the_tail,
        f"heartbeats, user 1, UTC {ANNS_DAY}: the heartbeat {IN_TAIL[0].id} is there 2 times",
    ),
    "a lost record of the tail": (
        lambda p: p.run("DELETE FROM tail"),
        "segments, user 1, UTC 2023-11-17: total '': stored (",
    ),
    "a gap that follows another project": (
        lambda p: p.run("UPDATE segments SET duration_us = duration_us + 1 WHERE dimension = 9 AND value = '=a'"),
        f"segments, user 1, Asia/Kolkata {ANNS_DAY}: followed '=a': stored (",
    ),
    "a total without browsing that is not there": (
        lambda p: p.run("DELETE FROM segments WHERE dimension = 8 AND calendar = 'Asia/Kolkata'"),
        f"segments, user 1, Asia/Kolkata {ANNS_DAY}: active '': not there, computed (",
    ),
    "a lost row": (
        lambda p: p.edit_file(lambda table: table.slice(1)),
        f"segments, user 1, UTC {ANNS_DAY}: total '': stored (",
    ),
    "a false number of rows": (
        lambda p: p.run("UPDATE lake_files SET rows = 11 WHERE min_user = 1"),
        "holds 10 rows where its entry says 11",
    ),
    "false bounds of users": (
        lambda p: p.run("UPDATE lake_files SET min_user = 2, max_user = 2 WHERE min_user = 1"),
        "holds users 1 to 1 where its entry says 2 to 2",
    ),
    "false bounds of time": (
        lambda p: p.run("UPDATE lake_files SET max_us = min_us WHERE min_user = 1"),
        f"where its entry says {NOON} to {NOON}",
    ),
    "a false count in the tail": (
        lambda p: p.run("UPDATE tail SET count = 7"),
        "tail, user 1, UTC 2023-11-15: the record at offset 3 says (min_us, max_us, count)",
    ),
    "false bounds in the tail": (
        lambda p: p.run("UPDATE tail SET max_us = min_us"),
        "tail, user 1, UTC 2023-11-15: the record at offset 3 says (min_us, max_us, count)",
    ),
    "a tail record that cannot be read": (
        lambda p: p.run("UPDATE tail SET value = x'00112233'"),
        "tail, user 1: the record at offset 3 cannot be read; `heartline rebuild` repairs it: a dead letter keeps it",
    ),
    "heartbeats of a removed user": (
        lambda p: p.run("INSERT INTO tombstones (user_id, removed_at_us) VALUES (1, 1)"),
        "users, user 1: the user is removed, and still here; `heartline rebuild` repairs it",
    ),
}

NEEDS_PEOPLE = {
    "a watermark that is gone": (
        lambda p: p.run("DELETE FROM shards"),
        "is at offset 0, but tail holds offset 3; put back a backup of the whole data folder",
    ),
    "an answer to a command that was never counted": (
        lambda p: p.run("INSERT INTO command_results SELECT log, 0, 99, NULL, '{}' FROM shards"),
        "but command_results holds offset 99; put back a backup of the whole data folder",
    ),
    "a file that no entry names": (
        lambda p: shutil.copy(p.file_of(), p.file_of().with_name("orphan.parquet")),
        f"lake_files: no entry names heartbeats/date={ANNS_DAY}/orphan.parquet, which plain globs read; move it out",
    ),
    "an alarm about what is counted": (
        lambda p: p.run("INSERT INTO alarms SELECT log, shard, 'gone', 1, offset, 0 FROM shards"),
        "has an alarm up to offset 3, and is at 3; put back a backup",
    ),
    "an alarm of no shard": (
        lambda p: p.run("INSERT INTO alarms SELECT log, 7, 'newer', 1, NULL, 0 FROM shards"),
        "alarms: shard 7 of log ",
    ),
    "a closed log that is not flushed": (
        lambda p: p.run("INSERT INTO logs SELECT log, 1, 2 FROM shards"),
        "is closed, and the tail holds 1 of its records; put back a backup",
    ),
    "a watermark behind what is counted": (
        lambda p: p.run("UPDATE shards SET offset = 1"),
        "but tail holds offset 3; put back a backup of the whole data folder",
    ),
    "a zone that does not exist": (
        lambda p: p.run("UPDATE users SET timezone = 'Mars/Olympus' WHERE user_id = 2"),
        "users, user 2: the time zone 'Mars/Olympus' is not in tzdata; `heartline users set bob --timezone ZONE`",
    ),
    "a key of nobody": (
        lambda p: p.run("UPDATE api_keys SET user_id = 55 WHERE user_id = 2"),
        "belongs to nobody; `heartline users import` with this user_id",
    ),
    "heartbeats of nobody": (
        lambda p: p.run("DELETE FROM users WHERE user_id = 2"),
        "users, user 2: there are heartbeats of a user who is not; `heartline users import` with this user_id",
    ),
    "a dead letter that is counted": (
        lambda p: p.run("INSERT INTO dead_letters SELECT log, shard, offset, user_id, 'reason', 0, value, 1 FROM tail"),
        "dead_letters, user 1: the record at offset 3 is set aside, and counted in the tail too",
    ),
    "a directory without a version": (
        lambda p: p.run("UPDATE meta SET value = 'x' WHERE name = 'directory_version'"),
        "meta: directory_version is no number",
    ),
    "a file in a state that there is not": (
        lambda p: p.run("UPDATE lake_files SET state = 'lost' WHERE min_user = 1"),
        "is in state 'lost', which there is not",
    ),
}


def named(lines, expected):
    return [line for line in lines if expected in line]


def test_a_healthy_database_has_no_findings(place):
    assert place.found() == []
    assert place.found(ANN) == []


@pytest.mark.parametrize("kind", REPAIRED)
def test_this_damage_is_named_and_repaired(place, kind):
    damage, expected = REPAIRED[kind]
    damage(place)
    lines = place.found()
    assert named(lines, expected), lines
    assert all("`heartline rebuild` repairs it" in line or "not compared" in line for line in lines), lines
    place.rebuild()
    assert place.found() == []


@pytest.mark.parametrize("kind", NEEDS_PEOPLE)
def test_this_damage_is_named_with_what_people_can_do(place, kind):
    damage, expected = NEEDS_PEOPLE[kind]
    damage(place)
    assert named(place.found(), expected), place.found()


def test_every_table_has_a_kind_of_damage_that_is_found():
    by_table = {
        "meta": "a directory without a version",
        "users": "a zone that does not exist",
        "api_keys": "a key of nobody",
        "tombstones": "heartbeats of a removed user",
        "shards": "a watermark behind what is counted",
        "logs": "a closed log that is not flushed",
        "alarms": "an alarm about what is counted",
        "segments": "a changed segment",
        "last_values": "a changed last value",
        "tail": "false bounds in the tail",
        "lake_files": "a false number of rows",
        "dead_letters": "a dead letter that is counted",
        "command_results": "an answer to a command that was never counted",
    }
    assert by_table.keys() == metadata.tables.keys()
    assert set(by_table.values()) <= REPAIRED.keys() | NEEDS_PEOPLE.keys()


def test_findings_of_a_zone_that_does_not_exist_do_not_stop_counting(place):
    place.run("UPDATE users SET timezone = 'Mars/Olympus' WHERE user_id = 1")
    place.work(*heartbeat_records(ANN, [beat(NOON + 5 * DAY)]))
    place.rebuild()
    assert len(place.found()) == 1


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def one_bit_flipped(path):
    """In the middle of a page of data, where only its checksum tells."""
    column = pq.ParquetFile(path).metadata.row_group(0).column(2)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: path.unlink(), "is missing; put it back from a backup, or give up"),
        (truncated, "cannot be read (Parquet"),
        (one_bit_flipped, "cannot be read (could not verify page integrity, CRC checksum verification failed"),
        (lambda path: pq.write_table(pq.read_table(path).drop(["branch"]), path), "it has no column branch"),
    ],
)
def test_a_file_that_is_gone_or_damaged_is_named_and_its_loss_must_be_accepted(place, tmp_path, damage, expected):
    path = place.file_of()
    shutil.copy(path, tmp_path / "backup")
    before = place.beats(ANN)
    damage(path)
    assert named(place.found(), f"lake_files, {ANNS_DAY}: heartbeats/date={ANNS_DAY}/{path.name} ")
    assert named(place.found(), expected), place.found()
    with pytest.raises(RefusedError, match="Nothing is rebuilt"):
        place.rebuild()
    place.work(*heartbeat_records(BOB, [beat(NOON + 9 * DAY)]))  # what cannot be rebuilt stops no counting
    assert place.beats(BOB)[-1][0] == NOON + 9 * DAY
    shutil.copy(tmp_path / "backup", path)
    assert place.found() == []
    damage(path)
    place.rebuild(accept_loss=True)
    assert place.found() == []
    assert place.beats(ANN) == [b for b in before if b[1] in {h.id for h in IN_TAIL}]


def test_other_users_are_compared_although_a_file_is_gone(place):
    place.file_of().unlink()
    place.run("UPDATE segments SET count = 99 WHERE calendar = 'lifetime'")
    lines = place.found()
    assert named(lines, "segments, user 2, lifetime 1970-01-01: total '': stored (")
    assert named(lines, "segments: users 1 to 1 are not compared")
    assert not named(lines, "segments, user 1")


def test_a_removal_under_way_is_no_damage(place):
    place.run("DELETE FROM users WHERE user_id = 1")
    place.run("INSERT INTO tombstones (user_id, removed_at_us) VALUES (1, ?)", time.time_ns() // 1000)
    assert not named(place.found(), "of a removed user")


def test_heartbeats_that_were_doubled_or_moved_are_there_once_after_a_rebuild(place):
    before = place.beats(ANN)
    in_a_second_file(place)
    in_the_tail_too(place)
    place.run("UPDATE lake_files SET date = date + 3 WHERE path LIKE '%copy.parquet'")
    assert len(place.beats(ANN)) > len(before)
    place.rebuild()
    assert place.beats(ANN) == before
    assert place.found() == []
    on_disk = {str(path.relative_to(place.folder / "lake")) for path in (place.folder / "lake").rglob("*.parquet")}
    assert on_disk == {path for (path,) in place.all("SELECT path FROM lake_files")}


def test_a_tail_record_that_cannot_be_read_is_set_aside_and_not_lost(place):
    place.run("UPDATE tail SET value = x'00112233'")
    place.rebuild()
    assert place.all("SELECT user_id, offset, value FROM dead_letters") == [(ANN, 3, bytes.fromhex("00112233"))]


def test_one_user_is_checked_and_rebuilt_alone(place):
    place.run("UPDATE segments SET duration_us = 5 WHERE dimension = 0")
    assert {line.split(",")[1] for line in place.found(ANN)} == {" user 1"}
    place.rebuild(ANN)
    assert place.found(ANN) == []
    assert {line.split(",")[1] for line in place.found()} == {" user 2"}


def test_a_range_of_days_is_rebuilt_in_every_calendar_with_its_months_and_nothing_else(place):
    place.run("UPDATE segments SET duration_us = 5")
    before = set(place.all("SELECT user_id, calendar, day FROM segments"))
    place.rebuild(None, 19677, 19677)  # 2023-11-16
    wrong = set(place.all("SELECT user_id, calendar, day FROM segments WHERE duration_us = 5"))
    right = {row for row in before if row[1] in ("UTC/month", "lifetime") or row[2] == 19677}
    assert wrong == before - right
    assert {("Asia/Kolkata", 19677), ("UTC", 19677)} <= {row[1:] for row in right}
    assert {line.split(", ")[2].split(":")[0].split(" ")[1] for line in place.found()} == {"2023-11-15", "2023-11-17"}


def test_a_range_of_days_of_one_user_is_rebuilt(place):
    place.run("UPDATE segments SET duration_us = 5")
    place.rebuild(BOB, 19677, 19677)
    assert {line.split(",")[1] for line in place.found()} == {" user 1"}


def test_a_range_outside_all_heartbeats_removes_rows_that_nothing_supports(place):
    place.run("UPDATE segments SET day = day + 1000 WHERE user_id = 2 AND calendar = 'UTC'")
    place.rebuild(None, 20_000, 21_000)
    assert place.all("SELECT * FROM segments WHERE day > 20000") == []


def test_a_rebuild_that_an_older_version_asked_for_is_still_understood():
    assert unpack_command(compress(b'{"type":"rebuild","user_id":7}')) == Rebuild(7)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("aggregator.recompute._CHUNK_ROWS", 1)


def answers(place):
    return [(answer, error) for answer, error in place.all("SELECT answer, error FROM command_results")]


def test_heartbeats_do_not_wait_for_a_rebuild_of_everyone(place, small_parts):
    place.run("UPDATE segments SET duration_us = 5")
    late = beat(NOON + DAY + 20 * S, project="new")
    append_now(place.log_path, [command_record(Rebuild()), *heartbeat_records(BOB, [late])])
    with place.aggregator() as aggregator:
        assert aggregator.step()  # takes the command
        assert answers(place) == [(RUNNING, None)]
        assert aggregator.step()  # ann's part, and what came after the command
        assert (late.time_us, late.id) in place.beats(BOB)
        assert answers(place) == [(RUNNING, None)]
        assert {line.split(",")[1] for line in place.found()} == {" user 2"}
        while aggregator.step():
            pass
    assert answers(place) == [('{"repaired": 0, "users": 2}', None)]
    assert place.found() == []


def test_a_rebuild_that_a_restart_interrupted_says_so(place, small_parts):
    append_now(place.log_path, [command_record(Rebuild())])
    with place.aggregator() as aggregator:
        assert aggregator.step()
    with place.aggregator() as aggregator:
        assert not aggregator.step()
    ((_, error),) = answers(place)
    assert error == "The rebuild was interrupted by a restart: give the command again."
    place.rebuild()
    assert place.found() == []


def test_rebuilds_wait_for_each_other_and_other_commands_do_not(place, small_parts):
    commands = [Rebuild(), SetZone(ANN, "Europe/Paris"), Rebuild(BOB)]
    append_now(place.log_path, [command_record(command) for command in commands])
    with place.aggregator() as aggregator:
        assert [aggregator.step(), aggregator.step()] == [True, True]
        assert [answer == RUNNING for answer, _ in answers(place)] == [True, False]
        while aggregator.step():
            pass
    assert [error for _, error in answers(place)] == [None, None, None]
    assert RUNNING not in {answer for answer, _ in answers(place)}
    assert place.found() == []


def away(*_):
    raise UnavailableError("The stats database is unavailable: it starts again.")


def test_a_rebuild_of_everyone_that_fails_half_way_says_so_though_the_database_is_away(place, small_parts, monkeypatch):
    place.run("UPDATE segments SET duration_us = 5")
    append_now(place.log_path, [command_record(Rebuild())])

    with place.aggregator() as aggregator:
        assert aggregator.step()  # takes the command
        with monkeypatch.context() as during:
            during.setattr(rebuilding, "rebuild_scope", away)
            during.setattr(Shard, "refresh", away)
            with pytest.raises(UnavailableError):
                aggregator.step()
        while aggregator.step():
            pass
    ((_, error),) = answers(place)
    assert error == "The stats database is unavailable: it starts again."


def test_a_rebuild_that_is_done_says_so_though_the_database_was_away_at_its_end(place, monkeypatch):
    append_now(place.log_path, [command_record(Rebuild(ANN))])

    with place.aggregator() as aggregator:
        assert aggregator.step()  # takes the command
        with monkeypatch.context() as during:
            during.setattr(rebuilding, "conclude", away)
            with pytest.raises(UnavailableError):
                aggregator.step()
        while aggregator.step():
            pass
    assert answers(place) == [('{"repaired": 0, "users": 1}', None)]


@pytest.mark.parametrize("away_after", [False, True])
def test_a_rebuild_whose_begin_was_committed_without_an_answer_is_done_and_says_so(place, monkeypatch, away_after):
    place.run("UPDATE segments SET duration_us = 5")
    writing, refresh, lost = Shard.writing, Shard.refresh, []

    @contextmanager
    def without_answer(shard, offset=None):
        before = shard.offset
        with writing(shard, offset) as connection:
            yield connection
        if offset is not None and not lost:
            lost.append(offset)
            shard.offset = before
            raise UnavailableError("The stats database is unavailable: the connection is lost.")

    def later(shard):
        if away_after and len(lost) == 1:
            lost.append(shard.offset)
            raise UnavailableError("The stats database is unavailable: it starts again.")
        refresh(shard)

    append_now(place.log_path, [command_record(Rebuild())])
    monkeypatch.setattr(Shard, "writing", without_answer)
    monkeypatch.setattr(Shard, "refresh", later)
    stop = threading.Event()
    with place.aggregator() as aggregator:
        following = threading.Thread(target=aggregator.run, args=[stop])
        following.start()
        done = [('{"repaired": 0, "users": 2}', None)]
        answered = eventually(lambda: answers(place), done, 30)
        stop.set()
        following.join(30)
    assert lost
    assert answered == done
    assert place.found() == []
