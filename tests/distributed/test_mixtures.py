"""Any log, database and lake together; the other tests run on most mixtures, these are the rest."""

import uuid

import pytest

from storage.log.kafka import KafkaTopic
from storage.log.kafka_topics import create_topic
from tests.distributed.within import Places


@pytest.fixture
def places(request, tmp_path, monkeypatch):
    variables = {}
    if "kafka" in request.param:
        topic = KafkaTopic.parse(request.getfixturevalue("kafka_broker").url(f"mixed-{uuid.uuid4().hex[:8]}"))
        create_topic(topic, 2, 1)
        variables["log_url"] = topic.url
    if "postgres" in request.param:
        variables["stats_url"] = request.getfixturevalue("postgres").new_url()
    if "s3" in request.param:
        bucket = request.getfixturevalue("bucket")
        variables["lake_url"] = bucket.url
        for name, value in bucket.environment().items():
            monkeypatch.setenv(name, value)
    return Places(tmp_path, **variables)


@pytest.mark.parametrize("places", [("kafka",), ("kafka", "s3"), ("postgres", "s3")], indirect=True, ids="+".join)
def test_heartbeats_are_counted_flushed_read_compacted_and_removed(places):
    users = places.add_users(3)
    with places.aggregator():
        for minutes in (range(4), range(2, 8)):
            for user_id in users:
                places.append(user_id, minutes)
                assert places.is_counted(user_id, minutes[-1])
            assert places.cli("flush")["heartbeats"] == 4 * len(users)
        assert places.cli("compact")["days"] >= 1
        assert places.cli("users", "remove", "user-0")["heartbeats"] == 8
        assert places.cli("rebuild")["users"] == 2
        places.assert_exact(dict.fromkeys(users[1:], 7))
    status = places.cli("status")
    assert (status["tail"]["heartbeats"], status["lake"]["heartbeats"]) == (0, 16)
