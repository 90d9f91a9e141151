"""Appending to Kafka: acknowledged by all in-sync replicas, or refused within a deadline."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from schemas.record import Record
from storage.errors import UnavailableError
from storage.log.kafka import KafkaTopic, headers_of, key_of, shard_of
from storage.log.kafka_reach import unreachable
from storage.log.loop_thread import TidyLoop

logger = logging.getLogger(__name__)

SEND_WITHIN_S: Final = 10.0
"""A record that the brokers have not taken by then is refused, and never sent again."""

_MAX_BATCH_BYTES: Final = 1_000_000  # a broker takes 1 MiB by default; a batch is one write and one fsync there
_METADATA_AGE_MS: Final = 10_000  # how late a raised number of partitions may be noticed
_START_DEADLINES: Final = 3  # for each server; what aiokafka asks has deadlines of its own, and leaks when cancelled
_RETRY_S: Final = 0.5
_CLOSE_WITHIN_S: Final = 5.0


class KafkaLogWriter:
    """Ingest's end of the log; any number of processes. Must be made within a running event loop.

    It connects in the background and refuses until it has. A producer that failed, or kept a record longer than the
    deadline, is never used again: aiokafka's idempotent producer would repeat for as long as the broker is away, and
    after some failures its sequence numbers are wrong for good. All that it still holds is given up, which is memory
    freed, and another one takes over as soon as the brokers answer.
    """

    def __init__(self, topic: KafkaTopic, *, max_queued_bytes: int, deadline_s: float = SEND_WITHIN_S) -> None:
        self._topic = topic
        self._max_queued_bytes = max_queued_bytes
        self._deadline_s = deadline_s
        self._queued_bytes = 0
        self._shards: int | None = None
        self._producer: AIOKafkaProducer | None = None
        self._abandoned: set[asyncio.Task[None]] = set()
        self._closing = False
        self._connecting = asyncio.create_task(self._connect())

    async def ready(self) -> None:
        """Return when the brokers have answered for the first time. Raises `UnavailableError` after the deadline."""
        await asyncio.wait([self._connecting], timeout=self._deadline_s)
        if self._producer is None:
            raise self._unreachable()

    async def append(self, records: Sequence[Record], shard: int | None = None) -> int:
        """Return the last record's offset when all in-sync replicas have all of them. All are of one user.

        `shard` overrides the user's. Raises `UnavailableError`: not acknowledged, outcome unknown, send again.
        """
        producer = self._usable_producer(sum(len(record.value) for record in records))
        offset = 0
        try:
            async with asyncio.timeout(self._deadline_s):
                for delivery in [await self._send(producer, record, shard) for record in records]:
                    offset = (await asyncio.shield(delivery)).offset + 1
        except (TimeoutError, KafkaError) as error:
            self._abandon(producer)
            raise UnavailableError(
                f"Kafka did not take the record ({error!r}): send again in a few seconds."
            ) from error
        return offset

    async def close(self) -> None:
        """Wait a little for what is on its way, then let go of the log."""
        self._closing = True
        self._connecting.cancel()
        with suppress(asyncio.CancelledError):
            await self._connecting
        if self._producer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._producer.flush(), _CLOSE_WITHIN_S)
            self._abandon(self._producer)
        if self._abandoned:
            await asyncio.wait(self._abandoned, timeout=_CLOSE_WITHIN_S)

    def _usable_producer(self, size: int) -> AIOKafkaProducer:
        if self._closing:
            raise UnavailableError("The server is stopping: send again in a few seconds.")
        if self._producer is None:
            raise self._unreachable()
        if self._queued_bytes + size > self._max_queued_bytes:
            raise UnavailableError("The log's queue is full: send again in a few seconds.")
        return self._producer

    def _unreachable(self) -> UnavailableError:
        return UnavailableError(f"The log {self._topic.url} cannot be reached: send again in a few seconds.")

    async def _send(
        self, producer: AIOKafkaProducer, record: Record, shard: int | None
    ) -> "asyncio.Future[RecordMetadata]":
        partitions = len(await producer.partitions_for(self._topic.name))
        if partitions != self._shards:
            raise UnavailableError(
                f"The log has {partitions} shards now, {self._shards} when this process started: start it again."
            )
        size = len(record.value)
        self._queued_bytes += size
        try:
            delivery: asyncio.Future[RecordMetadata] = await producer.send(
                self._topic.name,
                key=key_of(record),
                value=record.value,
                partition=shard_of(record.user_id, partitions) if shard is None else shard,
                headers=headers_of(record),
            )
        except BaseException:
            self._queued_bytes -= size
            raise
        delivery.add_done_callback(lambda done: self._settled(done, size))
        return delivery

    def _settled(self, delivery: "asyncio.Future[RecordMetadata]", size: int) -> None:
        """Free the record's bytes only now: it may outlive the request that it came with."""
        self._queued_bytes -= size
        delivery.exception()  # seen, even where nobody waits any more

    def _abandon(self, producer: AIOKafkaProducer) -> None:
        if producer is not self._producer:
            return  # somebody else's record was late as well
        self._producer = None
        task = asyncio.create_task(_give_up(producer))
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        if not self._closing:
            logger.error("The log %s does not take records: connecting anew.", self._topic.url)
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        """Make a producer, for as long as it takes."""
        while True:
            try:
                self._producer = await self._connected()
            except Exception as error:  # noqa: BLE001 - whatever it is, such as no certificate now, nobody else connects
                logger.error("%s", error)  # noqa: TRY400 - one line
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._topic.options(),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,  # measured: records gather while a request is under way, a linger only adds to each
            max_batch_size=_MAX_BATCH_BYTES,
            metadata_max_age_ms=_METADATA_AGE_MS,
            request_timeout_ms=int(self._deadline_s * 1000),
        )
        try:
            async with asyncio.timeout(_START_DEADLINES * self._deadline_s * len(self._topic.servers)):
                await producer.start()
                partitions = len(await producer.partitions_for(self._topic.name))
        except BaseException as error:
            await _give_up(producer)
            if isinstance(error, (TimeoutError, KafkaError, OSError)):
                raise await unreachable(self._topic, error) from error
            raise
        self._shards = self._shards or partitions
        return producer


async def _give_up(producer: AIOKafkaProducer) -> None:
    """Stop a producer without waiting for the brokers to take what it holds.

    aiokafka has no public way: `stop` waits until everything is delivered, for ever if need be. So its sender ends
    first (a request under way has its own deadline), and what it still holds fails, as when a sender breaks.
    """
    with suppress(KafkaError, OSError):
        await producer._sender.close()  # noqa: SLF001 - see above
    held = producer._message_accumulator  # noqa: SLF001 - see above
    queued = list(chain.from_iterable(held._batches.values()))  # noqa: SLF001 - asyncio would complain of them:
    held._pending_batches.update(queued)  # noqa: SLF001 - what was to be repeated looks for itself there in vain
    held.fail_all(KafkaError("given up"))
    for batch in queued:
        batch._drain_waiter.exception()  # noqa: SLF001 - and nobody sees this error
    with suppress(KafkaError, OSError):
        await producer.stop()


async def _append_once(topic: KafkaTopic, records: Sequence[Record], shard: int | None, deadline_s: float) -> int:
    writer = KafkaLogWriter(topic, max_queued_bytes=sum(len(r.value) for r in records), deadline_s=deadline_s)
    try:
        await writer.ready()
        return await writer.append(records, shard)
    finally:
        await writer.close()


def append_now(
    topic: KafkaTopic, records: Sequence[Record], shard: int | None = None, deadline_s: float = SEND_WITHIN_S
) -> int:
    """Append from a command, to the given or the user's shard; return the last offset. Raises `UnavailableError`."""
    with asyncio.Runner(loop_factory=TidyLoop) as runner:
        return runner.run(_append_once(topic, records, shard, deadline_s))
