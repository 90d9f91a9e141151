"""The lake: plain Parquet files, one row for each heartbeat; the table `lake_files` tells which of them count."""

from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa


class Lake(Protocol):
    """A place for immutable Parquet files, named by paths relative to its root."""

    def write(self, path: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Write one file of rows in `schemas.arrow.LAKE_SCHEMA` and return their number.

        When this returns, the file survives power loss; before, no glob for `*.parquet` sees any of it. Each batch
        becomes a row group. Raises `StorageError` when the path exists, `UnavailableError` when the disk refuses.
        """

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, and what an interrupted `write` left of them; gone for good when this returns.

        Those that do not exist are no error. Raises `UnavailableError` when the disk refuses.
        """

    def absolute(self, path: str) -> str:
        """Say where polars and DuckDB find a file."""
