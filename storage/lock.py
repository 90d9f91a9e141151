"""One process at a time: a lock file that the operating system releases when its holder ends, however it ends."""

import fcntl
import os
from pathlib import Path
from typing import Self

from storage.errors import LockedError


class FileLock:
    """Hold `path` for this process. Raises `LockedError`, naming the holder, when another process has it."""

    def __init__(self, path: Path, purpose: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 64).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise LockedError(f"{path} is held by process {holder}: {purpose}") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
