"""The broker killed, cut off, silent and slow, under load: what services apart answer, and that nothing is lost."""

import json
import random
import signal
import string
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.log.kafka_writer import SEND_WITHIN_S
from tests.faults.load import Team
from tests.faults.site import BUSY, Site
from tests.faults.test_kill import wait_for_progress
from tests.kafka.broker import KafkaBroker
from tests.server import HACKATIME, eventually
from tests.servers.tcp_proxy import TcpProxy

BULK = f"{HACKATIME}/users/current/heartbeats.bulk"
T = 1_700_000_000
SLOW_S = 0.8
BACK_WITHIN_S = 60
STOPPED_WITHIN_S = 30
QUEUE_BYTES = 1 << 20  # the least that the setting takes


@pytest.fixture(scope="module")
def proxy():
    with TcpProxy() as running:
        yield running


@pytest.fixture(scope="module")
def broker(tmp_path_factory, proxy):
    with KafkaBroker(tmp_path_factory.mktemp("mortal-kafka"), proxy.port) as running:
        proxy.target = running.port
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory, broker, postgres):
    url = postgres.new_url(empty=True)
    with Site(tmp_path_factory.mktemp("site"), broker, url, **BUSY) as running:
        running.begin(ingests=2, aggregators=1)
        yield running
    postgres.drop(url)


@pytest.fixture
def accounts(site):
    return site.accounts(2)


def post(site, ingest, account, *beats):
    """The answer to a bulk, and the seconds that it took."""
    started = time.monotonic()
    answer = site.http.post(ingest.url + BULK, json=beats, headers=account.headers)
    return answer, time.monotonic() - started


def refused_everywhere(site, account):
    """Send one heartbeat to each ingest, at the same time; each must refuse it. The longest that it took."""
    ingests = site.of_role("ingest")
    with ThreadPoolExecutor(len(ingests)) as pool:
        answers = list(pool.map(lambda ingest: post(site, ingest, account, {"entity": "refused", "time": T}), ingests))
    for answer, _ in answers:
        assert (answer.status_code, set(answer.json())) == (503, {"error"})
        assert int(answer.headers["Retry-After"]) > 0
    return max(took_s for _, took_s in answers)


@pytest.mark.parametrize("away", ["cut", "hang"])
def test_while_the_broker_is_away_nothing_is_acknowledged_and_afterwards_all_that_was_is_there_once(
    site, accounts, proxy, away
):
    witness = site.accounts(1)[0]
    with Team(accounts, away) as team:
        wait_for_progress(team)
        getattr(proxy, away)()
        try:
            assert refused_everywhere(site, witness) < SEND_WITHIN_S + 5
            acknowledged = team.count()
            for _ in range(5):
                assert refused_everywhere(site, witness) < SEND_WITHIN_S / 2, (
                    "known to be away: no deadline to wait for"
                )
                assert [account.get("/api/v1/users/current/stats").status_code for account in accounts] == [200, 200]
            assert team.count() == acknowledged
        finally:
            proxy.heal()
        assert eventually(lambda: team.count() > acknowledged, True, BACK_WITHIN_S), "heartbeats are not taken again"
        site.everything_adds_up(team)


def test_services_stop_in_time_while_the_broker_is_silent(site, accounts, proxy):
    leaving = [site.launch("ingest"), site.launch("aggregate")]
    for service in leaving:
        service.wait_until_ready()
        site.services.remove(service)
    assert post(site, leaving[0], accounts[0], {"entity": "a", "time": T})[0].status_code == 201
    proxy.hang()
    try:
        for service in leaving:
            service.process.send_signal(signal.SIGTERM)
        assert [service.process.wait(STOPPED_WITHIN_S) for service in leaving] == [0, 0], leaving[1].output()
    finally:
        proxy.heal()
        for service in leaving:
            service.end(signal.SIGKILL)


def test_a_slow_broker_only_makes_answers_late(site, accounts, proxy):
    reader = site.accounts(1)[0]
    with Team(accounts, "slow") as team:
        wait_for_progress(team)
        proxy.slow(SLOW_S)
        try:
            acknowledged = team.count()
            for minute in range(5):
                answer, took_s = post(
                    site, site.of_role("ingest")[minute % 2], reader, {"entity": "a", "time": T + 60 * minute}
                )
                assert (answer.status_code, took_s > SLOW_S) == (201, True)
                total = eventually(lambda: reader.total(start_date="2023-11-01"), 60 * minute, BACK_WITHIN_S)
                assert total == 60 * minute
            assert team.count() > acknowledged
        finally:
            proxy.heal()
        site.everything_adds_up(team)


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_when_the_broker_is_killed_twice(site, accounts, broker):
    kill_many_times(site, accounts, broker, kills=2)


@pytest.mark.soak
def test_nothing_is_lost_or_doubled_when_the_broker_is_killed_50_times(site, accounts, broker):
    kill_many_times(site, accounts, broker, kills=50)


def kill_many_times(site, accounts, broker, kills):
    with Team(accounts, kills) as team:
        for _ in range(kills):
            wait_for_progress(team)
            with broker.down():
                assert accounts[0].get("/api/v1/users/current/stats").status_code == 200
            before = team.count()
            assert eventually(lambda n=before: team.count() > n, True, BACK_WITHIN_S), "heartbeats are not taken again"
        site.everything_adds_up(team)
    print(f"{kills} times killed, {team.count()} heartbeats acknowledged, 0 lost, 0 double")


def test_what_waits_for_a_silent_broker_is_bounded_and_the_rest_is_refused_at_once(site, accounts, proxy):
    letters = random.Random(1)
    beats = [{"entity": "".join(letters.choices(string.printable, k=4_000)), "time": T + n} for n in range(20)]
    ingest = site.start("ingest", HEARTLINE_QUEUE_BYTES=f"{QUEUE_BYTES}")
    try:
        assert post(site, ingest, accounts[0], *beats)[0].status_code == 201
        proxy.hang()
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda _: post(site, ingest, accounts[0], *beats), range(40)))
    finally:
        proxy.heal()
    assert {answer.status_code for answer, _ in answers} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer, _ in answers)
    waited = sum(took_s >= SEND_WITHIN_S for _, took_s in answers)
    assert sum(took_s < SEND_WITHIN_S / 2 for _, took_s in answers) == len(answers) - waited
    assert 0 < waited * len(json.dumps(beats)) < 3 * QUEUE_BYTES
    assert "queue is full" in ingest.output()
    taken = eventually(lambda: post(site, ingest, accounts[0], *beats)[0].status_code, 201, BACK_WITHIN_S)
    assert taken == 201
    site.services.remove(ingest)
    assert ingest.end() == 0
