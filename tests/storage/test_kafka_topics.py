"""Topics that keep what they acknowledged, and brokers that want TLS and a password."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from storage.errors import StorageError, UnavailableError
from storage.log.kafka import KafkaSecurity, KafkaTopic
from storage.log.kafka_topics import TopicFacts, add_partitions, check_topic, create_topic, faults
from storage.log.kafka_writer import append_now
from tests.kafka import broker as broker_module
from tests.kafka.broker import PASSWORD, USERNAME, KafkaBroker, MissingToolError
from tests.storage.logs import KafkaLog, record


def test_a_topic_that_heartline_made_passes_its_own_check(kafka_broker):
    facts = check_topic(KafkaLog(kafka_broker, partitions=3).topic)
    assert (facts.partitions, facts.replication) == (3, 1)
    assert facts.settings["flush.messages"] == "1"


def test_a_topic_made_with_kafkas_own_settings_is_refused_by_name_of_each_setting(kafka_broker):
    topic = KafkaTopic.parse(kafka_broker.url("made-by-hand"))

    async def making():
        admin = AIOKafkaAdminClient(bootstrap_servers=list(topic.servers))
        await admin.start()
        settings = {"cleanup.policy": "compact", "retention.ms": "3600000", "retention.bytes": "1000000"}
        await admin.create_topics([NewTopic(topic.name, 1, 1, topic_configs=settings)])
        await admin.close()

    asyncio.run(making())
    with pytest.raises(StorageError) as refusal:
        check_topic(topic)
    for name in ("cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type", "flush.messages"):
        assert f"{name} is" in str(refusal.value)


def test_replicated_topics_need_two_in_sync_and_no_sync_of_each_append():
    sound = {
        "cleanup.policy": "delete",
        "retention.bytes": "-1",
        "retention.ms": "-1",
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
        "min.insync.replicas": "2",
    }
    assert faults(TopicFacts("id", 8, 3, sound)) == []
    assert faults(TopicFacts("id", 8, 3, sound | {"min.insync.replicas": "1"})) == ["min.insync.replicas is below 2"]
    assert len(faults(TopicFacts("id", 8, 3, sound | {"unclean.leader.election.enable": "true"}))) == 1
    assert len(faults(TopicFacts("id", 8, 1, sound))) == 1


def test_a_topic_that_is_not_there_is_a_clear_error(kafka_broker):
    topic = KafkaTopic.parse(kafka_broker.url("nowhere"))
    with pytest.raises(StorageError, match="no topic nowhere: make it with `heartline topics create`"):
        check_topic(topic)
    with pytest.raises(StorageError, match="cannot have 2 partitions"):
        add_partitions(topic, 2)


def test_a_topic_cannot_be_made_twice_nor_with_more_replicas_than_brokers(kafka_broker):
    log = KafkaLog(kafka_broker)
    with pytest.raises(StorageError, match="exists already"):
        create_topic(log.topic, 1, 1)
    with pytest.raises(StorageError, match="cannot be made"):
        create_topic(KafkaTopic.parse(kafka_broker.url("too-many")), 1, 3)


def test_partitions_become_more_and_never_fewer(kafka_broker):
    log = KafkaLog(kafka_broker, partitions=2)
    add_partitions(log.topic, 4)
    assert check_topic(log.topic).partitions == 4
    with pytest.raises(StorageError, match="cannot have 3 partitions"):
        add_partitions(log.topic, 3)


def test_tls_and_password_are_passed_on(kafka_broker):
    def topic(password):
        security = KafkaSecurity(
            "SASL_SSL", username=USERNAME, password=password, cafile=kafka_broker.folder / "certificate.pem"
        )
        return KafkaTopic.parse(f"kafka://127.0.0.1:{kafka_broker.secure_port}/secured", security)

    create_topic(topic(PASSWORD), 1, 1)
    assert append_now(topic(PASSWORD), [record()]) == 1
    with pytest.raises(UnavailableError):
        append_now(topic("wrong"), [record()], deadline_s=1)


def test_a_certificate_that_is_not_there_is_a_clear_error(tmp_path):
    topic = KafkaTopic.parse("kafka://127.0.0.1:9/t", KafkaSecurity("SSL", cafile=tmp_path / "none.pem"))
    with pytest.raises(StorageError, match="certificates cannot be used"):
        topic.options()


@pytest.mark.parametrize("tool", ["java", "mvn"])
def test_a_machine_without_the_brokers_tools_is_told_what_to_install(tmp_path, monkeypatch, tool):
    which = broker_module.shutil.which
    monkeypatch.setattr(broker_module.shutil, "which", lambda name: None if name == tool else which(name))
    with pytest.raises(MissingToolError, match=f"`{tool}` is missing.*apt-get install default-jre-headless maven"):
        KafkaBroker(tmp_path).__enter__()
