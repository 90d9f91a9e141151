"""Following the shards that are ours: a thread for each, with an aggregator of its own.

Who reads what, the log's group decides; that nobody else writes a shard is its fence's business. So a shard that fails
(a gap, a newer format) stops alone, and is tried again while it is ours.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

import sqlalchemy as sa

from aggregator.service import Aggregator
from storage.errors import FencedError, StorageError
from storage.log import LogReader

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.25
_RETRY_S: Final = (1.0, 5.0, 15.0)


class Group(Protocol):
    """The readers of the shards that the log has given to this process."""

    def readers(self, known: Collection[LogReader], timeout_s: float) -> Sequence[LogReader]:
        """Give them once they are others than `known`, or after `timeout_s`. Whoever takes a reader closes it."""

    def report(self, shard: int, watermark: int) -> None:
        """Tell the log how far a shard is counted, for lag monitoring only."""


def follow(group: Group, open_shard: Callable[[LogReader, int], Aggregator], stop: threading.Event) -> None:
    """Follow whatever shards are ours until `stop` is set; then count what is left of each, and flush it.

    `open_shard` is given a reader and how many shards are ours.
    """
    followed: dict[LogReader, _Followed] = {}
    while not stop.is_set():
        ours = group.readers(list(followed), _LOOK_EVERY_S)
        for reader in followed.keys() - set(ours):
            followed.pop(reader).end()
        for reader in ours:
            if reader not in followed:
                followed[reader] = _Followed(reader, lambda log, count=len(ours): open_shard(log, count))
        for reader, shard in followed.items():
            group.report(reader.shard, shard.watermark)
    for shard in followed.values():
        shard.stop.set()
    for shard in followed.values():
        shard.end()


class _Followed:
    """A shard that is ours, and the thread that works on it."""

    def __init__(self, reader: LogReader, open_shard: Callable[[LogReader], Aggregator]) -> None:
        self.stop = threading.Event()
        self.watermark = 0
        self._reader = reader
        self._open = open_shard
        self._thread = threading.Thread(target=self._follow, name=f"shard-{reader.shard}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let it finish: a shard that was given away at its next look at the log."""
        self.stop.set()
        self._thread.join()

    def _follow(self) -> None:
        failures = 0
        while not self.stop.is_set():
            try:
                self._run()
            except FencedError as error:
                logger.warning("%s", error)
            except (StorageError, sa.exc.DBAPIError, OSError) as error:
                logger.error("Shard %d cannot be followed: %s", self._reader.shard, error)  # noqa: TRY400 - one line
            self.stop.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1
        self._reader.close()

    def _run(self) -> None:
        aggregator = self._open(self._reader)
        try:
            aggregator.run(self.stop)
        finally:
            aggregator.close()
