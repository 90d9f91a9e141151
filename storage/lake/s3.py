"""The lake on S3, or on what speaks its protocol."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Final, Self
from urllib.parse import urlsplit

import duckdb
import polars as pl
import pyarrow as pa
from pyarrow import dataset, fs

from schemas.arrow import LAKE_SCHEMA
from storage.errors import StorageError, UnavailableError, is_gone
from storage.lake.parquet import write_parquet

_ATTEMPTS: Final = 3
"""Of a request that meets 5xx, SlowDown or a broken connection, with growing pauses: a second or two in all."""

_CONNECT_WITHIN_S: Final = 3.0
_SILENT_AT_MOST_S: Final = 10.0
_BYTES_AT_ONCE: Final = 1 << 22


class S3Lake:
    """A `Lake` on objects whose keys begin with `root`, "bucket" or "bucket/prefix"."""

    def __init__(self, root: str, files: fs.S3FileSystem) -> None:
        self.root = root
        self._files = files

    @classmethod
    def at(cls, url: str, environment: Mapping[str, str] = os.environ) -> Self:
        """Take the lake at s3://BUCKET/PREFIX; region, endpoint and credentials come by the usual AWS variables.

        Nothing is asked of the server yet.
        """
        return cls(url.removeprefix("s3://").strip("/"), _connect(environment))

    def write(self, path: str, batches: Iterable[pa.RecordBatch]) -> int:
        """See `Lake.write`. The file is complete on the local disk before its first byte is sent.

        Whatever closes an upload of pyarrow's completes it, so one must never be begun that may not be finished.
        """
        try:
            with tempfile.TemporaryFile() as file:
                rows = write_parquet(file, batches)
                self._upload(path, file)
        except OSError as error:
            raise UnavailableError(f"The lake object {self._key(path)} cannot be written: {error}.") from error
        return rows

    def delete(self, paths: Iterable[str]) -> None:
        """See `Lake.delete`."""
        for path in paths:
            try:
                self._files.delete_file(self._key(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise UnavailableError(f"The lake object {self._key(path)} cannot be deleted: {error}.") from error

    def paths(self) -> list[str]:
        """See `Lake.paths`."""
        selector = fs.FileSelector(self._key("heartbeats"), allow_not_found=True, recursive=True)
        try:
            found = self._files.get_file_info(selector)
        except OSError as error:
            raise UnavailableError(f"The lake at {self.root} cannot be listed: {error}.") from error
        keys = sorted(info.path for info in found if info.path.endswith(".parquet"))
        return [key.removeprefix(f"{self.root}/") for key in keys]

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """See `Lake.scan`."""
        return pl.scan_pyarrow_dataset(self._dataset(paths))

    def table(self, duck: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> str:
        """See `Lake.table`. DuckDB's own reader of S3 would be downloaded at run time."""
        name = f"lake_{secrets.token_hex(8)}"
        duck.register(name, self._dataset(paths))
        return name

    def open(self, path: str) -> IO[bytes]:
        """See `Lake.open`. The object is fetched first, so that a server that is away is not taken for damage."""
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            with self._files.open_input_stream(self._key(path)) as stream:
                shutil.copyfileobj(stream, copy, _BYTES_AT_ONCE)
        except OSError as error:
            copy.close()
            if is_gone(error):
                raise FileNotFoundError(path) from error
            raise UnavailableError(f"The lake object {self._key(path)} cannot be read: {error}.") from error
        copy.seek(0)
        return copy

    def _upload(self, path: str, file: IO[bytes]) -> None:
        if self._files.get_file_info(self._key(path)).type != fs.FileType.NotFound:
            raise StorageError(f"The lake object {self._key(path)} exists already; objects are never replaced.")
        file.seek(0)
        stream = self._files.open_output_stream(self._key(path))
        while piece := file.read(_BYTES_AT_ONCE):
            stream.write(piece)
        stream.close()  # completes the upload, unless one of its parts failed

    def _dataset(self, paths: Sequence[str]) -> dataset.FileSystemDataset:
        keys = [self._key(path) for path in paths]
        return dataset.FileSystemDataset.from_paths(
            keys, schema=LAKE_SCHEMA, format=dataset.ParquetFileFormat(), filesystem=self._files
        )

    def _key(self, path: str) -> str:
        return f"{self.root}/{path}"


def _connect(environment: Mapping[str, str]) -> fs.S3FileSystem:
    endpoint = urlsplit(environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or "https://")
    return fs.S3FileSystem(
        access_key=environment.get("AWS_ACCESS_KEY_ID"),
        secret_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        session_token=environment.get("AWS_SESSION_TOKEN"),
        region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"),
        scheme=endpoint.scheme,
        endpoint_override=endpoint.netloc + endpoint.path.rstrip("/") or None,
        connect_timeout=_CONNECT_WITHIN_S,
        request_timeout=_SILENT_AT_MOST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )
