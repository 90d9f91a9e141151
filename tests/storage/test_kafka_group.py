"""Shards spread over aggregators: who joins, leaves, restarts and freezes."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from storage.errors import FencedError
from storage.log import kafka_group
from storage.log.kafka_group import KafkaGroup, group_of
from storage.log.kafka_topics import add_partitions
from tests.storage.logs import MIB, SETTLED_WITHIN_S, KafkaLog, append_all, record, wait_until

SESSION_S = 3.0


@pytest.fixture
def log(kafka_broker):
    return KafkaLog(kafka_broker, partitions=4)


class Members:
    """Aggregators of one log; all are closed at the end."""

    def __init__(self, log, stack):
        self.log = log
        self._stack = stack

    def join(self, instance=None):
        member = KafkaGroup(self.log.topic, instance=instance, session_timeout_s=SESSION_S)
        return self._stack.enter_context(contextlib.closing(member))

    def process(self, instance):
        """Join in a process of its own, which prints its shards whenever they change."""
        code = (
            "import sys\nfrom storage.log.kafka import KafkaTopic\nfrom storage.log.kafka_group import KafkaGroup\n"
            f"group = KafkaGroup(KafkaTopic.parse({self.log.topic.url!r}), instance={instance!r}, "
            f"session_timeout_s={SESSION_S})\n"
            "readers = []\n"
            "while True:\n"
            "    readers = group.readers(readers, 60)\n"
            "    print(sorted(reader.shard for reader in readers), flush=True)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        self._stack.callback(end, process)
        return process


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_two_logs_on_the_same_brokers_have_nothing_to_do_with_each_other(kafka_broker):
    with contextlib.ExitStack() as stack:
        readers = {}
        for log in (KafkaLog(kafka_broker, partitions=2), KafkaLog(kafka_broker, partitions=2)):
            member = stack.enter_context(contextlib.closing(KafkaGroup(log.topic, instance="a")))
            readers[member] = wait_for(member, [0, 1])
        for member, before in readers.items():  # neither was taken for the other come back
            assert member.readers([], 0) == before
            assert [reader.read(0, MIB) for reader in before] == [[], []]


@pytest.fixture
def members(log):
    with contextlib.ExitStack() as stack:
        yield Members(log, stack)


def shards(readers):
    return sorted(reader.shard for reader in readers)


def wait_for(member, expected):
    """Wait until a member has these shards; give their readers."""
    readers = []
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while shards(readers) != expected and time.monotonic() < deadline:
        readers = member.readers(readers, 1)
    assert shards(readers) == expected
    return readers


def printed(process, expected):
    """Read a process's lines until it has these shards."""
    while (line := json.loads(process.stdout.readline())) != expected:
        assert isinstance(line, list)


def test_one_member_reads_every_shard(members):
    append_all(members.log, [[record(user, b"%d" % user)] for user in range(8)])
    member = members.join()
    read = {r.shard: [record.user_id for record in r.read(0, MIB)] for r in wait_for(member, [0, 1, 2, 3])}
    assert {shard: sorted(users) for shard, users in read.items()} == {0: [0, 4], 1: [1, 5], 2: [2, 6], 3: [3, 7]}
    assert len({r.name for r in member.readers([], 0)} | {member.name}) == 1


def test_a_joining_member_takes_half_and_the_other_half_is_read_on(members):
    first = members.join()
    before = {r.shard: r for r in wait_for(first, [0, 1, 2, 3])}
    second = members.join()
    wait_until(lambda: sorted([len(first.readers([], 0)), len(second.readers([], 0))]) == [2, 2])
    kept = shards(first.readers([], 0))
    assert sorted(kept + shards(second.readers([], 0))) == [0, 1, 2, 3]
    for shard, reader in before.items():
        if shard in kept:
            assert reader.read(0, MIB) == []
        else:
            with pytest.raises(FencedError):
                reader.read(0, MIB)
            reader.close()
    second.close()  # an unnamed member leaves the group when it closes
    for reader in wait_for(first, [0, 1, 2, 3]):
        assert (reader is before[reader.shard]) == (reader.shard in kept)


def test_a_named_member_that_is_back_in_time_disturbs_nobody(members):
    first, second = members.join("a"), members.join("b")
    of_second = wait_for(second, [2, 3])
    wait_for(first, [0, 1])
    first.close()  # the group's leader
    first = members.join("a")
    of_first = wait_for(first, [0, 1])
    assert second.readers([], 0) == of_second
    second.close()
    wait_for(members.join("b"), [2, 3])
    assert first.readers([], 0) == of_first


def test_a_named_member_that_stays_away_loses_its_shards(members):
    first, second = members.join("a"), members.join("b")
    wait_for(first, [0, 1])
    wait_for(second, [2, 3])
    second.close()
    wait_for(first, [0, 1, 2, 3])


def test_a_killed_member_and_a_frozen_one_lose_their_shards_and_get_some_again_when_they_wake(members):
    process = members.process("a")
    printed(process, [0, 1, 2, 3])
    member = members.join("b")
    wait_for(member, [2, 3])
    process.send_signal(signal.SIGSTOP)
    wait_for(member, [0, 1, 2, 3])
    process.send_signal(signal.SIGCONT)
    wait_for(member, [2, 3])
    os.kill(process.pid, signal.SIGKILL)
    wait_for(member, [0, 1, 2, 3])


def test_added_partitions_are_shared_out_though_the_leader_was_restarted(members, monkeypatch):
    monkeypatch.setattr(kafka_group, "_METADATA_AGE_MS", 300)
    first, second = members.join("a"), members.join("b")
    wait_for(first, [0, 1])
    wait_for(second, [2, 3])
    first.close()
    first = members.join("a")
    wait_for(first, [0, 1])
    add_partitions(members.log.topic, 6)
    wait_for(first, [0, 1, 2])
    wait_for(second, [3, 4, 5])


def test_the_group_goes_on_when_the_broker_was_away(members, kafka_broker):
    member = members.join("a")
    readers = wait_for(member, [0, 1, 2, 3])
    with kafka_broker.down():
        pass
    other = members.join("b")
    wait_for(other, [2, 3])
    kept = wait_for(member, [0, 1])
    assert set(kept) <= set(readers)
    append_all(members.log, [[record(1)]])
    wait_until(lambda: [len(reader.read(0, MIB)) for reader in sorted(kept, key=lambda r: r.shard)] == [0, 1])


def test_watermarks_are_reported_for_lag_monitoring(members, monkeypatch):
    monkeypatch.setattr(kafka_group, "_REPORT_INTERVAL_S", 0.1)
    append_all(members.log, [[record(2)] * 5])
    member = members.join()
    wait_for(member, [0, 1, 2, 3])
    member.report(2, 4)
    wait_until(lambda: reported(members) == {2: 4})  # what Kafka would read next: one record is left


def test_a_member_that_has_lost_every_shard_has_nothing_to_report_and_disturbs_nobody(members, monkeypatch, caplog):
    monkeypatch.setattr(kafka_group, "_REPORT_INTERVAL_S", 0.1)
    monkeypatch.setattr(kafka_group, "_POLL_MS", 50)
    loser = members.join("z")  # shards go to members in the order of their names
    wait_for(loser, [0, 1, 2, 3])
    loser.report(0, 1)
    wait_until(lambda: reported(members) == {0: 1})
    others = [members.join(name) for name in "abcd"]
    wait_for(loser, [])
    others[0].report(0, 2)
    wait_until(lambda: reported(members) == {0: 2})
    assert shards(loser.readers([], 0)) == []
    assert "joined anew" not in caplog.text


def reported(members):
    """The offsets that Kafka was told, by their shards."""

    async def committed():
        admin = AIOKafkaAdminClient(bootstrap_servers=list(members.log.topic.servers))
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(group_of(members.log.topic))
        finally:
            await admin.close()
        return {partition.partition: found.offset for partition, found in offsets.items()}

    return asyncio.run(committed())
