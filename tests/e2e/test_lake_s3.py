"""`heartline up` with its lake on S3: what heartbeats answer, and what happens while the server is away."""

import sqlite3
from contextlib import closing

import pytest

from tests.e2e.history import mixed
from tests.server import STOPPED_WITHIN_S, Server
from tests.servers.s3 import FaultyS3

pytestmark = pytest.mark.embedded("the mixture: log.db and stats.db beside a lake on S3")

T = 1_700_000_000
WINDOW = {"start": "2023-11-14T22:30:00Z", "end": "2023-11-17T03:00:00Z"}
PARTS_OF_DAYS = {"start_date": WINDOW["start"], "end_date": WINDOW["end"]}


@pytest.fixture
def faulty(bucket):
    with FaultyS3(bucket.endpoint) as proxy:
        yield proxy


@pytest.fixture
def server(tmp_path, bucket, faulty):
    with Server(tmp_path, HEARTLINE_LAKE_URL=bucket.url, **bucket.environment(faulty.url)) as running:
        yield running


def objects(bucket):
    return {key for key in bucket.keys() if not key.endswith("/")}  # noqa: SIM118 - no dict


def answers_of(account):
    """What is measured or listed from single heartbeats."""
    spans = account.server.http.get(f"/api/v1/users/{account.user_id}/heartbeats/spans", params=PARTS_OF_DAYS)
    listed = account.server.sql(
        f"SELECT id, project, epoch_us(time) AS us FROM heartbeats WHERE user_id = {account.user_id} ORDER BY ALL"
    )
    return [
        account.heartbeats(**WINDOW),
        account.heartbeats(limit=7),
        account.get("/api/v1/my/heartbeats/most_recent").json(),
        account.stats(features="languages,projects", **PARTS_OF_DAYS),
        account.stats(
            filter_by_project="alpha,beta", filter_by_category="coding", features="languages", **PARTS_OF_DAYS
        ),
        spans.json()["spans"],
        listed,
    ]


def test_tail_objects_and_compacted_objects_give_the_same_answers(server, bucket):
    account = server.new_account(timezone="Asia/Kolkata")
    sent = mixed(5, T, 250_000)
    account.send(*sent[::2])
    server.cli("flush")
    account.send(*sent[1::2])
    before = answers_of(account)
    assert all(before)
    server.cli("flush")
    assert answers_of(account) == before
    flushed = objects(bucket)
    server.cli("compact")
    compacted = objects(bucket)
    assert 0 < len(compacted) < len(flushed)
    assert answers_of(account) == before
    assert server.cli("verify").stderr == ""
    assert server.cli("sql", "SELECT count(*) FROM heartbeats").stderr == ""
    assert not (server.data / "lake").exists()
    assert server.stop() == 0, server.output()


def test_while_s3_is_away_only_what_needs_its_heartbeats_waits(server, faulty):
    account = server.new_account()
    account.send(*mixed(1, T, 250_000))
    before = answers_of(account)
    server.cli("flush")
    faulty.fail(503)
    answer = account.get("/api/v1/my/heartbeats", **WINDOW)
    assert (answer.status_code, set(answer.json())) == (503, {"error"})
    assert int(answer.headers["Retry-After"]) > 0
    account.send(*mixed(2, T + 400_000, 10_000))  # taken and counted
    assert account.total(start_date="2023-11-14", end_date="2023-11-18") > 0
    refused = server.cli("flush", check=False)
    assert refused.returncode != 0
    assert "kept; try again: The lake object" in refused.stderr
    assert faulty.met > 0
    faulty.heal()
    server.cli("flush")
    assert answers_of(account)[0] == before[0]
    assert server.cli("verify").stderr == ""


def test_a_stop_while_s3_is_away_loses_nothing(server, faulty, bucket):
    account = server.new_account()
    account.send(*mixed(3, T, 250_000))
    before = answers_of(account)
    faulty.fail("reset")
    assert server.stop() == 0, f"not within {STOPPED_WITHIN_S} s\n{server.output()}"
    faulty.heal()
    server.start()
    assert answers_of(account) == before
    server.cli("flush")
    with closing(sqlite3.connect(server.data / "stats.db")) as database:
        named = {f"lake/{path}" for (path,) in database.execute("SELECT path FROM lake_files")}
    assert objects(bucket) == named
    assert answers_of(account) == before
