"""Looking into a cluster's database past Heartline: how far it is, and what its rows and statements cost."""

import contextlib
import time
from collections.abc import Iterator

import psycopg

from heartline.adapters import log_of
from heartline.settings import Settings

LOOK_EVERY_S = 0.05  # often enough for what takes seconds, and no load
WITHIN_S = 600


class Probe:
    """One connection to the database of a cluster."""

    def __init__(self, settings: Settings) -> None:
        """Connect."""
        self._log = log_of(settings)
        self._connection = psycopg.connect(settings.stats_url, autocommit=True)

    def number(self, statement: str) -> float:
        """Return the only value of the only row, 0 for null."""
        row = self._connection.execute(statement).fetchone()
        return float(row[0] or 0) if row else 0.0

    def run(self, statement: str) -> None:
        """Run a statement that has no rows."""
        self._connection.execute(statement)

    def wait_for(self, statement: str, least: float) -> None:
        """Return when a number is `least` or more. Raises `TimeoutError`."""
        end_s = time.monotonic() + WITHIN_S
        while self.number(statement) < least:
            if time.monotonic() > end_s:
                raise TimeoutError(f"{statement}: still below {least}")
            time.sleep(LOOK_EVERY_S)

    def wait_until_counted(self) -> None:
        """Return when all that the log holds is counted."""
        self.wait_for('SELECT sum("offset") FROM shards', sum(end.offset for end in self._log.ends()))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextlib.contextmanager
def probing(settings: Settings) -> Iterator[Probe]:
    """Give a probe, and hang up at the end."""
    with contextlib.closing(Probe(settings)) as probe:
        yield probe
