"""The lake on a folder of this machine."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Final

import duckdb
import polars as pl
import pyarrow as pa

from storage.errors import StorageError, UnavailableError
from storage.lake.parquet import write_parquet

_UNFINISHED: Final = ".unfinished"
"""The folder of files that are being written: beside the data, so that no reader of a data folder meets them."""


class FolderLake:
    """A `Lake` on the folder `root`. polars, DuckDB and pyarrow never sync what they write, so this does."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def write(self, path: str, batches: Iterable[pa.RecordBatch]) -> int:
        """See `Lake.write`."""
        final, unfinished = self.root / path, self._unfinished(path)
        if final.exists():
            raise StorageError(f"The lake file {final} exists already; files are never replaced.")
        try:
            _make_durable_folder(final.parent)
            _make_durable_folder(unfinished.parent)
            rows = _write_synced(unfinished, batches)
            unfinished.rename(final)
            _sync_folder(final.parent)
        except OSError as error:
            raise UnavailableError(f"The lake file {final} cannot be written: {error}.") from error
        finally:
            unfinished.unlink(missing_ok=True)
        return rows

    def delete(self, paths: Iterable[str]) -> None:
        """See `Lake.delete`."""
        folders = set()
        for path in paths:
            for file in (self.root / path, self._unfinished(path)):
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    raise UnavailableError(f"The lake file {file} cannot be deleted: {error}.") from error
            folders.add((self.root / path).parent)
        for folder in folders:
            if folder.exists():
                _sync_folder(folder)

    def paths(self) -> list[str]:
        """See `Lake.paths`."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob("heartbeats/**/*.parquet"))

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """See `Lake.scan`."""
        files = [self.absolute(path) for path in paths]
        return pl.scan_parquet(files, glob=False, hive_partitioning=False, low_memory=True)

    def table(self, duck: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> str:  # noqa: ARG002 - files need no introduction
        """See `Lake.table`."""
        names = ", ".join("'" + self.absolute(path).replace("'", "''") + "'" for path in paths)
        return f"read_parquet([{names}], hive_partitioning=false)"  # views take no parameters

    def open(self, path: str) -> IO[bytes]:
        """See `Lake.open`."""
        return (self.root / path).open("rb")

    def absolute(self, path: str) -> str:
        """Say where other programs find a file."""
        return str(self.root / path)

    def _unfinished(self, path: str) -> Path:
        return self.root / _UNFINISHED / (path.rpartition("/")[2] + ".tmp")


def _write_synced(file: Path, batches: Iterable[pa.RecordBatch]) -> int:
    with file.open("wb") as sink:
        rows = write_parquet(sink, batches)
        sink.flush()
        os.fsync(sink.fileno())
    return rows


def _make_durable_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_durable_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
