"""Duties beside the counting (flush, trimming, compaction): done when they are due, put off when they fail."""

import logging
from collections.abc import Callable
from typing import Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from storage.errors import FencedError, StoppedError, StorageError

logger = logging.getLogger(__name__)

FAILURES_OF_A_PLACE: Final = (StorageError, sa.exc.DBAPIError, OSError, duckdb.Error, pa.ArrowException, MemoryError)
"""What a disk or database brings about: its text says enough. Anything else is ours, and logged with its traceback."""

_FIRST_DELAY_S: Final = 10.0
_LONGEST_DELAY_S: Final = 600.0


class Duty:
    """Something that is to be done every `interval_s`. Its failures stop nothing: logged, and tried again later."""

    def __init__(self, name: str, interval_s: float, clock: Callable[[], float]) -> None:
        """`name`: what cannot be done, should it fail."""
        self._name = name
        self._interval_s = interval_s
        self._clock = clock
        self._not_before_s = clock() + interval_s
        self._failures = 0

    def attend(self, act: Callable[[], bool], *, at_once: bool = False) -> None:
        """Call `act` if it is time, or `at_once`; it tells whether there is more to do. Raises `FencedError` alone."""
        if self._clock() < self._not_before_s and not at_once:
            return
        try:
            more = act()
        except FencedError:
            raise
        except StoppedError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, counting goes on
            self._put_off(error)
        else:
            self._failures = 0
            self._not_before_s = self._clock() + (0 if more else self._interval_s)

    def _put_off(self, error: Exception) -> None:
        delay_s = min(_FIRST_DELAY_S * 2**self._failures, _LONGEST_DELAY_S)
        self._failures = min(self._failures + 1, 10)
        self._not_before_s = self._clock() + delay_s
        ours = not isinstance(error, FAILURES_OF_A_PLACE)
        logger.error("%s, again in %.0f s: %s", self._name, delay_s, error, exc_info=error if ours else None)
