"""Everything at random, on services apart with Kafka, PostgreSQL and S3: nothing acknowledged is lost or doubled."""

import os
import time

import pytest

from tests.faults.load import Team
from tests.faults.site import BUSY, Site
from tests.faults.test_kill import draw
from tests.faults.troubles import BACK_WITHIN_S, Troubles, World
from tests.kafka.broker import KafkaBroker
from tests.servers.postgres import Postgres
from tests.servers.s3 import FaultyS3
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["draw"]  # a fixture is found by its name here

USERS = 3
SOAK_S = float(os.environ.get("HEARTLINE_SOAK_SECONDS", "3600"))
# moto's server is a slow one: fewer objects, of fewer days.
FEWER_OBJECTS = {"HEARTLINE_FLUSH_INTERVAL": "20", "HEARTLINE_COMPACT_FILES": "4"}
LATE_DAYS = 2
ROUND_S = 120  # then its users are checked and new ones begin: the checks are naive, their cost grows


@pytest.fixture
def world(tmp_path, bucket):
    """Every place can fail: a broker behind a proxy, a database to be killed, an S3 server behind a proxy."""
    with TcpProxy() as proxy, KafkaBroker(tmp_path / "kafka", proxy.port) as broker:
        proxy.target = broker.port
        with Postgres() as postgres, FaultyS3(bucket.endpoint) as s3:
            lake = {"HEARTLINE_LAKE_URL": bucket.url, **bucket.environment(s3.url)}
            with Site(tmp_path, broker, postgres.new_url(empty=True), **BUSY | FEWER_OBJECTS | lake) as site:
                site.begin(ingests=2, aggregators=2, named=True)
                yield World(site, broker, proxy, postgres, s3, bucket)


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_in_40_seconds_of_random_faults(world, draw):
    live_through(world, draw, seconds=40, pause_s=0.1)


@pytest.mark.soak
def test_nothing_is_lost_or_doubled_in_an_hour_of_random_faults(world, draw):
    live_through(world, draw, seconds=SOAK_S, pause_s=0.5)


def live_through(world, draw, seconds, pause_s):
    troubles, teams, started = Troubles(world, draw), [], time.monotonic()
    end = started + seconds
    try:
        while time.monotonic() < end:
            round_end = min(time.monotonic() + ROUND_S, end)
            with Team(world.site.accounts(USERS), draw.random(), pause_s, LATE_DAYS) as team:
                teams.append(team)
                while time.monotonic() < round_end:
                    troubles.step(team)
                world.site.everything_adds_up(team, within_s=BACK_WITHIN_S)
    finally:
        print(f"{sum(team.count() for team in teams)} heartbeats acknowledged in {time.monotonic() - started:.0f} s")
        print(f"{sum(e.repeated for team in teams for e in team.editors)} requests repeated on purpose")
        print(f"{troubles.steps} steps: {troubles.summary()}")
    lost, double = world.lost_and_double(teams)
    print(f"{lost} lost, {double} double")
    assert (lost, double) == (0, 0)
