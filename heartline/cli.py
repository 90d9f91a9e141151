"""The command `heartline`. Exit codes: 0 done, 1 `verify` found differences, 2 refused or could not be done."""

import sys

import typer

from heartline.commands import dead_letters, log, services, sql, topics, upkeep, users
from heartline.places import StartError
from heartline.settings import SettingsError, unknown_variables
from storage.errors import StorageError

app = typer.Typer(
    help="Coding-time heartbeats: taken durably, kept as Parquet, counted exactly, answered at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(users.app, name="users")
app.add_typer(log.app, name="log")
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
for command in (*services.COMMANDS, *upkeep.COMMANDS, sql.sql):
    app.command()(command)


def main() -> None:
    """Run the command line; what it refuses is one line on stderr."""
    for warning in unknown_variables():
        typer.echo(f"heartline: {warning}", err=True)
    try:
        app()
    except (StorageError, StartError, SettingsError) as error:
        typer.echo(f"heartline: {error}", err=True)
        sys.exit(2)
