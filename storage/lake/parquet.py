"""How every lake file is written, wherever it rests."""

from collections.abc import Iterable
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import LAKE_SCHEMA, SORTED_BY


def write_parquet(sink: IO[bytes], batches: Iterable[pa.RecordBatch]) -> int:
    """Write one file of rows in `LAKE_SCHEMA`, a row group for each batch; return their number."""
    rows = 0
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
    return rows
