"""The log on Kafka as services and commands find it: a topic, its partitions the shards."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from schemas.record import Record
from storage.log import Place
from storage.log.kafka import KafkaTopic, shard_of
from storage.log.kafka_topics import check_topic, describe_topic, ends_of
from storage.log.kafka_writer import SEND_WITHIN_S, KafkaLogWriter, append_now

_NOTICED_WITHIN_S: Final = 2.0


class KafkaLog:
    """The log in a topic."""

    def __init__(self, topic: KafkaTopic) -> None:
        self.topic = topic

    async def writer(self, max_queued_bytes: int) -> KafkaLogWriter:
        """Open ingest's end, on a topic that keeps what it acknowledges. Raises `StorageError`, `UnavailableError`."""
        await asyncio.to_thread(check_topic, self.topic)
        return KafkaLogWriter(self.topic, max_queued_bytes=max_queued_bytes)

    def append(self, record: Record, *, everywhere: bool = False) -> list[Place]:
        """Append from a command, to the user's shard or to each. Raises `StorageError`, `UnavailableError`."""
        facts = describe_topic(self.topic)
        shards = range(facts.partitions) if everywhere else [shard_of(record.user_id, facts.partitions)]
        return [Place(facts.id, shard, append_now(self.topic, [record], shard)) for shard in shards]

    def ends(self) -> list[Place]:
        """Give the last offset of each shard ever appended (0: none). Raises `StorageError`, `UnavailableError`."""
        return ends_of(self.topic)

    @contextmanager
    def without_ingest(self) -> Iterator[float]:
        """Ask for patience: ingests look at the database every half second, and a send has its deadline."""
        yield _NOTICED_WITHIN_S + SEND_WITHIN_S
