"""The lake: plain Parquet files, one row for each heartbeat; the table `lake_files` tells which of them count."""

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:  # each process loads what it runs, and nothing else
    import duckdb
    import polars as pl


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

    def paths(self) -> list[str]:
        """List every Parquet file that a glob finds, whether it counts or not. Raises `UnavailableError`."""

    def scan(self, paths: Sequence[str]) -> "pl.LazyFrame":
        """Open files for polars, columns as in `schemas.arrow.LAKE_SCHEMA`.

        Collecting raises `FileNotFoundError` when one is gone, another `OSError` when the place is away, and polars'
        or pyarrow's error when one is damaged.
        """

    def open(self, path: str) -> IO[bytes]:
        """Open one file by itself, to be closed by the caller.

        What goes wrong with it then is damage. Raises `FileNotFoundError` when it is gone, `UnavailableError` when the
        place is away.
        """

    def table(self, duck: "duckdb.DuckDBPyConnection", paths: Sequence[str]) -> str:
        """Let a DuckDB read files, for as long as it is open; return them as a table expression."""
