"""Following the shards that are ours: a thread for each, with an aggregator of its own.

Who reads what, the log's group decides; that nobody else writes a shard is its fence's business. So a shard that fails
(a gap, a newer format) stops alone, and is tried again while it is ours.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Final, Protocol

from aggregator.duty import FAILURES_OF_A_PLACE
from aggregator.service import Aggregator
from storage.errors import FencedError, UnavailableError
from storage.log import LogReader

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.25
_RETRY_S: Final = (1.0, 5.0, 15.0)
_LONG_S: Final = 60.0  # what went well for so long begins anew with the first delay


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
        number = self._reader.shard
        failures = 0
        while not (self.stop.is_set() or self._reader.revoked):
            began_s = time.monotonic()
            try:
                self._run()
            except FencedError as error:
                logger.warning("%s", error)
            except Exception as error:
                ours = not isinstance(error, FAILURES_OF_A_PLACE)
                shown = error if ours else None  # with its traceback
                logger.error("Shard %d cannot be followed: %s", number, error, exc_info=shown)  # noqa: TRY400 - see above
            failures = 0 if time.monotonic() - began_s > _LONG_S else failures + 1
            self.stop.wait(_RETRY_S[max(0, min(failures, len(_RETRY_S)) - 1)])
        with suppress(UnavailableError):  # the brokers will find out by themselves
            self._reader.close()

    def _run(self) -> None:
        with self._open(self._reader, self._shards) as self._aggregator:
            logger.info("Shard %d of log %s is ours.", self._reader.shard, self._reader.name)
            self._aggregator.run(self.stop)
