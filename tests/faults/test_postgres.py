"""PostgreSQL killed, stopped and cut off: nothing is lost, nothing is counted twice, and all recovers by itself."""

import time

import pytest

from tests.faults import checks
from tests.faults.load import Team
from tests.faults.test_kill import ROOMY, draw, wait_for_progress
from tests.server import HACKATIME, Server, eventually
from tests.servers.postgres import Postgres

__all__ = ["draw"]  # a fixture is found by its name here

BACK_WITHIN_S = 30


@pytest.fixture(scope="module")
def mortal():
    """A PostgreSQL of this module's own, to be killed."""
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
def url(mortal):
    """The address of an empty database."""
    return mortal.new_url(empty=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory, url):
    """A real `heartline up` that keeps its stats there."""
    with Server(tmp_path_factory.mktemp("heartline"), HEARTLINE_STATS_URL=url, **ROOMY) as running:
        yield running


def answers(account):
    """The statuses of a stats request, of the status bar and of a single heartbeat."""
    return (
        account.get("/api/v1/users/current/stats").status_code,
        account.get(f"{HACKATIME}/users/current/statusbar/today").status_code,
        account.single({"entity": "x", "time": 1_600_000_000}).status_code,
    )


def test_without_the_database_heartbeats_are_taken_and_questions_answered_503_until_it_is_back(server, mortal):
    account = server.new_account()
    account.send({"entity": "a", "time": 1_700_000_000})
    mortal.stop()
    try:
        for path in (
            "/api/v1/users/current/stats",
            "/api/v1/my/heartbeats",
            f"{HACKATIME}/users/current/statusbar/today",
        ):
            refused = account.get(path)
            assert (refused.status_code, set(refused.json())) == (503, {"error"}), path
            assert refused.headers["Retry-After"] == "5"
            assert "127.0.0.1" not in refused.text, "where the database is, is nobody's business"
        sent = account.send(
            {"entity": "a", "time": 1_700_000_060}, {"entity": "a", "time": 1_700_000_090}, settle=False
        )
        assert len(sent) == 2
        stranger = server.http.get(f"{HACKATIME}/users/current/statusbar/today", headers={"Authorization": "Bearer ?"})
        assert stranger.status_code == 503, "whether a key that is not remembered is known cannot be told"
    finally:
        mortal.start()
    assert eventually(lambda: answers(account), (200, 200, 202), BACK_WITHIN_S) == (200, 200, 202)
    total = eventually(lambda: account.total(start_date="2023-11-01"), 90, BACK_WITHIN_S)
    assert total == 90
    assert server.process.poll() is None


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_counted_twice_when_the_database_is_killed_6_times(server, mortal, draw):
    kill_many_times(server, mortal, draw, kills=6)


@pytest.mark.soak
def test_nothing_is_lost_or_counted_twice_when_the_database_is_killed_200_times(server, mortal, draw):
    kill_many_times(server, mortal, draw, kills=200)


def kill_many_times(server, mortal, draw, kills):
    accounts = [server.new_account() for _ in range(3)]
    with Team(accounts, draw.random()) as team:
        for _ in range(kills):
            wait_for_progress(team)
            time.sleep(draw.uniform(0, 0.5))  # a random moment is the point
            (mortal.kill if draw.random() < 0.8 else mortal.stop)()
            wait_for_progress(team)  # cached keys are all that ingest needs
            mortal.start()
            checks.reads_are_answered(accounts[0])
            checks.every_acknowledged_heartbeat_is_listed_once(team, draw.choice(accounts), within_s=60)
        team.finish()
    server.settle()
    print(f"{kills} times killed, {team.count()} heartbeats acknowledged")
    for account in accounts:
        checks.exactly_the_acknowledged_are_listed(team, account)
        checks.figures_are_the_naive_ones(team, account)
    server.cli("verify", timeout_s=120)
