"""Following the shards that are ours: a thread for each, with an aggregator of its own.

Who reads what, the log's group decides; that nobody else writes a shard is its fence's business. So a shard that fails
(a gap, a newer format) stops alone, and is tried again while it is ours.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

import sqlalchemy as sa

from aggregator.service import Aggregator
from storage.errors import FencedError, StorageError
from storage.log import LogReader

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.25
_RETRY_S: Final = (1.0, 5.0, 15.0)


class ShardReader(LogReader, Protocol):
    """One shard of a log that several aggregators share."""

    @property
    def revoked(self) -> bool:
        """Whether the shard was given to another aggregator: taking it would be wrong."""


class Group(Protocol):
    """The readers of the shards that the log has given to this process."""

    def readers(self, known: Collection[object], timeout_s: float) -> Sequence[ShardReader]:
        """Give them once they are others than `known`, or after `timeout_s`. Whoever takes a reader closes it."""

    def report(self, shard: int, watermark: int) -> None:
        """Tell the log how far a shard is counted, for lag monitoring only."""


OpenShard = Callable[[LogReader, int], AbstractContextManager[Aggregator]]
"""Takes a shard, given its reader and how many shards this process follows. Raises `StorageError`."""


def follow(group: Group, open_shard: OpenShard, stop: threading.Event) -> None:
    """Follow whatever shards are ours until `stop` is set; then count what is left of each, and flush it."""
    followed: dict[ShardReader, _Followed] = {}
    while not stop.is_set():
        ours = group.readers(list(followed), _LOOK_EVERY_S)
        for reader in followed.keys() - set(ours):
            followed.pop(reader).end()
        for reader in ours:
            if reader not in followed:
                followed[reader] = _Followed(reader, open_shard, len(ours))
        for reader, shard in followed.items():
            group.report(reader.shard, shard.watermark())
    for shard in followed.values():
        shard.stop.set()
    for shard in followed.values():
        shard.end()


class _Followed:
    """A shard that is ours, and the thread that works on it."""

    def __init__(self, reader: ShardReader, open_shard: OpenShard, shards: int) -> None:
        self.stop = threading.Event()
        self._reader = reader
        self._open = open_shard
        self._shards = shards
        self._aggregator: Aggregator | None = None
        self._thread = threading.Thread(target=self._follow, name=f"shard-{reader.shard}", daemon=True)
        self._thread.start()

    def watermark(self) -> int:
        """Give the last offset that is counted (0: none, or not known yet)."""
        return self._aggregator.watermark if self._aggregator else 0

    def end(self) -> None:
        """Let it finish: what was given away at its next look at the log, what is ours with all that is there."""
        self.stop.set()
        self._thread.join()

    def _follow(self) -> None:
        failures = 0
        while not (self.stop.is_set() or self._reader.revoked):
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
        with self._open(self._reader, self._shards) as self._aggregator:
            self._aggregator.run(self.stop)
