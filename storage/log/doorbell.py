"""Waking the aggregator: a named pipe beside the embedded log, so that neither side polls."""

import os
import select
from contextlib import suppress
from pathlib import Path


class Doorbell:
    """The reader's end. Missed rings do no harm: the reader looks at the log after every wait."""

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Opened for both directions, the pipe never reports an end when a writer goes away.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, timeout_s: float) -> None:
        """Return at a ring, or after `timeout_s`."""
        ready, _, _ = select.select([self._pipe], [], [], timeout_s)
        if ready:
            with suppress(BlockingIOError):
                os.read(self._pipe, 65_536)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._pipe)


class Bell:
    """The writer's end; rings are dropped while nobody listens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pipe: int | None = None

    def ring(self) -> None:
        """Wake the reader, if there is one."""
        try:
            if self._pipe is None:
                self._pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.write(self._pipe, b"!")
        except BlockingIOError:
            pass  # rung already, and not heard yet
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the pipe."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
