"""Reading one user's heartbeats out of Parquet files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import polars as pl
import pyarrow as pa

from schemas.arrow import LAKE_SCHEMA
from schemas.heartbeat import Heartbeat
from storage.errors import StorageError, UnavailableError, is_gone
from storage.lake import Lake

MEASURED: Final = {"time_us": pl.Int64, "project": pl.String, "language": pl.String, "category": pl.String}
"""What measuring a selection of heartbeats needs."""

_STORED_INSTANTS: Final = ("time", "created_at")
_SAME_NAME: Final = [name for name in LAKE_SCHEMA.names if name not in {"user_id", *_STORED_INSTANTS}]


def read_user(lake: Lake, paths: Sequence[str], user_id: int, from_us: int, to_us: int) -> list[Heartbeat]:
    """Read a user's heartbeats of [from_us, to_us) from files, in no promised order.

    Files are sorted by user and time, so their row groups' statistics skip nearly everything else.
    Raises `FileNotFoundError` when a file is gone, `StorageError` when one cannot be read, `UnavailableError` when the
    place of the lake is away.
    """
    if not paths:
        return []
    with _clear_errors(paths):
        frame = _of_user(lake, paths, user_id, from_us, to_us).collect()
    return [Heartbeat(**row) for row in frame.iter_rows(named=True)]


def read_measured(lake: Lake, paths: Sequence[str], user_id: int, from_us: int, to_us: int) -> pl.DataFrame:
    """Read as `read_user`, columns of `MEASURED` alone: thirty times as fast for a long history."""
    if not paths:
        return pl.DataFrame(schema=MEASURED)
    with _clear_errors(paths):
        return _of_user(lake, paths, user_id, from_us, to_us).select(MEASURED.keys()).collect()


@contextmanager
def _clear_errors(paths: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, pa.ArrowInvalid) as error:
        raise StorageError(f"A lake file of {', '.join(paths)} cannot be read: {error}.") from error
    except OSError as error:
        if is_gone(error):
            raise FileNotFoundError(str(error)) from error
        raise UnavailableError(f"The lake cannot be read: {error}.") from error


def _of_user(lake: Lake, paths: Sequence[str], user_id: int, from_us: int, to_us: int) -> pl.LazyFrame:
    wanted = (pl.col("user_id") == user_id) & (pl.col("time") >= _instant(from_us)) & (pl.col("time") < _instant(to_us))
    instants = [pl.col(name).cast(pl.Int64).alias(f"{name}_us") for name in _STORED_INSTANTS]
    return lake.scan(paths).filter(wanted).select(*_SAME_NAME, *instants)


def _instant(time_us: int) -> pl.Expr:
    return pl.lit(time_us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
