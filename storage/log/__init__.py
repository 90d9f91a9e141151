"""The log: an ordered, durable sequence for each shard."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from schemas.record import Record, StoredRecord


class Place(NamedTuple):
    """Where a record is: a log's name, a shard of it, and the offset there."""

    log: str
    shard: int
    offset: int


class LogWriter(Protocol):
    """What ingest and the commands need of a log."""

    async def append(self, records: Sequence[Record]) -> int:
        """Return the last record's offset when all are durable: they survive `kill -9` and power loss from then on.

        Raises `UnavailableError` when the log cannot take them, its queue being full included. Then the outcome may be
        unknown; sending the same heartbeats again is harmless.
        """

    async def close(self) -> None:
        """Make durable what is queued, then let go of the log."""


class LogReader(Protocol):
    """What an aggregator needs of a log."""

    @property
    def name(self) -> str:
        """Name the log, so that a re-created one is not mistaken for the old."""

    @property
    def shard(self) -> int:
        """Tell which shard of the log this is."""

    @property
    def shards(self) -> int:
        """Tell how many shards the log had when it was opened."""

    def read(self, after: int, max_bytes: int) -> list[StoredRecord]:
        """Read records whose offsets are above `after`, in order, about `max_bytes` of values (at least one record).

        Raises `GapError` where the first of them is gone, `UnavailableError`.
        """

    def end(self) -> int:
        """Give the last offset ever appended (0: none)."""

    def wait(self, timeout_s: float) -> None:
        """Return when there may be something new, or after `timeout_s`."""

    def trim(self, upto: int, older_than_us: int) -> int:
        """Delete a chunk of records at or below offset `upto` appended before `older_than_us`; return how many."""

    def close(self) -> None:
        """Let go of the log."""


class Log(Protocol):
    """A log as services and commands find it by its address."""

    async def writer(self, max_queued_bytes: int) -> LogWriter:
        """Open ingest's end. Raises `LockedError`, `UnavailableError`."""

    def append(self, record: Record, *, everywhere: bool = False) -> list[Place]:
        """Append from a command, to the user's shard or to each; durable on return. Raises `UnavailableError`."""

    def ends(self) -> list[Place]:
        """Give the last offset of each shard ever appended (0: none). Raises `UnavailableError`."""

    def without_ingest(self) -> AbstractContextManager[float]:
        """Keep ingests away meanwhile; gives the seconds after which those that run have noticed a closed log.

        Raises `LockedError` where one runs that cannot notice.
        """
