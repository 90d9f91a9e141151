"""Upkeep: trimming the log and compacting closed days, a little at a time, so that counting never waits for it."""

import threading
from collections.abc import Callable
from typing import Final

from aggregator.beside import Beside
from aggregator.compact import begin_compaction, due_days, finish_compaction, give_up, write_compacted
from aggregator.duty import Duty
from aggregator.recover import recover
from aggregator.verify import Difference
from storage.lake import Lake
from storage.lake.catalog import LakeFile
from storage.log import LogReader
from storage.stats.shard import Shard

_INTERVAL_S: Final = 60.0


class Upkeep:
    """What the owner of a shard does between micro-batches. No failure of it but `FencedError` reaches the counting."""

    def __init__(
        self,
        shard: Shard,
        lake: Lake,
        log: LogReader,
        *,
        compact_files: int,
        log_keep_s: float,
        forget: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`forget` drops cached stats: an audit may have repaired what they were read from."""
        self._shard = shard
        self._lake = lake
        self._log = log
        self._compact_files = compact_files
        self._log_keep_s = log_keep_s
        self._forget = forget
        self._clock = clock
        self._trimming = Duty("The log could not be trimmed", _INTERVAL_S, clock)
        self._compacting = Duty("Closed days could not be compacted", _INTERVAL_S, clock)
        self._rewriting: Beside[list[Difference]] = Beside("compact")
        self._due: list[list[LakeFile]] = []

    @property
    def is_writing(self) -> bool:
        """Whether a day is being rewritten: the owner has no other files in hand then."""
        return self._rewriting.is_busy

    def step(self, stop: threading.Event, *, may_write: bool) -> None:
        """Do a little of what is due; `may_write`: the owner has no other files in hand. Raises `FencedError` alone."""
        self._trimming.attend(self._trim)
        if may_write:
            self._compacting.attend(lambda: self._compact(stop))

    def interrupt(self) -> None:
        """Wait for a rewrite under way, before something else changes the lake. Raises `FencedError` alone."""
        self._due.clear()
        if self.is_writing:
            self._compacting.attend(lambda: self._settle(wait=True), at_once=True)

    def abandon(self) -> None:
        """Wait for a rewrite under way; what it wrote never counts."""
        self._rewriting.abandon()

    def _trim(self) -> bool:
        """Delete one chunk: ingest commits between this one and the next."""
        older_than_us = int((self._clock() - self._log_keep_s) * 1_000_000)
        return self._log.trim(self._shard.offset, older_than_us) > 0

    def _compact(self, stop: threading.Event) -> bool:
        if self.is_writing:
            return self._settle(wait=False)
        if not self._due:
            recover(self._shard, self._lake)
            self._due = due_days(self._shard, min_files=self._compact_files, now_s=self._clock())
            if not self._due:
                return False
        compaction = begin_compaction(self._shard, self._due.pop(0))

        def finish(differences: list[Difference]) -> None:
            try:
                finish_compaction(self._shard, self._lake, compaction, differences)
            finally:
                if differences:
                    self._forget()

        self._rewriting.start(lambda: write_compacted(compaction, self._shard.database, self._lake, stop), finish)
        return True

    def _settle(self, *, wait: bool) -> bool:
        try:
            self._rewriting.settle(wait=wait)
        except Exception:
            self._due.clear()
            give_up(self._shard, self._lake)
            raise
        return True
