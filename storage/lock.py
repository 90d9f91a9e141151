"""One process at a time: a lock file that the operating system releases when its holder ends, however it ends."""

import fcntl
import os
from pathlib import Path
from typing import Final, Self

from storage.errors import BusyError, LockedError

_COMMAND: Final = " (a command)"


class FileLock:
    """Hold `path` for this process, `for_a_command`: not for long.

    Raises `LockedError`, naming the holder, when another process has it; `BusyError` when a command does.
    """

    def __init__(self, path: Path, purpose: str, *, for_a_command: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 64).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            kind = BusyError if holder.endswith(_COMMAND) else LockedError
            raise kind(f"{path} is held by process {holder}: {purpose}") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}{_COMMAND if for_a_command else ''}\n".encode(), 0)

    def release(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
