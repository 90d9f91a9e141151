"""Which shards are ours: the consumer group that spreads them over all aggregators."""

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from storage.errors import UnavailableError
from storage.log.kafka import KafkaTopic
from storage.log.kafka_reach import unreachable_now
from storage.log.kafka_reader import KafkaLogReader
from storage.log.kafka_topics import describe
from storage.log.loop_thread import LoopThread

logger = logging.getLogger(__name__)

_POLL_MS: Final = 1000
_RETRY_S: Final = 1.0
_REPORT_INTERVAL_S: Final = 5.0
_ANSWER_WITHIN_S: Final = 20.0
_LEAVE_WITHIN_S: Final = 3.0
_METADATA_AGE_MS: Final = 10_000  # how late added partitions are noticed


def group_of(topic: KafkaTopic) -> str:
    """Name the group of all aggregators of a topic; others on the same brokers have groups, and names, of their own."""
    return f"heartline-{topic.name}"


class KafkaGroup:
    """An aggregator's membership, kept up by a thread of its own whatever the aggregator is busy with.

    It only says who reads what; that nobody else writes a shard any more is the SQL fence's business (design.md,
    commit protocol). So a shard that stays ours over a rebalance is read on all the while, and one that goes away is
    dropped when its owner next looks. `instance` names this aggregator for as long as it exists, restarts included
    (static membership): one that is back within the session timeout finds its shards as they were. None: it leaves
    when it closes. Two living members must not have the same name.

    Raises `UnavailableError` where the brokers do not answer, `StorageError` where there is no such topic.
    """

    def __init__(
        self,
        topic: KafkaTopic,
        *,
        instance: str | None = None,
        session_timeout_s: float = 30.0,
    ) -> None:
        self._topic = topic
        self._group = group_of(topic)
        self._instance = instance
        self._session_timeout_s = session_timeout_s
        self._readers: dict[int, KafkaLogReader] = {}
        self._changed = threading.Condition()
        self._reported: dict[int, int] = {}
        self._watermarks: dict[int, int] = {}
        self._report_at = 0.0
        self._closed = False
        self._loop = LoopThread("kafka")
        try:
            facts = self._loop.run(describe(topic), _ANSWER_WITHIN_S)
            self.name, self._partitions = facts.id, facts.partitions
            self._membership = self._loop.run(self._start(), _ANSWER_WITHIN_S)
        except (KafkaError, OSError) as error:
            self._loop.close()
            raise unreachable_now(topic, error) from error
        except BaseException:
            self._loop.close()
            raise

    def readers(self, known: Collection[object], timeout_s: float) -> list[KafkaLogReader]:
        """Give the readers of the shards that are ours: once they are others than `known`, or after `timeout_s`.

        A shard that went away and came back has a new one. Whoever takes a reader closes it, before the group.
        """
        with self._changed:
            self._changed.wait_for(lambda: set(self._readers.values()) != set(known), timeout_s)
            return list(self._readers.values())

    def report(self, shard: int, watermark: int) -> None:
        """Tell Kafka how far a shard is counted, soon: for lag monitoring only."""
        self._watermarks[shard] = watermark

    def close(self) -> None:
        """Let go of the group and of all shards. A named member's shards wait for it until its session ends.

        So do those of one that cannot take its leave, as the brokers are silent.
        """
        if self._closed:
            return
        self._closed = True
        with suppress(UnavailableError):
            self._loop.run(_cancelled(self._membership), _LEAVE_WITHIN_S)
        for reader in self._readers.values():
            reader.close()
        self._loop.close()

    async def _start(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self._stay())

    async def _stay(self) -> None:
        while True:
            try:
                await self._take_part()
            except Exception as error:  # noqa: BLE001 - whatever ends this consumer, another one must follow
                logger.error("The group %s has to be joined anew: %r", self._group, error)  # noqa: TRY400 - one line
            await asyncio.sleep(_RETRY_S)

    async def _take_part(self) -> None:
        assignor = _Range(self._partitions)
        consumer = AIOKafkaConsumer(
            **self._topic.options(),
            group_id=self._group,
            group_instance_id=self._instance,
            partition_assignment_strategy=[assignor],
            session_timeout_ms=int(self._session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._session_timeout_s * 1000 / 10),
            metadata_max_age_ms=_METADATA_AGE_MS,
            enable_auto_commit=False,
        )
        listener = _Listener(self, consumer)
        consumer.subscribe([self._topic.name], listener=listener)
        try:
            await consumer.start()
            while True:
                await consumer.getmany(timeout_ms=_POLL_MS)  # gives nothing, all is paused; raises what went wrong
                await self._send_report(consumer)
                partitions = len(consumer.partitions_for_topic(self._topic.name) or ())
                if partitions > assignor.partitions:
                    assignor.partitions = self._partitions = partitions
                    consumer.subscribe([self._topic.name], listener=listener)  # joins again
        finally:
            await consumer.stop()

    async def _send_report(self, consumer: AIOKafkaConsumer) -> None:
        ours = {shard: offset for shard, offset in self._watermarks.items() if shard in self._readers}
        if not ours or ours == self._reported or time.monotonic() < self._report_at:
            return  # the client takes an empty report for a mistake
        self._report_at = time.monotonic() + _REPORT_INTERVAL_S
        with suppress(KafkaError):  # a rebalance is under way: later
            await consumer.commit({TopicPartition(self._topic.name, shard): offset for shard, offset in ours.items()})
            self._reported = ours

    def assign(self, shards: Iterable[int]) -> None:
        """Take over the group's decision; called by the listener."""
        ours = set(shards)
        with self._changed:
            for shard in self._readers.keys() - ours:
                self._readers.pop(shard).revoke()
            for shard in ours - self._readers.keys():
                self._readers[shard] = KafkaLogReader(self._topic, self.name, shard, self._partitions, self._loop)
            self._changed.notify_all()


class _Range(RangePartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """Neighbouring shards to one member; a rebalance moves few of them.

    Each member tells how many partitions it knows of. So its joining again with another number makes the group share
    them out anew, which is the leader's task, but a named leader that was restarted does not know that it leads.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(self.version, list(topics), b"%d" % self.partitions)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Hears of rebalances."""

    def __init__(self, group: KafkaGroup, consumer: AIOKafkaConsumer) -> None:
        self._group = group
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Do nothing: most come back at once, see `on_partitions_assigned`."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hand over the shards. This consumer fetches nothing: each shard's reader has its own."""
        for partition in assigned:
            self._consumer.seek(partition, 0)
            self._consumer.pause(partition)
        self._group.assign(partition.partition for partition in assigned)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
