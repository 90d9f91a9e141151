"""Services apart, on Kafka and PostgreSQL: as many of each as there are machines, every heartbeat exactly once."""

import json
import threading
import uuid

import pytest

from storage.log.kafka import KafkaTopic
from storage.log.kafka_topics import create_topic
from tests.distributed.cluster import RANGE, Cluster, T, add_users, assert_exact, send
from tests.server import Server, eventually


@pytest.fixture
def cluster(tmp_path, kafka_broker, postgres):
    url, topic = postgres.new_url(empty=True), KafkaTopic.parse(kafka_broker.url(f"apart-{uuid.uuid4().hex[:8]}"))
    create_topic(topic, 3, 1)
    made = Cluster(tmp_path, topic.url, url)
    made.cli("migrate")
    yield made
    made.close()
    postgres.drop(url)


@pytest.mark.soak
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


@pytest.mark.soak
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
