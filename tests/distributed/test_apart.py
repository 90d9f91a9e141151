"""Services apart, on Kafka and PostgreSQL: as many of each as there are machines, every heartbeat exactly once."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import uuid

import httpx
import pytest

from storage.log.kafka import KafkaTopic
from storage.log.kafka_topics import create_topic
from tests.server import HACKATIME, HEARTLINE, Server, eventually, free_port

T = 1_700_000_000
BULK = f"{HACKATIME}/users/current/heartbeats.bulk"
RANGE = {"start_date": "2023-11-01", "end_date": "2023-12-01"}


class Service:
    """One `heartline ingest`, `aggregate` or `query`."""

    def __init__(self, role, environment, folder):
        self.url = f"http://127.0.0.1:{free_port()}"
        options = [] if role == "aggregate" else ["--port", self.url.rpartition(":")[2]]
        self.log = folder / f"{role}-{uuid.uuid4().hex[:6]}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([HEARTLINE, role, *options], env=environment, stdout=log, stderr=log)
        ready = "follows the log" if role == "aggregate" else "is at http"
        assert eventually(lambda: ready in self.log.read_text(), True, within_s=60), self.log.read_text()

    def end(self, number=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(30)


class Cluster:
    """What runs on one topic, one database and one folder of Parquet files."""

    def __init__(self, folder, log_url, stats_url):
        self.folder = folder
        others = {k: v for k, v in os.environ.items() if not k.startswith("HEARTLINE_")}
        places = {"DATA": folder / "data", "LOG_URL": log_url, "STATS_URL": stats_url}
        self.environment = others | {f"HEARTLINE_{name}": str(value) for name, value in places.items()}
        self.services = []

    def start(self, role):
        self.services.append(Service(role, self.environment, self.folder))
        return self.services[-1]

    def cli(self, *arguments):
        done = subprocess.run(
            [HEARTLINE, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def close(self):
        for service in self.services:
            service.end(signal.SIGKILL)


@pytest.fixture
def cluster(tmp_path, kafka_broker, postgres):
    url, topic = postgres.new_url(empty=True), KafkaTopic.parse(kafka_broker.url(f"apart-{uuid.uuid4().hex[:8]}"))
    create_topic(topic, 3, 1)
    made = Cluster(tmp_path, topic.url, url)
    made.cli("migrate")
    yield made
    made.close()
    postgres.drop(url)


def add_users(cluster, number):
    """{user id: key}"""
    added = [json.loads(cluster.cli("users", "add", f"user-{n}")) for n in range(number)]
    return {user["user_id"]: user["api_key"] for user in added}


def send(ingest, key, seconds):
    """Send as a plugin does: again until it is acknowledged."""
    beats = [{"entity": "/a.py", "type": "file", "project": "p", "time": T + s} for s in seconds]
    headers = {"Authorization": f"Bearer {key}"}

    def accepted():
        with contextlib.suppress(httpx.TransportError):
            response = httpx.post(ingest.url + BULK, json=beats, headers=headers, timeout=30)
            return response.status_code == 201 and [status for _, status in response.json()["responses"]]
        return None

    assert eventually(accepted, [201] * len(beats), within_s=60) == [201] * len(beats)


def total(query, key):
    answer = httpx.get(
        f"{query.url}/api/v1/users/current/stats",
        params={"total_seconds": "true", **RANGE},
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
    )
    return answer.json().get("total_seconds") if answer.status_code == 200 else answer.status_code


def assert_exact(cluster, query, users, seconds):
    """Every user has all heartbeats, each once, in the stats and in Parquet."""
    for key in users.values():
        assert eventually(lambda key=key: total(query, key), seconds, within_s=60) == seconds
    cluster.cli("flush")
    rows = cluster.cli(
        "sql", "--json", "SELECT user_id, count(*) AS n, count(DISTINCT id) AS d FROM heartbeats GROUP BY 1"
    )
    counts = {row["user_id"]: (row["n"], row["d"]) for row in map(json.loads, rows.splitlines())}
    assert counts == dict.fromkeys(users, (seconds // 60 + 1, seconds // 60 + 1))
    cluster.cli("verify")


def test_two_of_each_share_the_work_and_an_aggregator_may_come_and_go(cluster):
    users = add_users(cluster, 6)
    ingests, query = [cluster.start("ingest"), cluster.start("ingest")], cluster.start("query")
    first, second = cluster.start("aggregate"), cluster.start("aggregate")
    problems = []

    def load(part):
        try:
            for minute in range(part, 120, 10):
                for number, key in enumerate(users.values()):
                    send(ingests[(minute + number) % 2], key, [60 * m for m in range(minute, 120, 10)][:3])
        except AssertionError as error:
            problems.append(error)

    threads = [threading.Thread(target=load, args=(part,)) for part in range(10)]
    for thread in threads[:5]:
        thread.start()
    assert first.end() == 0
    cluster.start("aggregate")
    for thread in threads[5:]:
        thread.start()
    assert second.end() == 0
    for thread in threads:
        thread.join()
    assert problems == []
    assert_exact(cluster, query, users, 60 * 119)


def test_commands_reach_the_shards_of_all_users(cluster):
    users = add_users(cluster, 5)
    ingest, query = cluster.start("ingest"), cluster.start("query")
    cluster.start("aggregate")
    for key in users.values():
        send(ingest, key, range(0, 601, 60))
    assert_exact(cluster, query, users, 600)
    assert json.loads(cluster.cli("rebuild"))["users"] == len(users)
    assert json.loads(cluster.cli("rebuild", "user-0"))["users"] == 1
    cluster.cli("users", "set", "user-1", "--timezone", "Asia/Kolkata")
    assert json.loads(cluster.cli("users", "remove", "user-2"))["heartbeats"] == 11
    cluster.cli("verify")
    status = json.loads(cluster.cli("status"))
    assert (status["heartbeats"], status["log"]["lag_records"]) == (44, 0)


def test_partitions_are_added_while_nothing_waits_and_users_go_on_in_their_new_shards(cluster):
    users = add_users(cluster, 8)
    ingest, query = cluster.start("ingest"), cluster.start("query")
    cluster.start("aggregate")
    for key in users.values():
        send(ingest, key, range(0, 301, 60))
    for key in users.values():
        assert eventually(lambda key=key: total(query, key), 300, within_s=60) == 300
    assert ingest.end() == 0
    assert json.loads(cluster.cli("topics", "add-partitions", "5"))["partitions"] == 5
    ingest = cluster.start("ingest")
    for key in users.values():
        send(ingest, key, range(240, 601, 60))  # some again
    assert_exact(cluster, query, users, 600)


def test_partitions_are_not_added_while_heartbeats_wait(cluster):
    (key,) = add_users(cluster, 1).values()
    send(cluster.start("ingest"), key, [0])
    done = subprocess.run(
        [HEARTLINE, "topics", "add-partitions", "4"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "1 records are not counted yet" in done.stderr) == (2, True)


def test_an_embedded_log_is_left_for_kafka_with_nothing_lost(tmp_path, kafka_broker):
    topic = KafkaTopic.parse(kafka_broker.url(f"moved-{uuid.uuid4().hex[:8]}"))
    create_topic(topic, 2, 1)
    beats = [{"entity": "/a.py", "type": "file", "time": T + 60 * n} for n in range(11)]
    with Server(tmp_path) as server:
        account = server.new_account()
        account.send(*beats[:6])
        refused = server.cli("log", "close", check=False)
        assert (refused.returncode, "is held by process" in refused.stderr) == (2, True)
        account.send(*beats[3:8], settle=False)
        server.kill()  # what was acknowledged is in the old log, counted or not
        server.environment["HEARTLINE_LOG_URL"] = topic.url
        with pytest.raises(RuntimeError, match="heartline log close"):
            server.start()
        old = server.environment.pop("HEARTLINE_LOG_URL")
        assert json.loads(server.cli("log", "close").stdout)["heartbeats"] > 0
        with pytest.raises(RuntimeError, match="is closed"):
            server.start()
        server.environment["HEARTLINE_LOG_URL"] = old
        server.start()
        account.send(*beats[6:], settle=False)
        seen = eventually(lambda: account.total(**RANGE), 600, within_s=60)
        assert seen == 600
        assert server.cli("verify").returncode == 0
        counted = server.sql(f"SELECT count(*) AS n FROM heartbeats WHERE user_id = {account.user_id}")
        assert counted == [{"n": 11}]
