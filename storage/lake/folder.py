"""The lake on a folder of this machine."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import LAKE_SCHEMA, SORTED_BY
from storage.errors import StorageError, UnavailableError

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

    def absolute(self, path: str) -> str:
        """See `Lake.absolute`."""
        return str(self.root / path)

    def _unfinished(self, path: str) -> Path:
        return self.root / _UNFINISHED / (path.rpartition("/")[2] + ".tmp")


def _write_synced(file: Path, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    with file.open("wb") as sink:
        with pq.ParquetWriter(
            sink,
            LAKE_SCHEMA,
            compression="zstd",
            write_page_checksum=True,  # `heartline verify` finds the bits that a disk has lost
            sorting_columns=pq.SortingColumn.from_ordering(LAKE_SCHEMA, [(name, "ascending") for name in SORTED_BY]),
        ) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
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
