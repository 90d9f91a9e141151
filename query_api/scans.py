"""How much scanning of single heartbeats goes on at once: it must not slow down what segments answer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from query_api.errors import ApiError


class ScanLimits(NamedTuple):
    """`at_once` scans run, `waiting` more requests wait for at most `wait_s`; a scan takes at most `scan_s`."""

    # A scan keeps every core busy: more at once only make each slower.
    at_once: int = 2
    # Each occupies one of the 40 threads that all handlers share.
    waiting: int = 24
    # A reader gives up at about 30 s; most scans take well below a second.
    wait_s: float = 10
    # 1,000,000 heartbeats take half a second.
    scan_s: float = 20


class Scan:
    """A scan under way; call `check` now and then."""

    def __init__(self, deadline_s: float, clock: Callable[[], float]) -> None:
        self._deadline_s = deadline_s
        self._clock = clock

    def check(self) -> None:
        """Raise 503 when it has taken too long."""
        if self._clock() > self._deadline_s:
            raise ApiError(503, "This takes too long to compute, ask for a shorter range")


class Scans:
    """The places for scans; `clock` gives seconds of any origin that only grow."""

    def __init__(self, limits: ScanLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or ScanLimits()
        self._clock = clock
        self._running = threading.BoundedSemaphore(self._limits.at_once)
        self._admitted = threading.BoundedSemaphore(self._limits.at_once + self._limits.waiting)

    @contextmanager
    def place(self) -> Iterator[Scan]:
        """Wait for a place, in a thread of its own, and hold it meanwhile. Raises 503 when there is none in time."""
        if not self._admitted.acquire(blocking=False):
            raise _busy()
        try:
            if not self._running.acquire(timeout=self._limits.wait_s):
                raise _busy()
            try:
                yield Scan(self._clock() + self._limits.scan_s, self._clock)
            finally:
                self._running.release()
        finally:
            self._admitted.release()


def _busy() -> ApiError:
    return ApiError(503, "Too many long computations, try again soon")
