"""`heartline log`: what is to be decided about the log."""

from contextlib import closing
from typing import Final

import sqlalchemy as sa
import typer

from heartline.options import with_settings
from heartline.output import print_json
from heartline.places import prepare_folders
from heartline.settings import Settings
from schemas.tables import alarms
from storage.errors import StorageError
from storage.stats import Database

app = typer.Typer(help="The log, where something is to be decided about it.", no_args_is_help=True)

_GAPS: Final = alarms.c.gap_end.is_not(None)


@app.callback()
def group() -> None:
    """Keep the command's name although it is the only one."""


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
