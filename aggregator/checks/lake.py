"""Parquet files against their entries in `lake_files`, and heartbeats that lie in several places."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from aggregator.checks.finding import REBUILD, Finding
from schemas.arrow import LAKE_SCHEMA
from schemas.calendars import DAY_US, UTC_DAYS, date_of
from schemas.tables import FileState, lake_files
from storage.errors import UnavailableError
from storage.lake import Lake, catalog
from storage.lake.catalog import LakeFile
from storage.lake.jobs import USERS, Scope
from storage.stats import Database

_KEYS: Final = ("id", "user_id", "time")
_ROWS_AT_ONCE: Final = 65_536
_RESTORE_FILE: Final = "put it back from a backup, or give up the heartbeats in it: `heartline rebuild --accept-loss`"

_MOVE_AWAY: Final = "move it out of the lake, or put back the database that it belongs to"

_DOUBLES: Final = f"""
SELECT user_id, epoch_us(time), id, count(*) FROM heartbeats WHERE {USERS}
GROUP BY user_id, time, id HAVING count(*) > 1 ORDER BY user_id, time, id
"""


class Damage(NamedTuple):
    """What is wrong with a file. `readable`: its rows are all there and can be written anew."""

    file: LakeFile
    what: str
    readable: bool

    def finding(self) -> Finding:
        """Say it to people."""
        remedy = REBUILD if self.readable else _RESTORE_FILE
        return Finding(lake_files.name, f"{self.file.path} {self.what}", remedy, date=date_of(self.file.date))


class _Facts(NamedTuple):
    """What a file, or a part of it, holds: numbers of rows, of rows without a key, and bounds."""

    rows: int
    keyless: int
    users: tuple[int, int]
    times: tuple[int, int]


def check_states(connection: sa.Connection) -> Iterator[Finding]:
    """Check that every entry is in one of the states."""
    states = [state.value for state in FileState]
    unknown = sa.select(lake_files.c.path, lake_files.c.state).where(lake_files.c.state.not_in(states))
    for path, state in connection.execute(unknown):
        yield Finding(lake_files.name, f"{path} is in state {state!r}, which there is not", _RESTORE_FILE)


def check_files(database: Database, lake: Lake, *conditions: sa.ColumnElement[bool]) -> Iterator[Damage]:
    """Read every byte of the live files that meet the conditions; give what is not as their entries say.

    A file that compaction deletes meanwhile is no damage. Raises `UnavailableError`.
    """
    with database.reading() as connection:
        files = catalog.live_files(connection, *conditions)
    for file in files:
        try:
            yield from (Damage(file, what, readable=True) for what in _differences(lake, file))
        except FileNotFoundError:
            if _is_live(database, file):
                yield Damage(file, "is missing", readable=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise UnavailableError(f"The lake file {file.path} cannot be read now: {error}.") from error
            yield Damage(file, f"cannot be read ({error})", readable=False)


def check_strangers(database: Database, lake: Lake) -> Iterator[Finding]:
    """Look for files that no entry names: they do not count, but plain globs read them. Raises `UnavailableError`.

    Entries come before their files and outlive them: what is still there after no entry was found is a stranger.
    """
    paths = lake.paths()
    with database.reading() as connection:
        unnamed = catalog.without_entry(connection, paths)
    for path in sorted(set(unnamed).intersection(lake.paths())) if unnamed else ():
        yield Finding(lake_files.name, f"no entry names {path}, which plain globs read", _MOVE_AWAY)


class Double(NamedTuple):
    """A heartbeat that lies in tail and lake several times."""

    user_id: int
    time_us: int
    id: int
    times: int


def doubles(duck: duckdb.DuckDBPyConnection, scope: Scope) -> list[Double]:
    """Find the doubled heartbeats of some users in the view `heartbeats`."""
    found = duck.execute(_DOUBLES, scope.users_as_parameters()).fetchall()
    return [Double(*row) for row in found]


def double_findings(found: Sequence[Double]) -> Iterator[Finding]:
    """Say for each user and UTC day what `doubles` found."""
    by_day: dict[tuple[int, int], list[Double]] = {}
    for double in found:
        by_day.setdefault((double.user_id, double.time_us // DAY_US), []).append(double)
    for (user_id, day), of_day in by_day.items():
        others = f", and {len(of_day) - 1} others are doubled" if len(of_day) > 1 else ""
        what = f"the heartbeat {of_day[0].id} is there {of_day[0].times} times{others}"
        yield Finding("heartbeats", what, REBUILD, user_id, date_of(day), UTC_DAYS)


def _is_live(database: Database, file: LakeFile) -> bool:
    with database.reading() as connection:
        return bool(catalog.live_files(connection, lake_files.c.path == file.path))


def _differences(lake: Lake, file: LakeFile) -> Iterator[str]:
    """Compare a file with its entry. Raises what pyarrow does where it cannot be read to its end."""
    with lake.open(file.path) as source, pq.ParquetFile(source, page_checksum_verification=True) as parquet:
        schema = parquet.schema_arrow
        missing = [name for name in LAKE_SCHEMA.names if name not in schema.names]
        if missing:
            raise pa.ArrowInvalid(f"it has no column {', '.join(missing)}")
        facts = [_facts(batch) for batch in parquet.iter_batches(_ROWS_AT_ONCE)]
    if not schema.equals(LAKE_SCHEMA):
        yield f"has other columns than every file: {_other_columns(schema)}"
    yield from _compare(file, facts)


def _other_columns(schema: pa.Schema) -> str:
    extra = [f"{name} (not in the schema)" for name in schema.names if name not in LAKE_SCHEMA.names]
    other = [f"{f.name} {schema.field(f.name)}" for f in LAKE_SCHEMA if not schema.field(f.name).equals(f)]
    return ", ".join(extra + other) or "their order"


def _compare(file: LakeFile, facts: Sequence[_Facts]) -> Iterator[str]:
    rows = sum(part.rows for part in facts)
    if rows != file.rows:
        yield f"holds {rows} rows where its entry says {file.rows}"
    if not rows:
        return
    if any(part.keyless for part in facts):
        raise pa.ArrowInvalid("there are rows without id, user or time")
    users, times = _bounds([part.users for part in facts]), _bounds([part.times for part in facts])
    # Bounds may be wider than the rows: those of a user were erased since.
    if users[0] < file.min_user or users[1] > file.max_user:
        yield f"holds users {users[0]} to {users[1]} where its entry says {file.min_user} to {file.max_user}"
    if times[0] < file.min_us or times[1] > file.max_us:
        yield f"holds times {times[0]} to {times[1]} where its entry says {file.min_us} to {file.max_us}"
    if times[0] // DAY_US < file.date or times[1] // DAY_US > file.date:
        yield f"holds rows of {date_of(times[0] // DAY_US)} to {date_of(times[1] // DAY_US)}"


def _bounds(parts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return min(low for low, _ in parts), max(high for _, high in parts)


def _facts(batch: pa.RecordBatch) -> _Facts:
    keyless = sum(batch.column(name).null_count for name in _KEYS)
    users = pc.min_max(batch.column("user_id"))
    times = pc.min_max(batch.column("time").cast(pa.int64()))
    return _Facts(batch.num_rows, keyless, *((m["min"].as_py(), m["max"].as_py()) for m in (users, times)))
