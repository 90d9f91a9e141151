"""A rebuild between micro-batches: users are computed again range by range, and heartbeats do not wait for it."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from aggregator.counter import Counter
from aggregator.recompute import owned_by, rebuild_scope, scopes
from aggregator.repair import Job, repair
from aggregator.results import Answer, conclude, conclude_interrupted, store_result
from storage.errors import FencedError
from storage.lake import Lake
from storage.lake.jobs import Scope
from storage.stats.shard import Shard

logger = logging.getLogger(__name__)


class _UnderWay:
    """A rebuild that has begun: the ranges of users that are left, and what it will answer."""

    def __init__(self, offset: int, job: Job, repaired: int, left: Sequence[Scope]) -> None:
        self.offset: Final = offset
        self.job: Final = job
        self.repaired: Final = repaired
        self.left = deque(left)
        self.users = 0
        self.error: str | None = None


class Rebuilder:
    """Rebuilds for the owner of a shard, one at a time; a restart ends one, and tells whoever waits for it."""

    def __init__(self, shard: Shard, lake: Lake, counter: Counter, flush: Callable[[], int]) -> None:
        self._shard = shard
        self._lake = lake
        self._counter = counter
        self._flush = flush
        self._now: _UnderWay | None = None
        with shard.writing() as connection:
            conclude_interrupted(connection, shard)

    @property
    def is_busy(self) -> bool:
        """Whether a rebuild is under way."""
        return self._now is not None

    def begin(self, job: Job, offset: int) -> None:
        """Repair tail and lake, and move the watermark over the command at `offset`; `go_on` does the rest.

        Raises `FencedError`, `StorageError` where something cannot be read: nothing has begun then.
        """
        while self.go_on():
            pass
        self._counter.forget()
        repaired = repair(self._shard, self._lake, self._flush, job)
        one = [] if job.user_id is None else [Scope(job.user_id, job.user_id)]
        left = one or scopes(self._shard.database, self._lake, within=owned_by(self._shard))
        self._now = _UnderWay(offset, job, repaired, left)  # before the COMMIT, whose answer may get lost
        with self._shard.writing(offset) as connection:
            store_result(connection, self._shard, offset, None)

    def give_up(self, offset: int) -> None:
        """Forget the rebuild that the command at `offset` would have begun: it was refused."""
        if self._now is not None and self._now.offset == offset:
            self._now = None

    def go_on(self) -> bool:
        """Compute the next users, in one transaction; False where no rebuild is under way. Raises `FencedError`.

        A failure ends the rebuild and is its answer: heartbeats do not wait until it can go on.
        """
        now = self._now
        if now is None:
            return False
        if self._shard.offset < now.offset:  # the COMMIT that begins it did not happen: the command comes again
            self._now = None
            return False
        if now.left and now.error is None:
            self._compute_next(now)
        if now.error is not None or not now.left:
            with self._shard.writing() as connection:
                answer: Answer = {"repaired": now.repaired, "users": now.users} if now.error is None else {}
                conclude(connection, self._shard, now.offset, answer, now.error)
            self._now = None
        return True

    def _compute_next(self, now: _UnderWay) -> None:
        try:
            now.users += rebuild_scope(self._shard, self._lake, now.left[0], now.job.days)
        except FencedError:
            raise
        except Exception as failure:
            logger.exception("The rebuild is given up")
            now.error = str(failure)
            self._shard.refresh()
        else:
            now.left.popleft()
        finally:
            self._counter.forget()  # it may hold what was wrong
