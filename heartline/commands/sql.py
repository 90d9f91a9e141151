"""`heartline sql`: DuckDB over the heartbeats that count, the daily stats and the users."""

import datetime as dt
import json
import readline
import shutil
from contextlib import closing, suppress
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
_HISTORY_LINES: Final = 1000
_WELCOME: Final = """Views: heartbeats, daily_stats, users. A statement ends with a semicolon.
.refresh sees what came since; .quit leaves."""


class SqlError(StorageError):
    """A statement that DuckDB refuses, in one line."""


@with_settings()
def sql(
    settings: Settings,
    statement: Annotated[str | None, typer.Argument(help="One statement; without it, a prompt.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each row.")] = False,
) -> None:
    """Ask DuckDB about the views heartbeats (lake files that count, and the tail), daily_stats and users."""
    from storage.lake.folder import FolderLake
    from storage.views import connect

    prepare_folders(settings)
    with closing(Database(settings.stats_url)) as database:
        lake = FolderLake(settings.lake_path)
        if statement is not None:
            with closing(connect(database, lake)) as connection:
                _run(connection, statement, as_json=as_json)
        else:
            _prompt(database, lake, as_json=as_json)


def _run(connection: "duckdb.DuckDBPyConnection", statement: str, *, as_json: bool) -> None:
    """Run one statement and print what it gives. Raises `SqlError`."""
    import duckdb

    try:
        relation = connection.sql(statement)
        if relation is None:
            return
        if as_json:
            _print_rows(relation)
        else:
            relation.show(max_width=shutil.get_terminal_size().columns)
    except duckdb.Error as error:
        raise SqlError(str(error).strip().partition("\n")[0]) from error


def _print_rows(relation: "duckdb.DuckDBPyRelation") -> None:
    # By way of Arrow: DuckDB's own rows need pytz for instants.
    for batch in relation.to_arrow_reader(_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            typer.echo(json.dumps(row, default=_as_json, ensure_ascii=False))


def _as_json(value: object) -> int | float | str:
    """Say what JSON has no type for: instants in ISO 8601, DuckDB's wide sums as numbers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def _prompt(database: Database, lake: "Lake", *, as_json: bool) -> None:
    from storage.views import connect

    history = Path.home() / _HISTORY
    _load_history(history)
    typer.echo(_WELCOME)
    connection = connect(database, lake)
    try:
        while (line := _read_statement()) is not None:
            if line == ".refresh":
                connection.close()
                connection = connect(database, lake)
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
