"""Making a topic that keeps what it acknowledged, and checking that one does."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from storage.errors import StorageError
from storage.log import Place
from storage.log.kafka import KafkaTopic
from storage.log.kafka_reach import unreachable_now
from storage.log.kafka_topic_id import topic_id
from storage.log.loop_thread import TidyLoop

_ANSWER_WITHIN_S: Final = 15.0
_LOOK_AGAIN_S: Final = 0.05
_DAY_MS: Final = 86_400_000
_RETENTION_MS: Final = 7 * _DAY_MS  # how long aggregators may be down
_UNLIMITED: Final = -1

T = TypeVar("T")


class TopicFacts(msgspec.Struct, frozen=True):
    """A topic as the brokers describe it."""

    id: str  # 32 hexadecimal digits: the log's name
    partitions: int
    replication: int
    settings: dict[str, str]


def create_topic(topic: KafkaTopic, partitions: int, replication: int) -> None:
    """Make the topic, so that it passes `check_topic`. Raises `StorageError`, `UnavailableError`."""
    _run(topic, _create(topic, partitions, replication))


def topic_exists(topic: KafkaTopic) -> bool:
    """Tell whether the brokers know the topic. Raises `UnavailableError`."""
    return _run(topic, _exists(topic))


def describe_topic(topic: KafkaTopic) -> TopicFacts:
    """Ask the brokers. Raises `StorageError` when there is no such topic, `UnavailableError`."""
    return _run(topic, describe(topic))


def check_topic(topic: KafkaTopic) -> TopicFacts:
    """Give the facts. Raises `StorageError` naming everything by which an acknowledged record could get lost."""
    facts = describe_topic(topic)
    wrong = faults(facts)
    if wrong:
        raise StorageError(f"The topic {topic.name} would not keep what it acknowledged: {'; '.join(wrong)}.")
    return facts


def add_partitions(topic: KafkaTopic, total: int) -> None:
    """Raise the number of partitions to `total`, which changes users' shards. Raises as `create_topic`."""
    _run(topic, _add_partitions(topic, total))


def ends_of(topic: KafkaTopic) -> list[Place]:
    """Give the last offset ever appended to each shard (0: none). Raises as `describe_topic`."""
    return _run(topic, _ends(topic))


def faults(facts: TopicFacts) -> list[str]:
    """Say by what a topic could lose acknowledged records; nothing for a sound one."""
    settings = facts.settings
    wrong = [
        f"{name} is {settings.get(name)}, it must be {wanted}"
        for name, wanted in _fixed_settings(facts.replication).items()
        if settings.get(name) != wanted
    ]
    if facts.replication > 1 and int(settings.get("min.insync.replicas", 1)) < 2:
        wrong.append("min.insync.replicas is below 2")
    if 0 <= int(settings.get("retention.ms", _UNLIMITED)) < _DAY_MS:
        wrong.append("retention.ms is below a day: records would go before a stopped aggregator has read them")
    return wrong


def _fixed_settings(replication: int) -> dict[str, str]:
    """Give the settings that have one right value.

    Compaction would delete all but a user's last record, a size limit what was not read yet, and the time of a
    machine whose clock is wrong what is young. A single broker must sync each append before it acknowledges.
    """
    fixed = {
        "cleanup.policy": "delete",
        "retention.bytes": str(_UNLIMITED),
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
    }
    return fixed if replication > 1 else fixed | {"flush.messages": "1"}


async def describe(topic: KafkaTopic) -> TopicFacts:
    """Ask the brokers, in a running event loop. Raises `StorageError`, and what aiokafka raises."""
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        admin = await _admin(topic)
        try:
            identity = await topic_id(admin._client, topic.name)  # noqa: SLF001 - the admin client passes no request on
            found = (await admin.describe_topics([topic.name]))[0]
            answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
        except UnknownTopicOrPartitionError as error:
            raise StorageError(f"There is no topic {topic.name}: make it with `heartline topics create`.") from error
        finally:
            await admin.close()
    entries = answers[0].to_object()["resources"][0]["config_entries"]
    settings = {entry["config_names"]: entry["config_value"] for entry in entries}
    return TopicFacts(identity, len(found["partitions"]), len(found["partitions"][0]["replicas"]), settings)


async def _exists(topic: KafkaTopic) -> bool:
    admin = await _admin(topic)
    try:
        return topic.name in await admin.list_topics()
    finally:
        await admin.close()


async def _ends(topic: KafkaTopic) -> list[Place]:
    facts = await describe(topic)
    consumer = AIOKafkaConsumer(**topic.options())
    try:
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(topic.name, shard) for shard in range(facts.partitions)])
    finally:
        await consumer.stop()
    return [Place(facts.id, partition.partition, end) for partition, end in sorted(ends.items())]


async def _create(topic: KafkaTopic, partitions: int, replication: int) -> None:
    settings = _fixed_settings(replication) | {"retention.ms": str(_RETENTION_MS)}
    settings["min.insync.replicas"] = str(min(2, replication))
    admin = await _admin(topic)
    try:
        answer = await admin.create_topics([NewTopic(topic.name, partitions, replication, topic_configs=settings)])
        _, code, message = answer.topic_errors[0]
        error = for_code(code)
        if error is TopicAlreadyExistsError:
            raise StorageError(f"The topic {topic.name} exists already.")
        if error is not NoError:
            raise StorageError(f"The topic {topic.name} cannot be made: {message or error.__name__}.")
        await _visible(admin, topic, partitions)
    finally:
        await admin.close()


async def _add_partitions(topic: KafkaTopic, total: int) -> None:
    admin = await _admin(topic)
    try:
        await admin.create_partitions({topic.name: NewPartitions(total)})
        await _visible(admin, topic, total)
    except KafkaError as error:
        raise StorageError(f"The topic {topic.name} cannot have {total} partitions: {error}.") from error
    finally:
        await admin.close()


async def _visible(admin: AIOKafkaAdminClient, topic: KafkaTopic, partitions: int) -> None:
    """Wait until a broker tells of what the controller has made: they hear of it a moment later, each by itself."""
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        while len((await admin.describe_topics([topic.name]))[0]["partitions"]) != partitions:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _admin(topic: KafkaTopic) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(**topic.options(), request_timeout_ms=int(_ANSWER_WITHIN_S * 1000))
    try:
        await admin.start()
    except BaseException:
        await admin.close()
        raise
    return admin


def _run(topic: KafkaTopic, work: Coroutine[Any, Any, T]) -> T:
    try:
        with asyncio.Runner(loop_factory=TidyLoop) as runner:
            return runner.run(work)
    except (KafkaError, OSError) as error:  # a TimeoutError is an OSError
        raise unreachable_now(topic, error) from error
