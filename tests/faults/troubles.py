"""What can happen to services apart and to their places, drawn at random; each trouble ends with all as before."""

import random
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from tests.distributed.quick_session import SESSION_S
from tests.faults import checks
from tests.faults.site import Site
from tests.kafka.broker import KafkaBroker
from tests.server import eventually
from tests.servers.postgres import Postgres
from tests.servers.s3 import Bucket, FaultyS3
from tests.servers.tcp_proxy import TcpProxy

BACK_WITHIN_S = 300  # all this on a machine that does more takes its time
STOPPED_WITHIN_S = 60
COMMAND_WITHIN_S = 600
SLOW_S = 0.8
S3_FAULTS = (500, 503, "reset", "cut", "lost", "slow")


@dataclass
class World:
    """A site and its places."""

    site: Site
    broker: KafkaBroker
    proxy: TcpProxy
    postgres: Postgres
    s3: FaultyS3
    bucket: Bucket

    def lost_and_double(self, teams):
        """Stop everything; compare what is in Parquet, by a plain glob, with what was acknowledged."""
        self.site.cli_until_done("flush")
        for service in self.site.services:
            assert service.end() == 0, service.output()[-4_000:]
        states = {f"lake/{path}": state for path, state in self.site.query("SELECT path, state FROM lake_files")}
        objects = {key for key in self.bucket.keys() if not key.endswith("/")}  # noqa: SIM118 - no dict
        without_object = {path: state for path, state in states.items() if path not in objects}
        assert objects <= states.keys(), f"objects that no entry names: {objects - states.keys()}"
        assert not without_object, f"entries without an object: {without_object}"
        expected = Counter(
            (account.user_id, h["id"], h["time_us"])
            for team in teams
            for account in team.accounts
            for h in team.acknowledged(account)
        )
        found = Counter(self._rows())
        return (expected - found).total(), (found - expected).total()

    def _rows(self):
        options = {name.lower(): value for name, value in self.bucket.environment().items()}
        frame = pl.scan_parquet(
            f"{self.bucket.url}/heartbeats/**/*.parquet",
            storage_options=options | {"aws_allow_http": "true"},
            credential_provider=None,
        )
        return frame.select("user_id", "id", pl.col("time").dt.epoch("us")).collect().rows()


class Troubles:
    """Up to three at once, each of another place. `counts` tells how often each was."""

    def __init__(self, world, draw):
        self.world = world
        self.site = world.site
        self.steps = 0
        self.counts = Counter()
        self._draw = draw
        self._places = {
            "services": [self._kill, self._kill, self._stop, self._freeze, self._come_and_go],
            "broker": [self._kill_broker, self._stop_broker, self._cut_broker, self._hang_broker, self._slow_broker],
            "database": [self._kill_database, self._stop_database],
            "lake": [self._fail_s3],
            "commands": [self._run_command],
        }

    def summary(self):
        return ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))

    def step(self, team):
        """Let some things happen; then everything works again and more is acknowledged."""
        self.steps += 1
        number = self._draw.choices((1, 2, 3), (5, 3, 1))[0]
        chosen = [self._draw.choice(self._places[place]) for place in self._draw.sample(list(self._places), number)]
        names = ", ".join(trouble.__name__ for trouble in chosen)
        print(f"{time.strftime('%H:%M:%S')} step {self.steps}: {names}", flush=True)
        with ThreadPoolExecutor(number) as pool:
            happening = [pool.submit(trouble, random.Random(self._draw.random())) for trouble in chosen]
        for one in happening:
            one.result()
        for service in self.site.services:
            assert service.process.poll() is None, f"{service.role} has ended by itself\n{service.output()[-4_000:]}"
        before = team.count()
        assert eventually(lambda: team.count() > before, True, BACK_WITHIN_S), "nothing is acknowledged any more"
        checks.reads_are_answered(team.accounts[0], BACK_WITHIN_S)

    def _kill(self, draw):
        service = draw.choice(self.site.services)
        self.counts[f"{service.role} killed"] += 1
        service.end(signal.SIGKILL)
        time.sleep(draw.choice((0, draw.uniform(0, 2 * SESSION_S))))
        service.start_again(BACK_WITHIN_S)

    def _stop(self, draw):
        service = draw.choice(self.site.services)
        self.counts[f"{service.role} stopped"] += 1
        self._end(service)
        service.start_again(BACK_WITHIN_S)

    def _end(self, service):
        """Stop it as compose.yaml does: killed when it takes too long, which is counted."""
        service.process.send_signal(signal.SIGTERM)
        try:
            code = service.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.counts["killed since it did not stop"] += 1
            service.end(signal.SIGKILL)
        else:
            assert code == 0, service.output()[-4_000:]

    def _freeze(self, draw):
        service = draw.choice(self.site.services)
        self.counts[f"{service.role} frozen"] += 1
        with service.frozen():
            time.sleep(draw.uniform(0.5, 3 * SESSION_S))

    def _come_and_go(self, draw):
        """One aggregator more for a while."""
        self.counts["aggregate joined and left"] += 1
        guest = self.site.new_aggregator()
        try:
            guest.start_again(BACK_WITHIN_S)
            time.sleep(draw.uniform(0, 2 * SESSION_S))
            if draw.random() < 0.5:
                self._end(guest)
        finally:
            guest.end(signal.SIGKILL)

    def _kill_broker(self, draw):
        self.counts["broker killed"] += 1
        self.world.broker.kill()
        time.sleep(draw.uniform(0, 5))
        self.world.broker.start()

    def _stop_broker(self, draw):
        self.counts["broker stopped"] += 1
        self.world.broker.stop()
        time.sleep(draw.uniform(0, 5))
        self.world.broker.start()

    def _cut_broker(self, draw):
        self.counts["broker cut off"] += 1
        self._spoil_broker(self.world.proxy.cut, draw)

    def _hang_broker(self, draw):
        self.counts["broker silent"] += 1
        self._spoil_broker(self.world.proxy.hang, draw)

    def _slow_broker(self, draw):
        self.counts["broker slow"] += 1
        self._spoil_broker(lambda: self.world.proxy.slow(SLOW_S), draw)

    def _spoil_broker(self, spoil, draw):
        spoil()
        time.sleep(draw.uniform(1, 15))
        self.world.proxy.heal()

    def _kill_database(self, draw):
        self.counts["database killed"] += 1
        self.world.postgres.kill()
        time.sleep(draw.uniform(0, 5))
        self.world.postgres.start()

    def _stop_database(self, draw):
        self.counts["database stopped"] += 1
        self.world.postgres.stop()
        time.sleep(draw.uniform(0, 5))
        self.world.postgres.start()

    def _fail_s3(self, draw):
        fault = draw.choice(S3_FAULTS)
        self.counts[f"s3 {fault}"] += 1
        self.world.s3.fail(fault)
        time.sleep(draw.uniform(1, 8))
        self.world.s3.heal()

    def _run_command(self, draw):
        """It may be refused, but by a sentence."""
        name = draw.choice(("flush", "compact", "status"))
        self.counts[f"command {name}"] += 1
        command = self.site.command(name)
        try:
            output, _ = command.communicate(timeout=COMMAND_WITHIN_S)
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGABRT)  # it then says where it waits
            output, _ = command.communicate()
        assert command.returncode in {0, 2}, f"{name}: {output}"
        assert "Traceback" not in output, output
        self.counts["command refused"] += command.returncode == 2
