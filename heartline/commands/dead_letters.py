"""`heartline dead-letters`: records that could not be counted, with the reason; nothing waits for them."""

import base64
import json
import re
from contextlib import closing
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa
import typer
import zstandard

from heartline.options import with_settings
from heartline.output import print_json
from heartline.places import prepare_folders
from heartline.settings import Settings
from schemas.heartbeat import iso_utc
from schemas.record import DropLetter, RetryLetter, decompress
from schemas.tables import dead_letters
from storage.errors import StorageError
from storage.stats import Database

app = typer.Typer(help="Records that were set aside because they cannot be counted.", no_args_is_help=True)

_LETTER_ID: Final = re.compile(r"(.{1,512}):([0-9]{1,9}):([0-9]{1,18})")
_LISTED: Final = 10_000
_COLUMNS: Final = tuple(c for c in dead_letters.columns if c is not dead_letters.c.value)

LetterId = Annotated[str, typer.Argument(help="The `id` that `list` shows.")]
SomeLetter = Annotated[str | None, typer.Argument(help="The `id` that `list` shows; without it, all.")]


class LetterError(StorageError):
    """A dead letter that is not there, or no id of one."""


@app.command("list")
@with_settings()
def list_letters(settings: Settings) -> None:
    """List the oldest dead letters, one JSON object a line."""
    with _database(settings) as database:
        for letter in _letters(database):
            print_json(_shown(letter))


@app.command()
@with_settings()
def show(settings: Settings, letter: LetterId) -> None:
    """Show a dead letter and what it holds: its lines, or base64 where they cannot be read."""
    with _database(settings) as database, database.reading() as connection:
        found = connection.execute(sa.select(dead_letters).where(*_is_row(letter))).one_or_none()
    if found is None:
        raise LetterError(f"There is no dead letter {letter!r}: `heartline dead-letters list` shows all.")
    print_json(_shown(found) | _content(found.value), indent=2)


@app.command()
@with_settings()
def retry(settings: Settings, letter: SomeLetter = None) -> None:
    """Count dead letters again; what still cannot be counted stays. Heartbeats that are stored already stay single."""
    _settle(settings, letter, RetryLetter)


@app.command()
@with_settings()
def drop(
    settings: Settings,
    letter: SomeLetter = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Give up all of them.")] = False,
) -> None:
    """Delete dead letters: what they hold is given up."""
    if letter is None and not every:
        raise LetterError("Name a dead letter, or say --all.")
    _settle(settings, letter, DropLetter)


def _settle(settings: Settings, letter_id: str | None, command: type[RetryLetter | DropLetter]) -> None:
    """Ask the owner about each letter, under its user's key; one that is refused does not keep the next waiting."""
    from heartline.owner import RefusedError, ask

    with _database(settings) as database:
        letters = _letters(database, letter_id)
    if letter_id is not None and not letters:
        raise LetterError(f"There is no dead letter {letter_id!r}: `heartline dead-letters list` shows all.")
    refused = 0
    for letter in letters:
        try:
            answer = ask(settings, command(letter.log, letter.shard, letter.offset), letter.user_id)
        except RefusedError as error:
            refused += 1
            answer = {"error": str(error)}
        print_json({"id": _id(letter)} | answer)
    if refused:
        raise LetterError(f"{refused} of {len(letters)} dead letters were refused and stay.")


def _letters(database: Database, letter_id: str | None = None) -> list[sa.Row[Any]]:
    # Any: the columns of the table.
    query = sa.select(*_COLUMNS).order_by(dead_letters.c.set_aside_at_us, dead_letters.c.offset).limit(_LISTED)
    with database.reading() as connection:
        return list(connection.execute(query if letter_id is None else query.where(*_is_row(letter_id))))


def _is_row(letter_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    parts = _LETTER_ID.fullmatch(letter_id)
    if parts is None:
        raise LetterError(f"{letter_id!r} is no id of a dead letter: it is LOG:SHARD:OFFSET.")
    c = dead_letters.c
    return c.log == parts[1], c.shard == int(parts[2]), c.offset == int(parts[3])


def _id(letter: sa.Row[Any]) -> str:
    return f"{letter.log}:{letter.shard}:{letter.offset}"


def _shown(letter: sa.Row[Any]) -> dict[str, object]:
    return {
        "id": _id(letter),
        "user_id": letter.user_id,
        "reason": letter.reason,
        "set_aside_at": iso_utc(letter.set_aside_at_us),
    }


def _content(value: bytes) -> dict[str, object]:
    try:
        return {"lines": [json.loads(line) for line in decompress(value).splitlines()]}
    except (zstandard.ZstdError, ValueError, msgspec.MsgspecError):
        return {"base64": base64.b64encode(value).decode()}


def _database(settings: Settings) -> "closing[Database]":
    prepare_folders(settings)
    return closing(Database(settings.stats_url))
