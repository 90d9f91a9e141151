"""`heartline sql`: DuckDB over the heartbeats that count, the daily stats and the users."""

import datetime as dt
import itertools
import json
import readline
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from heartline.options import with_settings
from heartline.places import prepare_folders
from heartline.settings import Settings
from storage.errors import StorageError
from storage.stats import Database

if TYPE_CHECKING:
    import duckdb

    from storage.lake import Lake

_HISTORY: Final = ".heartline_history"  # in the home folder
_ROWS_AT_ONCE: Final = 10_000
_ATTEMPTS: Final = 3  # snapshots tried when compaction deletes a file before it is read
_HISTORY_LINES: Final = 1000
_WELCOME: Final = """Views: heartbeats, daily_stats, users. A statement ends with a semicolon.
.refresh sees what came since; .quit leaves."""


class SqlError(StorageError):
    """A statement that DuckDB refuses, in one line."""


class UnreadableFileError(SqlError):
    """A file that cannot be read, found before anything was printed; compaction may have deleted it."""


@with_settings()
def sql(
    settings: Settings,
    statement: Annotated[str | None, typer.Argument(help="One statement; without it, a prompt.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each row.")] = False,
) -> None:
    """Ask DuckDB about the views heartbeats (lake files that count, and the tail), daily_stats and users."""
    from storage.lake.opening import open_lake

    prepare_folders(settings)
    with closing(Database(settings.stats_url)) as database:
        lake = open_lake(settings.lake_url)
        if statement is not None:
            _run_alone(database, lake, statement, as_json=as_json)
        else:
            _prompt(database, lake, as_json=as_json)


def _run_alone(database: Database, lake: "Lake", statement: str, *, as_json: bool) -> None:
    """Run a statement on a snapshot of its own, and on a new one where a file is gone. Raises `SqlError`."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(UnreadableFileError), closing(_connect(database, lake)) as connection:
            _run(connection, statement, as_json=as_json)
            return
    with closing(_connect(database, lake)) as connection:
        _run(connection, statement, as_json=as_json)


def _connect(database: Database, lake: "Lake") -> "duckdb.DuckDBPyConnection":
    from storage import views
    from storage.lake.jobs import while_files_vanish

    return while_files_vanish(lambda: views.connect(database, lake))


def _run(connection: "duckdb.DuckDBPyConnection", statement: str, *, as_json: bool) -> None:
    """Run one statement and print what it gives. Raises `SqlError`."""
    with _in_one_line(UnreadableFileError):
        relation = connection.sql(statement)
        if relation is None:
            return
        if not as_json:
            relation.show(max_width=shutil.get_terminal_size().columns)
            return
        rows = _rows(relation)
        first = list(itertools.islice(rows, 1))
    with _in_one_line(SqlError):
        for row in itertools.chain(first, rows):
            typer.echo(json.dumps(row, default=_as_json, ensure_ascii=False))


@contextmanager
def _in_one_line(unreadable: type[SqlError]) -> Iterator[None]:
    """Turn what DuckDB raises into `SqlError`, and into `unreadable` where a file cannot be read."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        kind = unreadable if isinstance(error, duckdb.IOException) else SqlError
        raise kind(str(error).strip().partition("\n")[0]) from error


def _rows(relation: "duckdb.DuckDBPyRelation") -> Iterator[dict[str, object]]:
    # By way of Arrow: DuckDB's own rows need pytz for instants.
    for batch in relation.to_arrow_reader(_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _as_json(value: object) -> int | float | str:
    """Say what JSON has no type for: instants in ISO 8601, DuckDB's wide sums as numbers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def _prompt(database: Database, lake: "Lake", *, as_json: bool) -> None:
    history = Path.home() / _HISTORY
    _load_history(history)
    typer.echo(_WELCOME)
    connection = _connect(database, lake)
    try:
        while (line := _read_statement()) is not None:
            if line == ".refresh":
                connection.close()
                connection = _connect(database, lake)
                continue
            try:
                _run(connection, line, as_json=as_json)
            except SqlError as error:
                typer.echo(error, err=True)
    finally:
        connection.close()
        with suppress(OSError):
            readline.write_history_file(history)


def _load_history(history: Path) -> None:
    readline.set_history_length(_HISTORY_LINES)
    with suppress(OSError):
        readline.read_history_file(history)


def _read_statement() -> str | None:
    """Read lines up to a semicolon, or one dot command; None at the end."""
    lines: list[str] = []
    while True:
        try:
            line = input("     …> " if lines else "heartline> ").strip()
        except KeyboardInterrupt:
            typer.echo()
            lines = []
            continue
        except EOFError:
            return None
        if not lines and line in (".quit", ".exit"):
            return None
        if not lines and line.startswith("."):
            return line
        lines += [line] if line else []
        if line.endswith(";"):
            return "\n".join(lines)
