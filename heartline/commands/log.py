"""`heartline log`: what is to be decided about the log."""

import time
from contextlib import closing
from typing import Final

import sqlalchemy as sa
import typer

from heartline.adapters import log_of
from heartline.options import with_settings
from heartline.output import print_json, waiting
from heartline.places import prepare_folders
from heartline.settings import Settings
from schemas.record import CloseLog
from schemas.tables import alarms, shards
from storage.errors import StorageError
from storage.log import Log
from storage.stats import Database
from storage.stats.closing import begin_closing, finish_closing
from storage.stats.shard import refuse_other_logs

app = typer.Typer(help="The log, where something is to be decided about it.", no_args_is_help=True)

_GAPS: Final = alarms.c.gap_end.is_not(None)


@app.command()
@with_settings()
def accept_gap(settings: Settings) -> None:
    """Let counting go on without records that are gone from the log; until then it stands still."""
    prepare_folders(settings)
    with closing(Database(settings.stats_url)) as database, database.writing() as connection:
        accepted = connection.execute(sa.select(alarms.c.reason).where(_GAPS)).scalars().all()
        if not accepted:
            raise StorageError("No gap in the log is known: `heartline status` shows what counting waits for.")
        connection.execute(sa.update(alarms).where(_GAPS).values(accepted=True))
    print_json({"accepted": accepted})


@app.command()
@with_settings()
def close(settings: Settings) -> None:
    """Count all that the log holds and write it to Parquet; from then on another HEARTLINE_LOG_URL may follow.

    Its ingests must be stopped, or be told another log: what they would still take would never be counted.
    """
    from heartline.owner import ask

    prepare_folders(settings)
    log = log_of(settings)
    with (
        closing(Database(settings.stats_url)) as database,
        log.without_ingest() as wait_s,
        waiting("Counting what is left"),
    ):
        name = _name(log)
        refuse_other_logs(database, name)
        begin_closing(database, name)
        time.sleep(wait_s)
        answer = ask(settings, CloseLog())
        _refuse_later(database, log)
        finish_closing(database, name)
    print_json({"closed": name} | answer)


def _name(log: Log) -> str:
    names = {end.log for end in log.ends()}
    if not names:
        raise StorageError("There is no log yet: nothing is to be closed.")
    return names.pop()


def _refuse_later(database: Database, log: Log) -> None:
    """Raise `StorageError` where something was appended behind the command that closed the log."""
    with database.reading() as connection:
        rows = connection.execute(sa.select(shards.c.log, shards.c.shard, shards.c.offset)).all()
    watermarks = {(name, shard): offset for name, shard, offset in rows}
    if any(end.offset > watermarks.get((end.log, end.shard), 0) for end in log.ends()):
        raise StorageError("An ingest still takes heartbeats into this log: stop it, then close the log again.")
