"""Partitions added to a topic: users change their shards, and no figure changes."""

import uuid

import pytest

from storage.errors import StorageError
from storage.log.kafka import KafkaTopic
from storage.log.kafka_topics import add_partitions, create_topic
from tests.distributed.within import Places
from tests.server import eventually


@pytest.fixture
def places(tmp_path, kafka_broker, postgres):
    """A topic of one partition, and PostgreSQL."""
    topic = KafkaTopic.parse(kafka_broker.url(f"more-{uuid.uuid4().hex[:8]}"))
    create_topic(topic, 1, 1)
    return Places(tmp_path, log_url=topic.url, stats_url=postgres.new_url())


def test_users_whose_shard_changes_and_changes_back_are_counted_exactly_by_an_aggregator_that_runs_on(places):
    users = places.add_users(4)
    with places.aggregator():
        # User 3 is shard 0's, then shard 1's, then shard 0's again.
        for partitions, minutes in ((1, range(6)), (2, range(4, 11)), (3, range(2, 16))):
            if partitions > 1:
                assert places.cli("topics", "add-partitions", str(partitions))["partitions"] == partitions
            for user_id in users:
                places.append(user_id, minutes)
            for user_id in users:
                assert places.is_counted(user_id, minutes[-1]), places.total(user_id)
            if partitions == 2:
                places.cli("flush")  # the third time meets Parquet, the second one the tail
        places.cli("users", "set", "user-0", "--timezone", "Asia/Kolkata")
        assert places.cli("rebuild", "user-1")["users"] == 1
        assert places.cli("users", "remove", "user-3")["heartbeats"] == 16
        assert places.cli("rebuild")["users"] == 3
        places.assert_exact(dict.fromkeys(users[:3], 15))


def test_partitions_that_another_tool_has_added_stop_everything_until_heartline_has_looked(places):
    (user_id,) = places.add_users(1)
    topic = KafkaTopic.parse(places.settings.log_url)
    with places.aggregator():
        places.append(user_id, range(3))
        assert places.is_counted(user_id, 2)
    add_partitions(topic, 2)
    refusal = "has 2 shards, but heartbeats were counted with 1.*`heartline topics add-partitions 2`"
    with pytest.raises(StorageError, match=refusal), places.aggregator():
        pass
    assert places.cli("topics", "add-partitions", "2")["partitions"] == 2
    with places.aggregator():
        places.append(user_id, range(6))
        places.assert_exact({user_id: 5})


def test_what_an_ingest_still_puts_into_the_shard_of_before_is_set_aside_and_can_be_counted(places, monkeypatch):
    users = places.add_users(2)
    with places.aggregator():
        for user_id in users:
            places.append(user_id, range(3))
            assert places.is_counted(user_id, 2)
        places.cli("topics", "add-partitions", "2")
        monkeypatch.setattr("storage.log.kafka_log.shard_of", lambda *_: 0)  # as it does for some seconds
        for user_id in users:
            places.append(user_id, range(3, 6))
        monkeypatch.undo()
        letters = eventually(lambda: places.cli("status")["dead_letters"], 1, within_s=30)
        assert letters == 1
        assert places.cli("dead-letters", "list")["reason"].startswith(
            "BadRecordError: The user's heartbeats are counted"
        )
        assert places.cli("dead-letters", "retry")["heartbeats"] == 3
        places.assert_exact(dict.fromkeys(users, 5))


def test_partitions_are_not_added_while_heartbeats_wait(places):
    (user_id,) = places.add_users(1)
    places.append(user_id, [0])
    with pytest.raises(StorageError, match="1 records are not counted yet"):
        places.cli("topics", "add-partitions", "2")
    with places.aggregator():
        assert places.is_counted(user_id, 0)
