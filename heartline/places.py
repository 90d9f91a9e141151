"""What must be there before anything starts: folders that can be written, a port that is free."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from heartline.settings import Settings

_BACKLOG: Final = 2048  # connections that wait while the front starts again


class StartError(Exception):
    """Something outside keeps Heartline from starting; the text says in one line what to do."""


def prepare_folders(settings: Settings) -> None:
    """Make the folders of the data and try to write in each. Raises `StartError`."""
    for folder in _folders(settings):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise StartError(
                f"The folder {folder} cannot be written: {_reason(error)}. Choose one with --data."
            ) from error


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 takes any free one. Raises `StartError`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"Port {port} of {host} is in use: choose another with --port.") from error
        raise StartError(f"Cannot listen at {host}, port {port}: {_reason(error)}.") from error


def public_url(listener: socket.socket) -> str:
    """Give the address at which this machine's programs reach a listening socket."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class FreeSpace:
    """Whether the disks have room; ingest asks `reason` for every request, `check` runs once a second."""

    def __init__(self, settings: Settings) -> None:
        self._folders = _folders(settings)
        self._min_free_bytes = settings.min_free
        self._reason: str | None = None
        self.check()

    def check(self) -> None:
        """Look at the disks. Raises `OSError` when one cannot be asked."""
        free = min(shutil.disk_usage(folder).free for folder in self._folders)
        low = free < self._min_free_bytes
        self._reason = f"Less than {self._min_free_bytes} bytes are free on the disk." if low else None

    def reason(self) -> str | None:
        """Say why nothing can be taken now; None: all is well."""
        return self._reason


def _folders(settings: Settings) -> list[Path]:
    files = [path.parent for path in (settings.log_path, settings.stats_path) if path is not None]
    lake = [settings.lake_path] if settings.lake_path is not None else []
    return _distinct([settings.data, *files, *lake])


def _distinct(folders: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(folders))


def _reason(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)
