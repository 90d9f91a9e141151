"""The log of requests that could not be kept: a broker that is away refuses thousands of them a second."""

import logging
from typing import Final

_SECOND_US: Final = 1_000_000
_EVERY_US: Final = 10 * _SECOND_US

_logger: Final = logging.getLogger(__name__)


class Refusals:
    """Writes a line for the first, then at most one in ten seconds; the metric of requests counts them all."""

    def __init__(self) -> None:
        self._unsaid = 0
        self._said_us = 0

    def note(self, error: Exception, now_us: int) -> None:
        """Take note of one request that was answered 503 because of `error`."""
        self._unsaid += 1
        if abs(now_us - self._said_us) < _EVERY_US:  # a clock may be put back
            return
        if self._unsaid == 1:
            _logger.warning("A request was answered 503: %s", error)
        else:
            _logger.warning("%d requests were answered 503, the last of them: %s", self._unsaid, error)
        self._unsaid, self._said_us = 0, now_us
