"""Log records: what goes in comes out, and no line is ever cut."""

import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from msgspec import DecodeError

from schemas.heartbeat import Heartbeat
from schemas.record import (
    FORMAT_VERSION,
    MAX_LINES_BYTES,
    Compact,
    Flush,
    Kind,
    Rebuild,
    RemoveUser,
    SetZone,
    command_record,
    heartbeat_records,
    pack_lines,
    unpack_command,
    unpack_lines,
)

texts = st.none() | st.text(max_size=20)
integers = st.none() | st.integers(-(2**63), 2**63 - 1)
heartbeats = st.builds(
    Heartbeat,
    id=st.integers(1, 2**63 - 1),
    time_us=st.integers(10**15, 2 * 10**15 - 1),
    created_at_us=st.integers(0, 2 * 10**15),
    entity=texts,
    type=texts,
    category=st.text(max_size=10),
    project=texts,
    branch=texts,
    language=texts,
    dependencies=st.lists(st.text(max_size=10), max_size=3),
    lines=integers,
    lineno=integers,
    is_write=st.none() | st.booleans(),
    machine=texts,
    ai_output_tokens=integers,
    source_type=st.sampled_from(["direct_entry", "test_entry"]),
)


def lines_of(value):
    return zstandard.decompress(value).splitlines()


@given(st.lists(heartbeats, min_size=1, max_size=8))
def test_heartbeats_come_back_as_they_went_in(sent):
    (record,) = heartbeat_records(7, sent)
    assert (record.user_id, record.kind, record.version) == (7, Kind.HEARTBEATS, FORMAT_VERSION)
    assert unpack_lines(record.value) == sent
    assert unpack_lines(pack_lines(sent)) == sent


@given(st.lists(heartbeats, min_size=1, max_size=8))
def test_a_record_is_one_json_object_a_line(sent):
    (record,) = heartbeat_records(7, sent)
    assert [json.loads(line)["id"] for line in lines_of(record.value)] == [h.id for h in sent]


def test_a_text_with_line_ends_stays_on_its_line():
    sent = [Heartbeat(id=1, time_us=1, created_at_us=1, entity="a\nb\r\n\u2028c\x0b\x85")]
    (record,) = heartbeat_records(7, sent)
    assert zstandard.decompress(record.value).count(b"\n") == 1
    assert unpack_lines(record.value) == sent


def big(number, size):
    return Heartbeat(id=number, time_us=number, created_at_us=1, entity="x" * size)


def test_up_to_512_kib_stay_one_record_and_more_are_split():
    overhead = len(lines_of(heartbeat_records(7, [big(1, 0)])[0].value)[0]) + 1
    fits = [big(1, 1000), big(2, MAX_LINES_BYTES - 1000 - 2 * overhead)]
    assert len(zstandard.decompress(pack_lines(fits))) == MAX_LINES_BYTES
    assert len(heartbeat_records(7, fits)) == 1
    assert len(heartbeat_records(7, [fits[0], big(2, MAX_LINES_BYTES - 1000 - 2 * overhead + 1)])) == 2


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=20))
def test_splitting_keeps_the_order_and_every_line_whole(sizes):
    sent = [big(number, size) for number, size in enumerate(sizes, start=1)]
    records = heartbeat_records(7, sent)
    assert [h for record in records for h in unpack_lines(record.value)] == sent
    for record in records:
        content = zstandard.decompress(record.value)
        assert content.endswith(b"\n")
        assert len(content) <= MAX_LINES_BYTES or content.count(b"\n") == 1


def test_a_single_line_above_the_bound_is_a_record_of_its_own():
    sent = [big(1, MAX_LINES_BYTES + 1), big(2, 10)]
    assert [unpack_lines(record.value) for record in heartbeat_records(7, sent)] == [sent[:1], sent[1:]]


@pytest.mark.parametrize(
    "command", [SetZone(7, "Asia/Kolkata"), RemoveUser(7), Rebuild(7), Rebuild(None), Flush(), Compact()]
)
def test_commands_come_back_as_they_went_in(command):
    record = command_record(command, 7)
    assert (record.user_id, record.kind) == (7, Kind.COMMAND)
    assert unpack_command(record.value) == command


def test_damage_is_noticed():
    value = pack_lines([big(1, 100)])
    with pytest.raises(zstandard.ZstdError):
        unpack_lines(value[:-8])
    with pytest.raises(zstandard.ZstdError):
        unpack_lines(b"not zstd at all")
    with pytest.raises(DecodeError):
        unpack_lines(zstandard.compress(b'{"id":1\n'))
    with pytest.raises(DecodeError):
        unpack_command(zstandard.compress(b'{"type":"unheard_of"}'))
