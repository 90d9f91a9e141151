"""A Heartline of a benchmark's own, in either kind of places: `heartline up` on a folder, or services apart.

Both are real: Kafka, PostgreSQL and moto's S3 server are those of the tests, here with what keeps data on the disk.
"""

import contextlib
import json
import pathlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks import cpu
from heartline.owner import ask
from heartline.settings import Settings, read_settings
from schemas.record import Flush
from tests.distributed.cluster import Cluster, Service
from tests.kafka.broker import KafkaBroker
from tests.server import Server as Up
from tests.servers.postgres import Postgres
from tests.servers.s3 import Bucket, S3Server

EMBEDDED = "embedded"
SERVICES_APART = "Kafka + PostgreSQL + S3"
PARTITIONS = 4
APART_SERVICES = ("ingest", "query", "aggregate")

# As an operator would have them: commits wait for the disk, memory is not a test's.
_POSTGRES = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_wal_size": "2GB"}
_STATEMENTS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top"}
_JAVA = ("-Xms512m", "-Xmx512m")


@dataclass(frozen=True)
class Server:
    """Where a running Heartline takes heartbeats and answers, the keys of its users, and what its parts use."""

    ingest_ports: Sequence[int]
    query_port: int
    keys: Sequence[str]
    settings: Settings
    cpu_s: Callable[[], cpu.CpuByPart]

    def flush(self) -> float:
        """Wait until everything acknowledged is counted and in Parquet; return the seconds that took."""
        start_s = time.perf_counter()
        ask(self.settings, Flush())
        return time.perf_counter() - start_s


Start = Callable[[Sequence[str]], contextlib.AbstractContextManager[Server]]
"""Starts a Heartline on fresh places with a user for each of the zones given; it ends with the context."""


@contextlib.contextmanager
def embedded(zones: Sequence[str], folder: pathlib.Path) -> Iterator[Server]:
    """Run `heartline up` on a fresh folder within `folder`."""
    up = Up(_fresh(folder))
    keys = _keys(up.cli("users", "import", _users_file(up.folder, zones)).stdout)
    try:
        up.start()
        settings = read_settings({"data": up.data})
        yield Server([up.port], up.port, keys, settings, lambda: cpu.of_embedded(up.process.pid))
        up.stop()
    finally:
        up.http.close()
        up.kill()


class Apart(Cluster):
    """Services apart, on a topic, a database and a bucket."""

    def __init__(self, folder: pathlib.Path, log_url: str, stats_url: str, bucket: Bucket) -> None:
        """Nothing runs before `start`."""
        super().__init__(folder, log_url, stats_url, HEARTLINE_LAKE_URL=bucket.url, **bucket.environment())
        self._bucket = bucket

    def lake_bytes(self) -> int:
        """Return the size of all objects together."""
        pages = self._bucket.client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name)
        return sum(item["Size"] for page in pages for item in page.get("Contents", ()))


class Servers:
    """A Kafka broker, a PostgreSQL and moto's S3 server that all cases share, each case with places of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        """`folder` is where the broker's data go and what the services write."""
        self.folder = folder
        self.broker = KafkaBroker(folder / "kafka", java=_JAVA)
        self.postgres = Postgres(**_POSTGRES, **_STATEMENTS)
        self.s3 = S3Server(folder)
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start them."""
        with contextlib.ExitStack() as running:
            for server in (self.broker, self.postgres, self.s3):
                running.enter_context(server)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        self._running.close()

    @contextlib.contextmanager
    def cluster(self, partitions: int = PARTITIONS) -> Iterator[Apart]:
        """Make a topic, a database and a bucket; no service runs yet."""
        stats_url = self.postgres.new_url(empty=True)
        log_url = self.broker.url(f"bench-{uuid.uuid4().hex[:8]}")
        with contextlib.ExitStack() as used:
            bucket = used.enter_context(contextlib.closing(self.s3.new_bucket()))
            cluster = used.enter_context(contextlib.closing(Apart(_fresh(self.folder), log_url, stats_url, bucket)))
            cluster.cli("topics", "create", "--partitions", str(partitions), "--replication", "1")
            cluster.cli("migrate")
            yield cluster
        self.postgres.drop(stats_url)

    @contextlib.contextmanager
    def apart(self, zones: Sequence[str], services: Sequence[str] = APART_SERVICES) -> Iterator[Server]:
        """Run services apart, on places of their own."""
        with self.cluster() as cluster:
            keys = add_users(cluster, zones)
            for role in services:
                cluster.start(role)
            yield self.view(cluster, keys)

    def view(self, cluster: Apart, keys: Sequence[str]) -> Server:
        """Give the server that the services of a cluster, as far as they run, make together."""
        ports = {role: [_port(one.url) for one in started] for role, started in _by_role(cluster).items()}
        variables = {
            name: cluster.environment[f"HEARTLINE_{name.upper()}"] for name in ("data", "log_url", "stats_url")
        }
        settings = read_settings(variables | {"lake_url": cluster.environment["HEARTLINE_LAKE_URL"]})
        query_port = ports["query"][0] if "query" in ports else 0
        return Server(ports.get("ingest", []), query_port, keys, settings, lambda: self.cpu_s(cluster))

    def cpu_s(self, cluster: Apart) -> cpu.CpuByPart:
        """Return what the services of a cluster and the servers below them have used."""
        used = {
            {"aggregate": "aggregator"}.get(role, role): sum(cpu.of_tree(one.process.pid) for one in started)
            for role, started in _by_role(cluster).items()
        }
        servers = {"broker": self.broker.process.pid, "database": self.postgres.pid, "s3": self.s3.process.pid}
        return used | {part: cpu.of_tree(pid) for part, pid in servers.items()}


def add_users(cluster: Apart, zones: Sequence[str]) -> list[str]:
    """Import a user for each zone; return their keys."""
    return _keys(cluster.cli("users", "import", str(_users_file(cluster.folder, zones))))


def _by_role(cluster: Apart) -> dict[str, list[Service]]:
    started: dict[str, list[Service]] = {}
    for service in cluster.services:
        started.setdefault(service.role, []).append(service)
    return started


def _fresh(folder: pathlib.Path) -> pathlib.Path:
    made = folder / uuid.uuid4().hex[:8]
    made.mkdir(parents=True)
    return made


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _users_file(folder: pathlib.Path, zones: Sequence[str]) -> pathlib.Path:
    path = folder / "users.json"
    path.write_text(json.dumps([{"username": f"dev-{n:03d}", "timezone": zone} for n, zone in enumerate(zones)]))
    return path


def _keys(printed: str) -> list[str]:
    return [json.loads(line)["api_key"] for line in printed.splitlines()]
