"""Limits on requests as the services keep them; the arithmetic has tests of its own.

The limit is one request a minute: a test has a minute until a second one would be answered.
"""

import os
import signal

import httpx
import pytest

from tests.distributed.cluster import Cluster
from tests.e2e.history import beat
from tests.server import HACKATIME, Server, children_of, eventually

T = 1_700_000_000
KEY = "2ce9e698-b3a4-4b43-a9d1-0f6a8f3b5c11"
SINGLE = f"{HACKATIME}/users/current/heartbeats"
STATUS_BAR = f"{HACKATIME}/users/current/statusbar/today"
STATS = "/api/v1/users/current/stats"


def assert_too_many(response):
    assert response.status_code == 429, response.text
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert set(response.json()) == {"error"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A `heartline up` with one request a minute for each key, and a line in the log for each."""
    folder = tmp_path_factory.mktemp("limited")
    with Server(folder, HEARTLINE_LIMIT_PER_KEY="1", HEARTLINE_ACCESS_LOG="true") as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", SINGLE, 202), ("GET", STATUS_BAR, 200), ("GET", STATS, 200)]
)
def test_a_key_has_one_limit_for_all_that_it_asks(limited, method, path, status):
    account = limited.new_account()
    first = limited.http.request(method, path, headers=account.headers, json=beat(T) if method == "POST" else None)
    assert first.status_code == status
    assert_too_many(account.single(beat(T)))
    assert_too_many(limited.http.get(STATUS_BAR, auth=("ann", account.key)))
    assert_too_many(limited.http.get(STATS, params={"api_key": account.key}))
    assert account.get("/up").status_code == 200
    assert account.get("/metrics").status_code == 200
    preflight = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    assert limited.http.options(STATS, headers={**account.headers, **preflight}).status_code == 200
    assert limited.new_account().single(beat(T)).status_code == 202
    assert "GET /api/v1/users/current/stats 429 " in limited.output()
    assert account.key not in limited.output()


def test_a_refused_heartbeat_was_not_taken(limited):
    account, other = limited.new_account(), limited.new_account()
    assert account.single(beat(T)).status_code == 202
    assert_too_many(account.single(beat(T + 60)))
    assert other.single(beat(T + 120)).status_code == 202

    def stored():
        users = f"user_id IN ({account.user_id}, {other.user_id})"
        return [
            row["time"] for row in limited.sql(f"SELECT epoch(time) AS time FROM heartbeats WHERE {users} ORDER BY 1")
        ]

    expected = [float(T), float(T + 120)]  # the last one sent is counted last
    assert eventually(stored, expected, within_s=60) == expected


def test_the_query_process_counts_nothing_of_what_the_front_lets_through(limited):
    account = limited.new_account()
    assert account.get(STATS).status_code == 200
    assert_too_many(account.get(STATS))

    def front():
        return children_of(limited.process.pid).get("front")

    killed = front()
    os.kill(killed, signal.SIGKILL)  # and with it all that it has counted
    assert eventually(lambda: front() not in (None, killed), True, within_s=60)
    assert httpx.get(limited.url + STATS, headers=account.headers, timeout=60).status_code == 200


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """`heartline ingest` and `heartline query`, one request a minute for each address."""
    folder = tmp_path_factory.mktemp("apart")
    limits = {"HEARTLINE_LIMIT_PER_ADDRESS": "1", "HEARTLINE_TRUSTED_PROXIES": "127.0.0.1"}
    cluster = Cluster(folder, f"sqlite:///{folder}/log.db", f"sqlite:///{folder}/stats.db", **limits)
    try:
        cluster.cli("users", "add", "ann", "--api-key", KEY)
        yield cluster.start("ingest"), cluster.start("query")
    finally:
        cluster.close()


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [("203.0.113.1", "203.0.113.1", "203.0.113.2"), ("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1")],
)
def test_services_apart_limit_the_address_that_a_trusted_proxy_names_each_for_itself(apart, one, same, other):
    ingest, query = apart

    def post(address):
        return httpx.post(ingest.url + SINGLE, json=beat(T), headers=headers_of(address), timeout=30)

    def get(address):
        return httpx.get(query.url + STATS, headers=headers_of(address), timeout=30)

    def headers_of(address):
        return {"Authorization": f"Bearer {KEY}", "X-Forwarded-For": address}

    for ask, status in ((post, 202), (get, 200)):
        assert ask(one).status_code == status
        assert_too_many(ask(same))
        assert ask(other).status_code == status
    for service in (ingest, query):
        for path in ("/up", "/metrics"):
            answers = [httpx.get(service.url + path, headers=headers_of(one), timeout=30) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200], (service.role, path)
