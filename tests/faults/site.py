"""Services apart as one site that editors and readers use: several ingests and aggregators, one query, one topic."""

import contextlib
import itertools
import signal
import subprocess
import sys
import time
import uuid

import httpx
import psycopg

from storage.directory import Directory, NewUser
from storage.log.kafka import KafkaTopic
from storage.log.kafka_topics import create_topic
from storage.stats import Database
from tests.distributed import quick_session
from tests.distributed.cluster import Cluster
from tests.faults import checks
from tests.server import HEARTLINE, Account

SHARDS = 4
DONE_WITHIN_S = 300
# Small enough that flushes, compactions and cache misses are under way at many faults.
BUSY = {
    "HEARTLINE_FLUSH_ROWS": "1500",
    "HEARTLINE_FLUSH_INTERVAL": "2",
    "HEARTLINE_COMPACT_FILES": "2",
    "HEARTLINE_CACHE_ROWS": "20000",
}
_QUICK = (sys.executable, quick_session.__file__)


class Site(Cluster):
    """A cluster on a topic of its own, as editors, readers and the checks see it: `port` is another ingest each time.

    Editors thus go to another ingest when one fails, as plugins do behind a proxy on one port.
    """

    def __init__(self, folder, broker, stats_url, **environment):
        topic = KafkaTopic.parse(broker.url(f"site-{uuid.uuid4().hex[:8]}"))
        create_topic(topic, SHARDS, 1)
        shown = {"PYTHONFAULTHANDLER": "1"}  # SIGABRT shows where a process waits
        super().__init__(folder, topic.url, stats_url, **shown, **environment)
        Database(stats_url, migrate=True).close()
        self.stats_url = stats_url
        self.http = None
        self._turns = itertools.count()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.http is not None:
            self.http.close()
        self.close()

    @property
    def port(self):
        ingests = self.of_role("ingest")
        return int(ingests[next(self._turns) % len(ingests)].url.rpartition(":")[2])

    def of_role(self, role):
        return [service for service in self.services if service.role == role]

    def begin(self, ingests=2, aggregators=2, *, named=False):
        """Start that many of each and one query, at the same time; `named`: the aggregators are static members."""
        for _ in range(ingests):
            self.launch("ingest")
        self.http = httpx.Client(base_url=self.launch("query").url, timeout=120)
        for number in range(aggregators):
            self.launch("aggregate", *_QUICK, **({"HEARTLINE_INSTANCE": f"aggregate-{number}"} if named else {}))
        for service in self.services:
            service.wait_until_ready()

    def start_aggregator(self):
        """Start one more, whose shards go to others within seconds of its end."""
        return self.start("aggregate", *_QUICK)

    def new_aggregator(self):
        """Give one as those, to be started and ended by who asks."""
        return self.new_service("aggregate", *_QUICK)

    def accounts(self, number):
        """Give new users."""
        with contextlib.closing(Database(self.stats_url)) as database:
            added = [Directory(database).add(NewUser(username=f"user-{uuid.uuid4().hex[:12]}")) for _ in range(number)]
        return [Account(self, user.user_id, user.username, key) for user, key in added]

    def cli_until_done(self, *arguments):
        """Run a command again while it is refused (2), as its text asks: upkeep is under way. Findings (1) are none."""
        deadline = time.monotonic() + DONE_WITHIN_S
        while (command := self.command(*arguments)).wait() == 2 and time.monotonic() < deadline:
            command.communicate()
            time.sleep(0.5)
        output, _ = command.communicate()
        assert command.returncode == 0, f"{arguments}: {output}"

    def command(self, *arguments):
        """Begin a command that may fail."""
        return subprocess.Popen(
            [HEARTLINE, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def where_all_wait(self):
        """End the aggregators by a signal at which Python shows all stacks; give those, and what PostgreSQL does."""
        activity = self.query("SELECT pid, state, wait_event, pg_blocking_pids(pid), query FROM pg_stat_activity")
        aggregators = self.of_role("aggregate")
        for service in aggregators:
            service.process.send_signal(signal.SIGABRT)
            service.process.wait(DONE_WITHIN_S)
        stacks = "\n".join(f"{service.log.stem}: {service.output()[-12_000:]}" for service in aggregators)
        return "\n".join(map(str, activity)) + f"\n{self.epochs()}\n{stacks}"

    def epochs(self):
        """How often each shard was taken."""
        return dict(self.query("SELECT shard, epoch FROM shards"))

    def query(self, statement):
        with psycopg.connect(self.stats_url) as connection:
            return connection.execute(statement).fetchall()

    def everything_adds_up(self, team, within_s=60):
        """Let the editors finish; then each of their heartbeats is there once, and each figure is the naive one."""
        team.finish()
        for account in team.accounts:
            checks.every_acknowledged_heartbeat_is_listed_once(team, account, within_s)
            checks.exactly_the_acknowledged_are_listed(team, account)
            checks.figures_are_the_naive_ones(team, account)
        self.cli_until_done("verify")
