"""Asking the owner of the shard: a command travels through the log, so that it is ordered with the heartbeats.

Where an aggregator runs, it applies the command; where none does, this process becomes the aggregator until it is
applied.
"""

import json
import time
from contextlib import closing
from typing import Any, Final

import sqlalchemy as sa

from heartline.places import prepare_folders
from heartline.settings import Settings
from schemas.record import Command, command_record
from schemas.tables import RUNNING, alarms, command_results
from storage.errors import LockedError, StandstillError, StorageError
from storage.log.sqlite import SqliteLogReader, append_now
from storage.stats import Database

_LOOK_EVERY_S: Final = 0.05
_ANSWER: Final = sa.select(command_results.c.error, command_results.c.answer)


class RefusedError(StorageError):
    """The owner could not apply the command; the text says why."""


def ask(settings: Settings, command: Command, user_id: int = 0) -> dict[str, Any]:
    """Append `command` to the log and wait until it is applied; return the owner's answer, a JSON object.

    `user_id` orders it with that user's heartbeats. Raises `RefusedError`, and `StorageError` where a place is away.
    """
    prepare_folders(settings)
    with closing(Database(settings.stats_url)) as database:
        offset = append_now(settings.log_path, [command_record(command, user_id)])
        while True:
            answer = _answer(database, offset)
            if answer is not None:
                return answer
            try:
                _apply_here(settings, database, offset)
            except LockedError:
                _refuse_standstill(database, offset)
                time.sleep(_LOOK_EVERY_S)


def _answer(database: Database, offset: int) -> dict[str, Any] | None:
    # The embedded database knows one log with one shard: the offset names the command.
    with database.reading() as connection:
        found = connection.execute(_ANSWER.where(command_results.c.offset == offset)).one_or_none()
    if found is None or (found.answer == RUNNING and found.error is None):
        return None
    if found.error is not None:
        raise RefusedError(found.error)
    answer: dict[str, Any] = json.loads(found.answer)
    return answer


def _refuse_standstill(database: Database, offset: int) -> None:
    """Raise `StandstillError` where the aggregator waits for somebody: the command would wait with it."""
    with database.reading() as connection:
        reason = connection.scalar(sa.select(alarms.c.reason))
    if reason is not None:
        raise StandstillError(f"{reason} The command waits in the log, at offset {offset}, until counting goes on.")


def _apply_here(settings: Settings, database: Database, offset: int) -> None:
    """Be the aggregator up to `offset`. Raises `LockedError` while another one is."""
    with closing(SqliteLogReader(settings.log_path, for_a_command=True)) as log:
        # Loaded only by who has the lock: it takes a second.
        from aggregator.service import Aggregator
        from heartline.services import aggregator_config
        from storage.lake.folder import FolderLake

        aggregator = Aggregator(database, log, FolderLake(settings.lake_path), aggregator_config(settings))
        with closing(aggregator):
            aggregator.run_until(offset)
