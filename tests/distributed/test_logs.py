"""What an operator meets with Kafka as the log: gaps, dead letters, and one log left for another."""

import asyncio
import itertools
import threading
import uuid

import httpx
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from storage.errors import StorageError, UnavailableError
from storage.log.kafka import KafkaTopic
from storage.log.kafka_topics import create_topic
from tests.distributed.cluster import BULK, T
from tests.distributed.within import Places
from tests.kafka.broker import PASSWORD, USERNAME
from tests.server import eventually


@pytest.fixture
def new_topic(kafka_broker):
    def make(partitions=2):
        topic = KafkaTopic.parse(kafka_broker.url(f"logs-{uuid.uuid4().hex[:8]}"))
        create_topic(topic, partitions, 1)
        return topic.url

    return make


@pytest.fixture
def places(tmp_path, new_topic, postgres):
    """A topic of two partitions, and PostgreSQL."""
    return Places(tmp_path, log_url=new_topic(), stats_url=postgres.new_url())


async def with_admin(topic, work):
    admin = AIOKafkaAdminClient(bootstrap_servers=list(topic.servers))
    await admin.start()
    try:
        await work(admin)
    finally:
        await admin.close()


def delete_before(topic, offsets):
    """Let records go, as retention does; {partition: Kafka's offset of the first that stays}."""
    ends = {TopicPartition(topic.name, shard): RecordsToDelete(before_offset=to) for shard, to in offsets.items()}
    asyncio.run(with_admin(topic, lambda admin: admin.delete_records(ends)))


def put_foreign(topic, partition, value):
    async def putting():
        producer = AIOKafkaProducer(bootstrap_servers=list(topic.servers))
        await producer.start()
        await producer.send_and_wait(topic.name, value, partition=partition)
        await producer.stop()

    asyncio.run(putting())


def test_records_that_retention_took_stop_their_shard_alone_and_counting_goes_on_once_that_is_accepted(places):
    even, odd = sorted(places.add_users(2), key=lambda user_id: user_id % 2)
    topic = KafkaTopic.parse(places.settings.log_url)
    for minute in range(4):
        places.append(even, [minute])
        places.append(odd, [minute])
    delete_before(topic, {0: 2, 1: 3})
    with places.aggregator():
        shown = eventually(lambda: (places.cli("status")["alarm"] or "").count("are gone"), 2, within_s=60)
        assert shown == 2
        alarm = places.cli("status")["alarm"]
        assert "Records 1 to 2 of the log are gone" in alarm
        assert "Records 1 to 3 of the log are gone" in alarm
        assert len(places.cli("log", "accept-gap")["accepted"]) == 2
        assert places.is_counted(even, 1)  # minutes 2 and 3
        assert places.is_counted(odd, 0)
        assert eventually(lambda: places.cli("status")["alarm"], None, within_s=60) is None
        assert places.cli("status")["log"]["lag_records"] == 0
        with pytest.raises(StorageError, match="No gap in the log is known"):
            places.cli("log", "accept-gap")


def test_a_record_that_cannot_be_read_is_a_dead_letter_of_its_partition_and_offset_and_stops_nothing(places):
    users = places.add_users(2)
    topic = KafkaTopic.parse(places.settings.log_url)
    for partition in (0, 1):
        put_foreign(topic, partition, b"poison %d" % partition)
    with places.aggregator():
        for user_id in users:
            places.append(user_id, range(3))
        for user_id in users:
            assert places.is_counted(user_id, 2)
        letters = places.letters()
        assert sorted(letter["id"].split(":")[1:] for letter in letters) == [["0", "1"], ["1", "1"]]
        shown = places.cli("dead-letters", "show", letters[0]["id"])
        assert shown["base64"]
        with pytest.raises(StorageError, match="2 of 2 dead letters were refused and stay"):
            places.cli("dead-letters", "retry")
    with places.aggregator():  # what is set aside is behind the watermark: it is not met again
        places.append(users[0], range(2, 5))
        assert places.is_counted(users[0], 4)
        assert places.letters() == letters
        assert places.cli("dead-letters", "drop", letters[0]["id"])["dropped"] == 1
        assert [letter["id"] for letter in places.letters()] == [letters[1]["id"]]
        assert places.cli("dead-letters", "drop", "--all")["dropped"] == 1
        assert places.letters() == []


class Editor:
    """Sends a heartbeat a minute after the last one, each again until it is acknowledged, to wherever ingest is."""

    def __init__(self, key):
        self.acknowledged = self.refused = 0
        self.url = None
        self._headers = {"Authorization": f"Bearer {key}"}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def goes_on(self):
        """Return once more heartbeats are acknowledged."""
        before = self.acknowledged
        return eventually(lambda: self.acknowledged > before + 3, True, within_s=60)

    def _run(self):
        while not self._end.is_set():
            beat = {"entity": "/a.py", "type": "file", "time": T + 60 * self.acknowledged}
            try:
                answer = httpx.post(f"{self.url}{BULK}", json=[beat], headers=self._headers)
            except (httpx.TransportError, httpx.InvalidURL):
                self._end.wait(0.05)
                continue
            self.acknowledged += answer.status_code == 201
            self.refused += answer.status_code == 503
            self._end.wait(0.05)


def test_a_topic_is_left_for_another_and_for_the_embedded_log_while_an_editor_sends(
    places, new_topic, tmp_path, monkeypatch
):
    monkeypatch.setattr("storage.log.kafka_log.SEND_WITHIN_S", 1.0)  # nothing is slow here
    user = places.cli("users", "add", "ann")
    logs = [places, places.with_(log_url=new_topic(1)), places.with_(log_url=f"sqlite:///{tmp_path}/back.db")]
    with Editor(user["api_key"]) as editor:
        for now, following in itertools.pairwise([*logs, None]):
            with now.ingest() as editor.url:
                assert editor.goes_on()
                if following is None:
                    break
                with now.aggregator():
                    assert eventually(lambda here=now: here.total(user["user_id"]) > 0, True, within_s=60)
                    with pytest.raises(StorageError, match="heartline log close"), following.aggregator():
                        pass
                    refused = editor.refused
                    assert now.cli("log", "close")["closed"]
                    assert eventually(lambda seen=refused: editor.refused > seen, True, within_s=30)
            with pytest.raises(StorageError, match="is closed"), now.aggregator():
                pass
    with logs[-1].aggregator():
        logs[-1].assert_exact({user["user_id"]: editor.acknowledged - 1})


@pytest.fixture
def secure(tmp_path, kafka_broker, postgres):
    """The listener that wants TLS and a password."""
    return Places(
        tmp_path,
        log_url=f"kafka://127.0.0.1:{kafka_broker.secure_port}/secure-{uuid.uuid4().hex[:8]}",
        stats_url=postgres.new_url(),
        kafka_protocol="SASL_SSL",
        kafka_username=USERNAME,
        kafka_password=PASSWORD,
        kafka_cafile=str(kafka_broker.folder / "certificate.pem"),
    )


def test_commands_and_services_talk_tls_with_a_password(secure):
    assert secure.cli("topics", "create", "--partitions", "2", "--replication", "1")["partitions"] == 2
    user = secure.cli("users", "add", "ann")
    with secure.aggregator():
        with secure.ingest() as url, Editor(user["api_key"]) as editor:
            editor.url = url
            assert editor.goes_on()
        secure.assert_exact({user["user_id"]: editor.acknowledged - 1})


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"kafka_password": "wrong"}, "Authentication failed"),
        ({"kafka_cafile": ""}, "certificate verify failed"),
    ],
)
def test_a_wrong_password_and_an_unknown_authority_are_said_by_commands_and_services(secure, wrong, reason):
    secure.cli("topics", "create", "--partitions", "1", "--replication", "1")
    places = secure.with_(**wrong)
    for command in (("topics", "check"), ("status",)):
        with pytest.raises(UnavailableError, match=reason):
            places.cli(*command)
    with pytest.raises(UnavailableError, match=reason), places.aggregator():
        pass
