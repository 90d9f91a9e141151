"""What became of commands: rows of `command_results`, which whoever gave a command waits for."""

import json

import sqlalchemy as sa

from schemas.tables import RUNNING, command_results
from storage.stats.shard import Shard

Answer = dict[str, int | str]


def store_result(
    connection: sa.Connection, shard: Shard, offset: int, answer: Answer | None, error: str | None = None
) -> None:
    """Store what became of the command at `offset`; an answer of None: it takes its time beside the counting."""
    connection.execute(
        sa.insert(command_results).values(
            log=shard.log,
            shard=shard.number,
            offset=offset,
            answer=RUNNING if answer is None else json.dumps(answer),
            error=error,
        )
    )


def conclude(connection: sa.Connection, shard: Shard, offset: int, answer: Answer, error: str | None = None) -> None:
    """Say what became of a command that took its time."""
    of_command = (_of(shard), command_results.c.offset == offset)
    connection.execute(sa.update(command_results).where(*of_command).values(answer=json.dumps(answer), error=error))


def conclude_interrupted(connection: sa.Connection, shard: Shard) -> None:
    """Tell those who wait for what an earlier owner of the shard had begun."""
    connection.execute(
        sa.update(command_results)
        .where(_of(shard), command_results.c.answer == RUNNING)
        .values(answer="{}", error="The rebuild was interrupted by a restart: give the command again.")
    )


def _of(shard: Shard) -> sa.ColumnElement[bool]:
    return sa.and_(command_results.c.log == shard.log, command_results.c.shard == shard.number)
