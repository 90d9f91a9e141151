"""The commands that look after stats, tail and lake."""

import datetime as dt
from contextlib import closing
from typing import Annotated, Final

import sqlalchemy as sa
import typer

from heartline.options import with_settings
from heartline.output import print_json, waiting
from heartline.places import prepare_folders
from heartline.settings import Settings, SettingsError
from schemas.calendars import DAY_US, date_of, day_number
from schemas.instants import MAX_TIME_US, MIN_TIME_US
from schemas.record import Command, Compact, Flush, Rebuild
from schemas.tables import SCHEMA_VERSION, alarms
from storage.directory import Directory, DirectoryError
from storage.errors import LossError
from storage.stats import Database

Username = Annotated[str | None, typer.Argument(help="One user; without it, all.")]
_FIRST_DAY: Final = MIN_TIME_US // DAY_US - 1  # of local days too
_LAST_DAY: Final = MAX_TIME_US // DAY_US + 1

FromDate = Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First day; without it, the first.")]
AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Let Parquet files that are gone or damaged no longer count.")
]
ToDate = Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day; without it, the last.")]


@with_settings()
def verify(settings: Settings, username: Username = None) -> None:
    """Check every table against lake and tail, and these too; say what is wrong, and exit with 1 if anything is."""
    from aggregator.verify import findings
    from storage.lake.opening import open_lake

    prepare_folders(settings)
    found = 0
    with closing(Database(settings.stats_url)) as database:
        user_id = None if username is None else _user_id(database, username)
        with waiting("Checking"):
            for finding in findings(database, open_lake(settings.lake_url), user_id):
                found += 1
                typer.echo(str(finding))
    if found:
        typer.echo(f"heartline: {found} findings; each says what helps.", err=True)
        raise typer.Exit(1)
    typer.echo("Every table agrees with lake and tail, and these with themselves.")


@with_settings()
def rebuild(
    settings: Settings,
    username: Username = None,
    from_date: FromDate = None,
    to_date: ToDate = None,
    accept_loss: AcceptLoss = False,
) -> None:
    """Repair tail and lake, and compute stats again from them; services go on meanwhile."""
    first_day, last_day = _days(from_date, to_date)
    prepare_folders(settings)
    with closing(Database(settings.stats_url)) as database:
        user_id = None if username is None else _user_id(database, username)
        if accept_loss:
            accept_lost_files(database)
    _ask(settings, Rebuild(user_id, first_day, last_day, accept_loss), "Recomputing", user_id)


@with_settings()
def flush(settings: Settings) -> None:
    """Write the tail to Parquet now."""
    _ask(settings, Flush(), "Writing Parquet")


@with_settings()
def compact(settings: Settings) -> None:
    """Rewrite closed days as one Parquet file each, where they are in small files."""
    _ask(settings, Compact(), "Compacting")


@with_settings()
def status(settings: Settings) -> None:
    """Show lag, tail, files and users."""
    from heartline.status import read_status

    prepare_folders(settings)
    print_json(read_status(settings), indent=2)


@with_settings()
def migrate(settings: Settings) -> None:
    """Bring the stats database of an older version up to date; `heartline up` does by itself."""
    prepare_folders(settings)
    Database(settings.stats_url, migrate=True).close()
    print_json({"schema_version": SCHEMA_VERSION})


COMMANDS: Final = (verify, rebuild, flush, compact, status, migrate)


def accept_lost_files(database: Database) -> None:
    """Let shards go on that stand still for a lost file: no command reaches their owners before."""
    with database.writing() as connection:
        connection.execute(sa.update(alarms).where(alarms.c.reason.startswith(LossError.BEGINS)).values(accepted=True))


def _ask(settings: Settings, command: Command, what: str, user_id: int | None = None) -> None:
    from heartline.owner import ask

    with waiting(what):
        answer = ask(settings, command, user_id)
    print_json(answer)


def _days(from_date: str | None, to_date: str | None) -> tuple[int | None, int | None]:
    """Read a range of dates as day numbers; None and None for all days. Raises `SettingsError`."""
    if from_date is None and to_date is None:
        return None, None
    first = _FIRST_DAY if from_date is None else _day("--from", from_date)
    last = _LAST_DAY if to_date is None else _day("--to", to_date)
    if first > last:
        raise SettingsError(f"There is no day from {date_of(first)} to {date_of(last)}.")
    return _possible(first), _possible(last)


def _possible(day: int) -> int:
    return min(max(day, _FIRST_DAY), _LAST_DAY)


def _day(option: str, text: str) -> int:
    try:
        return day_number(dt.date.fromisoformat(text))
    except ValueError as error:
        raise SettingsError(f"{option} {text!r} is no date: write it as 2024-03-31.") from error


def _user_id(database: Database, username: str) -> int:
    user = Directory(database).by_username(username)
    if user is None:
        raise DirectoryError(f"There is no user {username!r}.")
    return user.user_id
