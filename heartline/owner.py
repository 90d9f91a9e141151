"""Asking the owners of the shards: a command travels through the log, so that it is ordered with the heartbeats.

Where an aggregator runs, it applies the command. Where none does, the embedded log lets this process become the
aggregator until it is applied; with Kafka, the command waits for one.
"""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from heartline.adapters import checked_ends, log_of
from heartline.places import prepare_folders
from heartline.settings import Settings
from schemas.record import Command, command_record
from schemas.tables import RUNNING, alarms, command_results
from storage.errors import LockedError, StandstillError, StorageError
from storage.log import Place
from storage.log.sqlite import SqliteLogReader
from storage.stats import Database

_LOOK_EVERY_S: Final = 0.05
_ANSWER: Final = sa.select(command_results.c.error, command_results.c.answer)

Answer = dict[str, Any]
"""A JSON object. Any: each command has an answer of its own."""


class RefusedError(StorageError):
    """An owner could not apply the command; the text says why."""


def ask(settings: Settings, command: Command, user_id: int | None = None) -> Answer:
    """Append `command` to the log and wait until it is applied; return the owner's answer.

    `user_id` orders it with that user's heartbeats; without one it goes to every shard, and the numbers of the answers
    are added up. Raises `RefusedError`, and `StorageError` where a place is away.
    """
    prepare_folders(settings)
    record = command_record(command, user_id or 0)
    with closing(Database(settings.stats_url)) as database:
        log = log_of(settings)
        checked_ends(database, log)
        places = log.append(record, everywhere=user_id is None)
        return _sum([_wait_for(settings, database, place) for place in places])


def _wait_for(settings: Settings, database: Database, place: Place) -> Answer:
    while True:
        answer = _answer(database, place)
        if answer is not None:
            return answer
        try:
            if settings.log_path is not None:
                _apply_here(settings, settings.log_path, place)
                continue
        except LockedError:
            pass  # somebody runs: the answer will come
        _refuse_standstill(database, place)
        time.sleep(_LOOK_EVERY_S)


def _answer(database: Database, place: Place) -> Answer | None:
    c = command_results.c
    with database.reading() as connection:
        mine = (c.log == place.log, c.shard == place.shard, c.offset == place.offset)
        found = connection.execute(_ANSWER.where(*mine)).one_or_none()
    if found is None or (found.answer == RUNNING and found.error is None):
        return None
    if found.error is not None:
        raise RefusedError(found.error)
    answer: Answer = json.loads(found.answer)
    return answer


def _refuse_standstill(database: Database, place: Place) -> None:
    """Raise `StandstillError` where the aggregator waits for somebody: the command would wait with it."""
    with database.reading() as connection:
        mine = (alarms.c.log == place.log, alarms.c.shard == place.shard, ~alarms.c.accepted)
        reason = connection.scalar(sa.select(alarms.c.reason).where(*mine))
    if reason is not None:
        raise StandstillError(
            f"{reason} The command waits in the log, at offset {place.offset}, until counting goes on."
        )


def _apply_here(settings: Settings, path: Path, place: Place) -> None:
    """Be the aggregator up to the command. Raises `LockedError` while another one is."""
    with closing(SqliteLogReader(path, for_a_command=True)) as log:
        from heartline.services import open_shard  # loaded only by who has the lock: it takes a second

        with open_shard(settings, log) as aggregator:
            aggregator.run_until(place.offset)


def _sum(answers: Sequence[Answer]) -> Answer:
    first, *others = answers
    for answer in others:
        for name, value in answer.items():
            if isinstance(value, int):
                first[name] += value
    return first
