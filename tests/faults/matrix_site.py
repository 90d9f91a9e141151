"""A pipeline of processes for one fault after another, and what must be true of it after each."""

import contextlib
import itertools
import uuid
from collections import Counter
from itertools import groupby
from operator import attrgetter

import httpx
import sqlalchemy as sa

from aggregator.compact import is_due
from aggregator.verify import findings
from schemas.tables import lake_files, shards, tail
from storage.directory import Directory, NewUser
from storage.lake.catalog import live_files
from storage.log.kafka import KafkaTopic
from storage.log.kafka_topics import create_topic
from storage.stats import Database
from tests.distributed.cluster import BULK, Cluster, Service
from tests.faults.launcher import SESSION_S
from tests.faults.nursery import Nursery
from tests.lakes import FolderPlace, S3Place
from tests.server import eventually

USERS = 4
PARTITIONS = 2
DAY_S = 86_400
FIRST_DAY_S = 1_700_006_400  # 2023-11-15 00:00 UTC
BEATS = 12
SETTLED_WITHIN_S = 120
LOOK_EVERY_S = 0.05
MIN_FILES = 2
_DAY = attrgetter("shard", "date")
# Small, so that a few seconds of sending bring about every step.
BUSY = {
    "HEARTLINE_FLUSH_ROWS": "60",
    "HEARTLINE_FLUSH_INTERVAL": "0.5",
    "HEARTLINE_COMPACT_FILES": str(MIN_FILES),
}


class Site:
    """One ingest, one log, one database, one lake. `survivor`: the aggregator that takes over whatever others lose.

    The embedded log has one aggregator at a time, and so no survivor.
    """

    def __init__(self, folder, log_url, stats_url, place, **environment):
        self.folder = folder
        self.place = place
        self.embedded = log_url.startswith("sqlite:")
        self.cluster = Cluster(folder, log_url, stats_url, **BUSY, **environment)
        self.database = Database(stats_url)
        directory = Directory(self.database)
        added = [directory.add(NewUser(username=f"user-{n}")) for n in range(USERS)]
        self.keys = {user.user_id: key for user, key in added}
        self.acknowledged = set()  # (user id, heartbeat id)
        self.lost = self.double = 0  # of these, when last looked at
        self._last = {}
        self._rounds = itertools.count()
        self._http = httpx.Client(timeout=30)
        self._days = itertools.count()
        self._nursery = Nursery().__enter__()
        self.ingest = self.cluster.start("ingest")
        self.survivor = None if self.embedded else self.aggregate()
        self.new_days()

    def close(self):
        self._http.close()
        self.cluster.close()
        self._nursery.__exit__()
        self.database.close()

    def aggregate(self, fault=None, session_s=10):
        """Start an aggregator that will meet `fault`, or none."""
        environment = self.cluster.environment | {SESSION_S: str(session_s)}
        met = self.folder / f"met-{uuid.uuid4().hex[:6]}"
        if fault is not None:
            environment |= {"FAULT": fault, "FAULT_MET": str(met)}
        service = Service("aggregate", environment, self.folder, self._nursery.launch)
        service.met = met
        self.cluster.services.append(service)
        service.launch()
        service.wait_until_ready()
        return service

    def new_days(self):
        """From now on, heartbeats are of two days that have no files yet."""
        self._day_s = FIRST_DAY_S + 2 * DAY_S * next(self._days)

    def send(self):
        """Every user sends one bulk across a midnight, now and then the one before again; all must be acknowledged."""
        number = next(self._rounds)
        for user_id, key in self.keys.items():
            if number % 4 != 3 or user_id not in self._last:
                self._last[user_id] = [self._beat(number, n) for n in range(BEATS)]
            answer = self._http.post(
                self.ingest.url + BULK, json=self._last[user_id], headers={"Authorization": f"Bearer {key}"}
            )
            assert answer.status_code == 201, answer.text
            pairs = answer.json()["responses"]
            assert [status for _, status in pairs] == [201] * BEATS, pairs
            self.acknowledged |= {(user_id, stored["id"]) for stored, _ in pairs}

    def _beat(self, number, n):
        side_s = DAY_S * (n % 2)
        return {
            "entity": f"/{number}/{n}",
            "type": "file",
            "project": "p",
            "language": "Go",
            "time": self._day_s + side_s + 20 * number + n,
        }

    def stored(self):
        """How many heartbeats tail and lake hold together, and the tail alone."""
        with self.database.reading() as connection:
            live = sa.select(sa.func.sum(lake_files.c.rows)).where(lake_files.c.state == "live")
            in_tail = int(connection.scalar(sa.select(sa.func.sum(tail.c.count))) or 0)
            return in_tail + int(connection.scalar(live) or 0), in_tail

    def epochs(self):
        with self.database.reading() as connection:
            return dict(connection.execute(sa.select(shards.c.shard, shards.c.epoch)).all())

    def takes_over(self):
        """Wait until all that was acknowledged has gone through the tail into the lake."""
        wanted = (len(self.acknowledged), 0)
        assert eventually(self.stored, wanted, SETTLED_WITHIN_S, LOOK_EVERY_S) == wanted, self._logs()

    def settles(self):
        """Wait until nothing is left to do; then each acknowledged heartbeat lies in the lake once, and no other file.

        That a file which nobody names goes away by itself is not waited for: nobody would ever delete it.
        """
        self.takes_over()
        assert eventually(self._unfinished, [], SETTLED_WITHIN_S, LOOK_EVERY_S) == [], self._logs()
        files, named = self.place.files(), {file.path for file in self._live()}
        assert files == named, f"unnamed: {files - named}, missing: {named - files}\n{self._logs()}"
        self.lost, self.double = self._lost_and_double()
        assert (self.lost, self.double) == (0, 0), self._logs()
        assert list(findings(self.database, self.place.lake)) == []

    def _lost_and_double(self):
        """How many heartbeats a plain glob over the lake does not find, and how many it finds once too often."""
        found, expected = Counter(self.place.rows_of_glob().rows()), Counter(self.acknowledged)
        return (expected - found).total(), (found - expected).total()

    def _live(self):
        with self.database.reading() as connection:
            return live_files(connection)

    def _unfinished(self):
        """Entries of files that do not count, and days that are to be compacted."""
        with self.database.reading() as connection:
            states = connection.scalars(sa.select(lake_files.c.state).where(lake_files.c.state != "live")).all()
        days = groupby(sorted(self._live(), key=_DAY), key=_DAY)
        return [*states, *(day for day, of_day in days if is_due(list(of_day), MIN_FILES))]

    def _logs(self):
        return "\n".join(f"--- {s.log.name}\n{s.log.read_text()[-3000:]}" for s in self.cluster.services[-3:])


@contextlib.contextmanager
def embedded_site(folder):
    """SQLite for log and stats, the lake in a folder."""
    data = folder / "data"
    place = FolderPlace(data / "lake")
    with contextlib.closing(Site(folder, f"sqlite:///{data}/log.db", f"sqlite:///{data}/stats.db", place)) as site:
        yield site


@contextlib.contextmanager
def apart_site(folder, broker, postgres, bucket=None):
    """Kafka, PostgreSQL, and a lake in a folder or a bucket."""
    topic = KafkaTopic.parse(broker.url(f"faults-{uuid.uuid4().hex[:8]}"))
    create_topic(topic, PARTITIONS, 1)
    stats_url = postgres.new_url()
    environment = {"HEARTLINE_LAKE_URL": bucket.url, **bucket.environment()} if bucket else {}
    place = S3Place(bucket) if bucket else FolderPlace(folder / "data" / "lake")
    try:
        with contextlib.closing(Site(folder, topic.url, stats_url, place, **environment)) as site:
            yield site
    finally:
        postgres.drop(stats_url)
