"""The commands that look after stats, tail and lake."""

from contextlib import closing
from typing import Annotated, Final

import msgspec
import typer

from heartline.options import with_settings
from heartline.output import print_json, waiting
from heartline.places import prepare_folders
from heartline.settings import Settings
from schemas.record import Command, Compact, Flush, Rebuild
from storage.directory import Directory, DirectoryError
from storage.stats import Database

Username = Annotated[str | None, typer.Argument(help="One user; without it, all.")]


@with_settings()
def verify(settings: Settings, username: Username = None) -> None:
    """Compare the stats with a recompute from lake and tail; list the differences, and exit with 1 if there are any."""
    from aggregator.verify import verify as compare
    from storage.lake.folder import FolderLake

    prepare_folders(settings)
    differences = 0
    with closing(Database(settings.stats_url)) as database:
        user_id = None if username is None else _user_id(database, username)
        with waiting("Recomputing"):
            for difference in compare(database, FolderLake(settings.lake_path), user_id):
                differences += 1
                print_json(msgspec.to_builtins(difference))
    if differences:
        typer.echo(f"heartline: {differences} differences: `heartline rebuild` repairs them.", err=True)
        raise typer.Exit(1)
    typer.echo("Stats agree with a recompute from lake and tail.")


@with_settings()
def rebuild(settings: Settings, username: Username = None) -> None:
    """Compute stats again from lake and tail."""
    prepare_folders(settings)
    with closing(Database(settings.stats_url)) as database:
        user_id = None if username is None else _user_id(database, username)
    _ask(settings, Rebuild(user_id), "Recomputing", user_id or 0)


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


COMMANDS: Final = (verify, rebuild, flush, compact, status)


def _ask(settings: Settings, command: Command, what: str, user_id: int = 0) -> None:
    from heartline.owner import ask

    with waiting(what):
        answer = ask(settings, command, user_id)
    print_json(answer)


def _user_id(database: Database, username: str) -> int:
    user = Directory(database).by_username(username)
    if user is None:
        raise DirectoryError(f"There is no user {username!r}.")
    return user.user_id
