"""The two places of a lake, as the tests look at them: past the lake, with other programs' eyes."""

import duckdb
import polars as pl

from storage.lake.folder import FolderLake
from storage.lake.s3 import S3Lake


class FolderPlace:
    def __init__(self, folder):
        self.root = folder
        self.lake = FolderLake(folder)

    def files(self):
        """Every file, whatever its name, by its path in the lake."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def put(self, path, content):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def get(self, path):
        return (self.root / path).read_bytes()

    def remove(self, path):
        (self.root / path).unlink()

    def rows_of_glob(self):
        """What ordinary programs read by a plain glob: a frame of (user_id, id), sorted."""
        glob = f"{self.root}/heartbeats/**/*.parquet"
        by_duckdb = duckdb.sql(f"SELECT user_id, id FROM read_parquet('{glob}', hive_partitioning=true) ORDER BY ALL")
        by_polars = pl.scan_parquet(glob).select("user_id", "id").sort("user_id", "id").collect()
        assert by_duckdb.fetchall() == by_polars.rows()
        return by_polars


class S3Place:
    def __init__(self, bucket):
        self.bucket = bucket
        self.lake = S3Lake.at(bucket.url, bucket.environment())

    def files(self):
        """Every object by its path in the lake; pyarrow leaves an empty one, "date=…/", where it deleted the last."""
        return {key.removeprefix("lake/") for key in self.bucket.keys() if not key.endswith("/")}  # noqa: SIM118 - no dict

    def put(self, path, content):
        self.bucket.client.put_object(Bucket=self.bucket.name, Key=f"lake/{path}", Body=content)

    def get(self, path):
        return self.bucket.client.get_object(Bucket=self.bucket.name, Key=f"lake/{path}")["Body"].read()

    def remove(self, path):
        self.bucket.client.delete_object(Bucket=self.bucket.name, Key=f"lake/{path}")

    def rows_of_glob(self):
        """What polars, whose S3 client is not pyarrow's, reads by a plain glob: a frame of (user_id, id), sorted."""
        options = {name.lower(): value for name, value in self.bucket.environment().items()} | {
            "aws_allow_http": "true"
        }
        found = pl.scan_parquet(
            f"{self.bucket.url}/heartbeats/**/*.parquet", storage_options=options, credential_provider=None
        )
        return found.select("user_id", "id").sort("user_id", "id").collect()
