"""What only Kafka can do to a log: brokers that die or freeze, retention, foreign records, more partitions."""

import asyncio
import contextlib
import shutil
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.record import FORMAT_VERSION, Kind, StoredRecord
from storage.errors import FencedError, GapError, StandstillError, StorageError, UnavailableError
from storage.log import kafka_reader, kafka_writer
from storage.log.kafka import KafkaSecurity, KafkaTopic, shard_of
from storage.log.kafka_topics import add_partitions, describe_topic
from storage.log.kafka_writer import KafkaLogWriter, append_now
from tests.kafka.broker import PASSWORD, USERNAME
from tests.storage.logs import MIB, KafkaLog, append_all, read_all, record, wait_until

DEADLINE_S = 2.0
BACK_WITHIN_S = 60


@pytest.fixture
def log(kafka_broker):
    return KafkaLog(kafka_broker)


async def until_taken(writer, value):
    """Append again and again until the log takes it; return what was tried."""
    deadline = time.monotonic() + BACK_WITHIN_S
    while True:
        try:
            return await writer.append([record(1, value)])
        except UnavailableError:
            assert time.monotonic() < deadline, "the log does not take records again"
            await asyncio.sleep(0.1)


async def refused(writer, value):
    """Append while the broker is away: the time it takes to be refused."""
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        await writer.append([record(1, value)])
    return time.monotonic() - started


@pytest.mark.parametrize("away", ["down", "frozen"])
def test_nothing_is_acknowledged_while_the_broker_is_away_and_nothing_acknowledged_is_lost(
    log, kafka_broker, away, caplog
):
    async def scenario():
        acknowledged = []
        async with log.writer(deadline_s=DEADLINE_S) as writer:
            acknowledged += [(await writer.append([record(1, b"before %d" % n)]), b"before %d" % n) for n in range(5)]
            with getattr(kafka_broker, away)():
                together = await asyncio.gather(*(refused(writer, b"during %d" % n) for n in range(5)))
                at_once = await refused(writer, b"later")
            acknowledged.append((await until_taken(writer, b"after"), b"after"))
            acknowledged += [(await writer.append([record(1, b"again %d" % n)]), b"again %d" % n) for n in range(5)]
        return acknowledged, max(together), at_once

    acknowledged, slowest_s, at_once_s = asyncio.run(scenario())
    assert slowest_s < DEADLINE_S + 5
    assert at_once_s < 1  # known to be away: no deadline to wait for
    assert "Exception in callback" not in caplog.text
    with log.reader() as reader:
        stored = {r.offset: r.value for r in read_all(reader)}
    assert [(offset, stored[offset]) for offset, _ in acknowledged] == acknowledged
    assert [offset for offset, _ in acknowledged] == sorted(offset for offset, _ in acknowledged)


def test_a_short_absence_of_the_broker_is_sat_out_by_writer_and_reader(log, kafka_broker):
    async def scenario():
        async with log.writer(deadline_s=BACK_WITHIN_S) as writer:
            kafka_broker.kill()
            waiting = [asyncio.ensure_future(writer.append([record(1, b"%d" % n)])) for n in range(5)]
            await asyncio.to_thread(kafka_broker.start)
            return await asyncio.gather(*waiting)

    log.append_now([record(1, b"before")])
    with log.reader() as reader:
        assert [r.offset for r in read_all(reader)] == [1]
        offsets = asyncio.run(scenario())
        deadline = time.monotonic() + BACK_WITHIN_S
        stored = {}
        while len(stored) < 5 and time.monotonic() < deadline:
            with contextlib.suppress(UnavailableError):
                reader.wait(1)
                stored = {r.offset: r.value for r in reader.read(1, MIB)}
        assert reader.end() == 6  # repeated by the producer, stored once
    assert [stored[offset] for offset in offsets] == [b"%d" % n for n in range(5)]


def test_a_writer_connects_again_although_its_certificate_was_away_when_it_tried(log, kafka_broker, tmp_path, caplog):
    certificate, elsewhere = tmp_path / "certificate.pem", tmp_path / "elsewhere.pem"
    shutil.copy(kafka_broker.folder / "certificate.pem", certificate)
    security = KafkaSecurity("SASL_SSL", username=USERNAME, password=PASSWORD, cafile=certificate)
    topic = KafkaTopic.parse(f"kafka://127.0.0.1:{kafka_broker.secure_port}/{log.topic.name}", security)

    async def scenario():
        writer = KafkaLogWriter(topic, max_queued_bytes=MIB, deadline_s=DEADLINE_S)
        await writer.ready()
        with kafka_broker.frozen():
            await refused(writer, b"a")
            certificate.rename(elsewhere)
        await asyncio.to_thread(wait_until, lambda: "certificates cannot be used" in caplog.text)
        elsewhere.rename(certificate)
        await until_taken(writer, b"b")
        await writer.close()

    asyncio.run(scenario())


def test_what_waits_for_a_frozen_broker_is_bounded(log, kafka_broker):
    async def scenario():
        async with log.writer(max_queued_bytes=2 * MIB, deadline_s=DEADLINE_S) as writer:
            with kafka_broker.frozen():
                appending = [asyncio.ensure_future(writer.append([record(1, b"x" * 100_000)])) for _ in range(100)]
                outcomes = await asyncio.gather(*appending, return_exceptions=True)
            await until_taken(writer, b"after")
            return [str(outcome) for outcome in outcomes]

    outcomes = asyncio.run(scenario())
    assert sum("queue is full" in outcome for outcome in outcomes) == 100 - 2 * MIB // 100_000
    assert all("queue is full" in outcome or "did not take" in outcome for outcome in outcomes)


def test_a_writer_made_while_the_broker_is_away_refuses_until_it_is_there_and_commands_fail_clearly(log, kafka_broker):
    async def scenario():
        writer = KafkaLogWriter(log.topic, max_queued_bytes=MIB, deadline_s=DEADLINE_S)
        with pytest.raises(UnavailableError):
            await writer.append([record()])
        with pytest.raises(UnavailableError):
            await writer.ready()
        await asyncio.to_thread(kafka_broker.start)
        offset = await until_taken(writer, b"taken")
        await writer.close()
        return offset

    kafka_broker.kill()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        append_now(log.topic, [record()], deadline_s=DEADLINE_S)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        describe_topic(log.topic)
    assert asyncio.run(scenario()) == 1


def test_a_reader_says_so_when_the_broker_is_silent_and_goes_on_afterwards(log, kafka_broker, monkeypatch):
    monkeypatch.setattr(kafka_reader, "_ANSWER_WITHIN_S", 3.0)
    log.append_now([record()])

    def read_until(found, reader):
        deadline = time.monotonic() + BACK_WITHIN_S
        while time.monotonic() < deadline:
            try:
                records = reader.read(1, MIB)
                reader.wait(0.2)
            except UnavailableError as error:
                records = [error]
            if any(isinstance(record, found) for record in records):
                return records
        return None

    with log.reader() as reader:
        assert reader.read(1, MIB) == []
        with kafka_broker.frozen():
            assert read_until(UnavailableError, reader)
        log.append_now([record(1, b"after")])
        assert [r.value for r in read_until(StoredRecord, reader)] == [b"after"]


def test_a_closed_reader_and_a_revoked_one_read_no_more(log):
    append_all(log, [[record()]])
    with log.reader() as reader:
        assert len(reader.read(0, MIB)) == 1
        reader.revoke()
        for use in (lambda: reader.read(0, MIB), reader.end, lambda: reader.wait(60)):
            with pytest.raises(FencedError):
                use()
    with log.reader() as reader:
        reader.close()
        with pytest.raises(UnavailableError, match="closed"):
            reader.read(0, MIB)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_broker_may_compress_what_it_keeps(kafka_broker, log, codec):
    async def setting():
        admin = AIOKafkaAdminClient(bootstrap_servers=list(log.topic.servers))
        await admin.start()
        named = ConfigResource(ConfigResourceType.TOPIC, log.topic.name, {"compression.type": codec})
        await admin.alter_configs([named])
        await admin.close()

    asyncio.run(setting())
    log.append_now([record(1, b"before"), record(1, b"x" * 100_000), record(1, b"after")])
    with log.reader() as reader:
        assert [(r.offset, len(r.value)) for r in read_all(reader)] == [(1, 6), (2, 100_000), (3, 5)]


def test_a_users_records_are_in_the_users_shard_and_shards_get_equally_many_users(kafka_broker):
    log = KafkaLog(kafka_broker, partitions=4)
    append_all(log, [[record(user, b"%d" % n) for n in range(3)] for user in range(40)])
    for shard in range(4):
        with log.reader(shard) as reader:
            read = read_all(reader)
        assert {r.user_id for r in read} == {user for user in range(40) if shard_of(user, 4) == shard}
        assert len(read) == 30


def test_a_command_reaches_the_shard_that_it_is_for(kafka_broker):
    log = KafkaLog(kafka_broker, partitions=4)
    assert [append_now(log.topic, [record(0, b"%d" % shard)], shard=shard) for shard in range(4)] == [1, 1, 1, 1]
    for shard in range(4):
        with log.reader(shard) as reader:
            assert [r.value for r in read_all(reader)] == [b"%d" % shard]


def test_a_writer_stops_when_partitions_were_added_since_users_have_other_shards_then(log, monkeypatch):
    monkeypatch.setattr(kafka_writer, "_METADATA_AGE_MS", 200)

    async def scenario():
        async with log.writer() as writer:
            await writer.append([record()])
            await asyncio.to_thread(add_partitions, log.topic, 3)
            deadline = time.monotonic() + BACK_WITHIN_S
            refusal = None
            while refusal is None and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                try:
                    await writer.append([record()])
                except UnavailableError as error:
                    refusal = str(error)
            return refusal

    assert "3 shards now, 1 when this process started" in asyncio.run(scenario())


def test_records_that_retention_has_deleted_are_a_gap_and_never_skipped(log):
    append_all(log, [[record(1, b"%d" % n)] for n in range(10)])
    with log.reader() as reader:
        assert len(reader.read(0, MIB)) == 10
        delete_before(log.topic, 4)
        with log.reader() as late:
            for _ in range(2):
                with pytest.raises(GapError) as gap:
                    late.read(2, MIB)
                assert (gap.value.first, gap.value.last) == (3, 4)
            assert [r.offset for r in late.read(4, MIB)] == [5, 6, 7, 8, 9, 10]  # the gap accepted
            with pytest.raises(StandstillError, match="ends at offset 10, but was read up to 11"):
                late.read(11, MIB)


def delete_before(topic, kafka_offset):
    async def deleting():
        admin = AIOKafkaAdminClient(bootstrap_servers=list(topic.servers))
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topic.name, 0): RecordsToDelete(before_offset=kafka_offset)})
        finally:
            await admin.close()

    asyncio.run(deleting())


def made_again(log, broker):
    """Delete the log's topic and make one of the same name."""

    async def deleting():
        admin = AIOKafkaAdminClient(bootstrap_servers=list(log.topic.servers))
        await admin.start()
        await admin.delete_topics([log.topic.name])
        await admin.close()

    asyncio.run(deleting())
    deadline = time.monotonic() + BACK_WITHIN_S
    while True:
        try:
            return KafkaLog(broker, name=log.topic.name)
        except StorageError:
            assert time.monotonic() < deadline


def test_a_topic_made_again_under_the_same_name_is_another_log(kafka_broker, log):
    before = describe_topic(log.topic).id
    made_again(log, kafka_broker)
    assert describe_topic(log.topic).id != before


@pytest.mark.parametrize("call", [(AIOKafkaConsumer, "getmany"), (kafka_reader, "stored_record")])
def test_records_that_the_client_had_taken_when_it_failed_are_read_again(log, monkeypatch, call):
    owner, name = call
    append_all(log, [[record(0, b"%d" % n)] for n in range(3)])
    sound, taken = getattr(owner, name), []

    def fail_once(result):
        if result and not taken:
            taken.append(result)
            raise MemoryError
        return result

    async def getmany(*args, **options):
        return fail_once(await sound(*args, **options))

    def stored_record(*args):
        return fail_once(sound(*args))

    monkeypatch.setattr(owner, name, {"getmany": getmany, "stored_record": stored_record}[name])
    with log.reader() as reader:
        with pytest.raises(MemoryError):
            read_all(reader)
        assert [found.value for found in read_all(reader)] == [b"0", b"1", b"2"]


def test_a_reader_of_a_topic_that_is_made_again_stands_still_and_takes_no_record_for_a_later_one_of_before(
    kafka_broker, log
):
    append_all(log, [[record(1, b"old")] * 3])
    with log.reader() as reader:
        assert len(reader.read(0, MIB)) == 3
        assert reader.read(3, MIB) == []
        append_all(made_again(log, kafka_broker), [[record(1, b"new")] * 9])
        refusals = []

        def stands_still():
            try:
                assert reader.read(3, MIB) == []
                reader.wait(0.2)
            except UnavailableError:
                return False  # in between there is no topic
            except StandstillError as error:
                refusals.append(str(error))
            return len(refusals) > 2

        wait_until(stands_still)
        assert all("was deleted and made again" in refusal for refusal in refusals)


def test_holes_in_the_offsets_stop_no_reader(log):
    async def transactions():
        producer = AIOKafkaProducer(bootstrap_servers=list(log.topic.servers), transactional_id="foreign")
        await producer.start()
        for value in (b"a", b"b"):
            async with producer.transaction():
                await producer.send(log.topic.name, value, key=b"1")
        await producer.stop()

    asyncio.run(transactions())
    with log.reader() as reader:
        wait_until(lambda: reader.end() == 4)  # each transaction ends with a record of Kafka's own, a little later
        assert [(r.offset, r.value) for r in read_all(reader)] == [(1, b"a"), (3, b"b")]
        assert reader.read(3, MIB) == []
        log.append_now([record(1, b"c")])
        reader.end()
        assert [(r.offset, r.value) for r in reader.read(3, MIB)] == [(5, b"c")]


def test_what_others_wrote_comes_as_a_heartbeat_record_that_cannot_be_decoded(log):
    foreign = [
        (None, b"{}", []),
        (b"me", None, []),
        (b"7", b"x", [("heartline", b"")]),
        (b"7", b"y", [("other", b"z")]),
        (b"7", b"v", [("heartline", None)]),
        (b"7" * 30, b"w", [("heartline", bytes((Kind.HEARTBEATS, FORMAT_VERSION)))]),  # no id has so many digits
        (b"7" * 5000, b"u", [("heartline", bytes((Kind.HEARTBEATS, FORMAT_VERSION)))]),
    ]

    async def sending():
        producer = AIOKafkaProducer(bootstrap_servers=list(log.topic.servers))
        await producer.start()
        for key, value, headers in foreign:
            await producer.send_and_wait(log.topic.name, value, key=key, headers=headers)
        await producer.stop()

    asyncio.run(sending())
    with log.reader() as reader:
        assert read_all(reader) == [
            StoredRecord(n, 0, Kind.HEARTBEATS, FORMAT_VERSION, value)
            for n, value in enumerate([b"{}", b"", b"x", b"y", b"v", b"w", b"u"], 1)
        ]


@pytest.mark.parametrize("url", ["kafka://", "kafka://host:9092", "kafka://host:9092/", "kafka:///t", "kafka://h/a/b"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(StorageError, match="no Kafka address"):
        KafkaTopic.parse(url)


def test_an_address_has_servers_and_a_topic():
    topic = KafkaTopic.parse("kafka://a:1,b:2/heart.beats")
    assert (topic.servers, topic.name, topic.url) == (("a:1", "b:2"), "heart.beats", "kafka://a:1,b:2/heart.beats")


def test_the_password_is_never_shown():
    topic = KafkaTopic.parse("kafka://a:1/t", KafkaSecurity("SASL_SSL", username="u", password="geheim"))
    assert "geheim" not in f"{topic!r} {topic} {topic.security!r}"
