"""Reading one shard from Kafka, for the synchronous aggregator that owns it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.record import StoredRecord
from storage.errors import FencedError, GapError, StandstillError, UnavailableError
from storage.log.kafka import KafkaTopic, stored_record
from storage.log.kafka_topic_id import topic_id
from storage.log.loop_thread import LoopThread

_FETCH_BYTES: Final = 1 << 20  # held here at most, and as much again fetched ahead by aiokafka
_ANSWER_WITHIN_S: Final = 10.0
_FETCH_WITHIN_S: Final = 5.0

T = TypeVar("T")


class KafkaLogReader:
    """The aggregator's end of one shard. It has a consumer of its own, which no rebalance disturbs.

    Records stay here until `read` is asked for what comes after them, so that a micro-batch can be repeated, or take
    fewer than it was given. Used by one thread at a time, but for `revoke`.
    """

    def __init__(self, topic: KafkaTopic, name: str, shard: int, shards: int, loop: LoopThread) -> None:
        self.name = name
        self.shard = shard
        self.shards = shards
        self._partition = TopicPartition(topic.name, shard)
        self._topic = topic
        self._loop = loop
        self._consumer: AIOKafkaConsumer | None = None
        self._records: deque[StoredRecord] = deque()  # all there are with offsets above `_after`, up to `_fetched`
        self._after = self._fetched = -1
        self._known_end = 0
        self._unfetched = True  # since the last `_seek`
        self._sought_s = 0.0
        self._in_doubt = False  # whether brokers have told of topics since `_refuse_another_topic`
        self._closed = False
        self._revoked = False

    def read(self, after: int, max_bytes: int) -> list[StoredRecord]:
        """Read records whose offsets are above `after`, in order, about `max_bytes` of values (at least one record).

        An empty list: the shard ends at `after`, as far as the brokers' last answer, or `end`, has told. Raises
        `UnavailableError` while the brokers do not answer, `GapError` when records above `after` are gone,
        `FencedError` when the shard is another aggregator's now, `StandstillError` when the shard ends before `after`.
        """
        self._refuse_if_lost()
        if self._after <= after <= self._fetched:
            while self._records and self._records[0].offset <= after:
                self._records.popleft()
            self._after = after
        else:
            self._run(lambda: self._seek(after))
        if not self._records:
            self._run(self._fetch)
        return self._first(max_bytes)

    def end(self) -> int:
        """Give the last offset ever appended (0: none). Raises as `read`."""
        self._refuse_if_lost()
        return self._run(self._end)

    def wait(self, timeout_s: float) -> None:
        """Return when something was appended after what was read last, or after `timeout_s`. Raises as `read`.

        Before the first `read` it returns at once.
        """
        self._refuse_if_lost()
        if self._after >= 0 and not self._records:
            self._run(lambda: self._poll(timeout_s), timeout_s)

    def trim(self, upto: int, older_than_us: int) -> int:  # noqa: ARG002 - the other log's aggregator trims it
        """Do nothing: the topic's retention deletes old records."""
        return 0

    def close(self) -> None:
        """Let go of the shard."""
        if not self._closed:
            self._closed = True
            consumer, self._consumer = self._consumer, None
            if consumer is not None:
                self._loop.run(consumer.stop(), _ANSWER_WITHIN_S)

    def revoke(self) -> None:
        """Make every later call raise `FencedError`: the shard was given to another aggregator."""
        self._revoked = True

    @property
    def revoked(self) -> bool:
        """Whether the shard was given to another aggregator."""
        return self._revoked

    def _first(self, max_bytes: int) -> list[StoredRecord]:
        first: list[StoredRecord] = []
        size = 0
        for record in self._records:
            first.append(record)
            size += len(record.value)
            if size >= max_bytes:
                break
        return first

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]], extra_s: float = 0.0) -> T:
        try:
            return self._loop.run(work(), _ANSWER_WITHIN_S + extra_s)
        except (KafkaError, OSError) as error:
            raise UnavailableError(f"The log {self._topic.url} cannot be read: {error!r}.") from error

    def _refuse_if_lost(self) -> None:
        if self._revoked:
            raise FencedError(f"Shard {self.shard} of log {self.name} was given to another aggregator.")
        if self._closed:
            raise UnavailableError(f"Shard {self.shard} of log {self.name} is closed.")

    async def _started(self) -> AIOKafkaConsumer:
        """Give the consumer; it fetches nothing before the first `_seek`."""
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._topic.options(),
                auto_offset_reset="none",
                enable_auto_commit=False,
                max_partition_fetch_bytes=_FETCH_BYTES,
                request_timeout_ms=int(_ANSWER_WITHIN_S * 1000),
            )
            try:
                await consumer.start()
                await self._refuse_another_topic(consumer)
            except BaseException:
                await consumer.stop()
                raise
            consumer._client.cluster.add_listener(self._doubt)  # noqa: SLF001 - the consumer tells nobody
            consumer.assign([self._partition])
            consumer.seek(self._partition, 0)
            consumer.pause(self._partition)
            self._consumer = consumer
        return self._consumer

    async def _seek(self, after: int) -> None:
        consumer = await self._started()
        consumer.seek(self._partition, after)  # the record after `after` has this offset in Kafka
        consumer.resume(self._partition)
        self._records.clear()
        self._after = self._fetched = after
        self._unfetched = True
        self._sought_s = time.time()

    async def _fetch(self) -> None:
        """Hold more; nothing only where the shard ends, as far as is known."""
        consumer = await self._started()
        await self._poll(0)
        if self._unfetched:
            if await self._end() < self._fetched:
                raise await self._lost(consumer)
            self._unfetched = False
        async with asyncio.timeout(_FETCH_WITHIN_S):
            while not self._records and self._fetched < self._known_end:  # Kafka's own records have offsets too
                await self._poll(_FETCH_WITHIN_S)
        answered_s = (consumer.last_poll_timestamp(self._partition) or 0) / 1000
        silent_s = time.time() - max(answered_s, self._sought_s)
        if not self._records and silent_s > _ANSWER_WITHIN_S:
            raise UnavailableError(f"The log {self._topic.url} has not answered for {silent_s:.0f} s.")

    async def _poll(self, timeout_s: float) -> None:
        consumer = await self._started()
        try:
            found = await consumer.getmany(self._partition, timeout_ms=int(timeout_s * 1000))
            if self._in_doubt:
                await self._refuse_another_topic(consumer)
            for record in found.get(self._partition, ()):
                self._records.append(stored_record(record.offset, record.key, record.value, record.headers))
            self._fetched = await consumer.position(self._partition)
        except OffsetOutOfRangeError as error:
            raise await self._lost(consumer) from error
        except BaseException:
            # The consumer goes on behind what it had taken when it failed: it must be told again where to read.
            self._after = self._fetched = -1
            raise
        self._known_end = max(self._known_end, consumer.highwater(self._partition) or 0)

    def _doubt(self, _: object) -> None:
        self._in_doubt = True

    async def _refuse_another_topic(self, consumer: AIOKafkaConsumer) -> None:
        """Raise `StandstillError` where the topic was deleted and made again: its offsets mean other records."""
        found = await topic_id(consumer._client, self._topic.name)  # noqa: SLF001 - no public way to ask for it
        if found != self.name:
            raise StandstillError(
                f"The topic of the log {self._topic.url} was deleted and made again: {self.name} was followed, "
                f"{found} is there now."
            )
        self._in_doubt = False

    async def _end(self) -> int:
        """Ask for the end; the answer waits for the fetch under way."""
        consumer = await self._started()
        end: int = (await consumer.end_offsets([self._partition]))[self._partition]
        self._known_end = max(self._known_end, end)
        return end

    async def _lost(self, consumer: AIOKafkaConsumer) -> StandstillError:
        """Say why there is nothing at the place to read from. Raises `StandstillError` for another topic."""
        await self._refuse_another_topic(consumer)
        end = await self._end()
        if end < self._fetched:
            return StandstillError(
                f"Shard {self.shard} of the log {self._topic.url} ends at offset {end}, but was read up to "
                f"{self._fetched} already: it is older, or another one."
            )
        begin: int = (await consumer.beginning_offsets([self._partition]))[self._partition]
        return GapError(self._fetched + 1, begin)
