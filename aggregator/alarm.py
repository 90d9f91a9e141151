"""The alarm of a shard that stands still: kept where `heartline status` finds it, until the shard goes on."""

import logging
import time

import sqlalchemy as sa

from schemas.tables import alarms
from storage.errors import GapError, LossError, StandstillError
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)


class Alarm:
    """One shard's alarm. Its owner raises and clears it; a command accepts the gap, or the loss, that it is about."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._mine = sa.and_(alarms.c.log == shard.log, alarms.c.shard == shard.number)
        with shard.database.reading() as connection:
            self._raised: str | None = connection.scalar(sa.select(alarms.c.reason).where(self._mine))

    def show(self, error: StandstillError) -> None:
        """Raise the alarm, with one line in the log, unless it is raised already. Raises `FencedError`."""
        reason = str(error)
        if reason == self._raised:
            return
        with self._shard.writing() as connection:
            connection.execute(sa.delete(alarms).where(self._mine))
            connection.execute(
                sa.insert(alarms).values(
                    log=self._shard.log,
                    shard=self._shard.number,
                    reason=reason,
                    raised_at_us=time.time_ns() // 1000,
                    gap_end=error.last if isinstance(error, GapError) else None,
                    accepted=False,
                )
            )
        self._raised = reason
        logger.error("ALARM: counting stands still. %s", reason)

    def clear(self) -> None:
        """Take the alarm back: the shard goes on. Raises `FencedError`."""
        if self._raised is not None:
            with self._shard.writing() as connection:
                connection.execute(sa.delete(alarms).where(self._mine))
            self._raised = None

    def is_loss_accepted(self) -> bool:
        """Tell whether somebody has accepted the loss of lake files that the shard stands still for."""
        accepted = sa.select(alarms.c.accepted).where(self._mine, alarms.c.reason.startswith(LossError.BEGINS))
        with self._shard.database.reading() as connection:
            return bool(connection.scalar(accepted))

    def skip_if_accepted(self, gap: GapError) -> bool:
        """Move the watermark over a gap that somebody has accepted; tell whether it was. Raises `FencedError`."""
        accepted = sa.select(alarms.c.accepted).where(self._mine, alarms.c.gap_end == gap.last)
        with self._shard.database.reading() as connection:
            if not connection.scalar(accepted):
                return False
        with self._shard.writing(gap.last) as connection:
            connection.execute(sa.delete(alarms).where(self._mine))
        self._raised = None
        logger.warning("Records %d to %d of the log are gone: counting goes on without them", gap.first, gap.last)
        return True
