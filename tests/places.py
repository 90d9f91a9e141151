"""Where a server of the tests keeps its data: in files of its folder, or on Kafka, PostgreSQL and S3.

What a test needs to know of them it finds in the server's environment, as the server does.
"""

import contextlib

import duckdb
import polars as pl

from heartline.settings import PREFIX, read_settings
from storage.lake.opening import open_lake
from storage.lake.s3 import S3Lake
from tests.storage.logs import KafkaLog

SHARDS = 3


class Embedded:
    """The default: log.db, stats.db and a lake's folder, all in the data folder."""

    name = "embedded"
    commands_wait = False
    """Whether a command waits for an aggregator, or does its work where none runs."""

    def new(self):
        """Give the variables of fresh places."""
        return {}


class Distributed:
    """Several shards on a real Kafka broker, a real PostgreSQL, and moto's S3 server."""

    name = "distributed"
    commands_wait = True

    def __init__(self, broker, postgres, s3_server):
        self._broker = broker
        self._postgres = postgres
        self._s3_server = s3_server

    def new(self):
        """Give the variables of a new topic, an empty database and an empty bucket."""
        lake_url, variables = self._new_bucket()
        return {
            "HEARTLINE_LOG_URL": self.new_log().topic.url,
            "HEARTLINE_STATS_URL": self._postgres.new_url(empty=True),
            "HEARTLINE_LAKE_URL": lake_url,
            "HEARTLINE_INSTANCE": "up",  # back after a kill, it goes on with its shards at once
            **variables,
        }

    def new_log(self):
        return KafkaLog(self._broker, SHARDS)

    def new_lake(self):
        return S3Lake.at(*self._new_bucket())

    def _new_bucket(self):
        with contextlib.closing(self._s3_server.new_bucket()) as bucket:
            return bucket.url, bucket.environment()


def settings_of(environment):
    """The settings as a process with this environment reads them."""
    named = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    return read_settings({name.removeprefix(PREFIX).lower(): value for name, value in named.items()})


def lake_of(environment):
    """Open the lake that a process with this environment writes."""
    url = settings_of(environment).lake_url
    return S3Lake.at(url, environment) if url.startswith("s3://") else open_lake(url)


def scan(environment):
    """Give what polars finds by a plain glob over the Parquet files."""
    glob = _glob(environment)
    if not glob.startswith("s3://"):
        return pl.scan_parquet(glob, hive_partitioning=True)
    options = {name.lower(): value for name, value in environment.items() if name.startswith("AWS_")}
    options["aws_allow_http"] = "true"
    return pl.scan_parquet(glob, hive_partitioning=True, storage_options=options, credential_provider=None)


@contextlib.contextmanager
def parquet(environment):
    """Give an ordinary DuckDB whose view `lake` is what a plain glob over the Parquet files finds."""
    glob = _glob(environment)
    with duckdb.connect() as connection:
        if glob.startswith("s3://"):  # DuckDB's own client of S3 would be downloaded
            connection.register("lake", scan(environment).collect().to_arrow())
        else:
            connection.read_parquet(glob, hive_partitioning=True).create_view("lake")
        yield connection


def _glob(environment):
    return f"{settings_of(environment).lake_url}/heartbeats/**/*.parquet"
