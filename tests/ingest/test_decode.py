import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decode import decode_bulk, decode_single
from ingest.errors import BodyError
from schemas.heartbeat import Wire
from schemas.normalise import Context, RejectedError, normalise

T = 1_700_000_000


def only(body):
    (item,) = decode_bulk(body if isinstance(body, bytes) else json.dumps([body]).encode())
    return item


def outcomes(decode, body):
    """What becomes of each item, or of the whole body; anything but these errors is a fault."""
    try:
        items = decode(body)
    except BodyError as refused:
        return [str(refused)]
    return [kept(item) for item in (items if isinstance(items, list) else [items])]


def kept(item):
    try:
        return str(item) if isinstance(item, RejectedError) else normalise(item, 1, Context(created_at_us=1))
    except RejectedError as rejected:
        return str(rejected)


@pytest.mark.parametrize(
    "body",
    [
        {"time": T, "project": "p"},
        {"time": str(T), "project": "p", "lines": "1"},
        [{"time": T, "project": "p"}, {"time": 1}],
        {"hackatime": {"time": T, "project": "p"}},
        {"hackatime": {"heartbeats": [{"time": T, "project": "p"}]}},
    ],
)
def test_a_single_heartbeat_comes_in_many_forms(body):
    for encoded in (json.dumps(body).encode(), b"\xef\xbb\xbf" + json.dumps(body, indent=2).encode()):
        item = decode_single(encoded)
        assert (int(item.time), item.project) == (T, "p")


@pytest.mark.parametrize(
    "body",
    [
        [{"time": T}],
        {"hackatime": {"time": T}},
        {"hackatime": {"heartbeats": [{"time": T}]}},
    ],
)
def test_a_bulk_comes_in_many_forms(body):
    assert decode_bulk(json.dumps(body).encode()) == [Wire(time=T)]


NOTHING = [
    b"",
    b" ",
    b"[]",
    b"{}",
    b"5",
    b'"x"',
    b"null",
    b"true",
    b"{",
    b"[1,",
    b"\xff\xfe",
    b"\x1f\x8b\x08\x00",
    b"a=1",
]
NOTHING += [
    b'{"hackatime":{}}',
    b'{"hackatime":{"heartbeats":[]}}',
    b'{"hackatime":{"heartbeats":5}}',
]


@pytest.mark.parametrize("body", NOTHING)
def test_without_a_heartbeat_there_is_nothing_to_read(body):
    for decode in (decode_bulk, decode_single):
        with pytest.raises(BodyError):
            decode(body)


def test_a_bulk_is_no_bare_object_but_a_single_may_lack_everything():
    with pytest.raises(BodyError, match="No data"):
        decode_bulk(b'{"time":1700000000}')
    assert decode_single(b'{"x":1}') == Wire()


@pytest.mark.parametrize("item", [b"{}", b'{"lines":"1"}', b"null", b'{"entity":"\\u0000"}'])
def test_a_hundred_are_taken_and_one_more_is_not(item):
    assert len(decode_bulk(b"[" + b",".join([item] * 100) + b"]")) == 100
    for decode in (decode_bulk, decode_single):
        with pytest.raises(BodyError, match="Too many"):
            decode(b"[" + b",".join([item] * 101) + b"]")


@pytest.mark.parametrize(
    ("field", "sent", "read"),
    [
        ("lines", "12", 12),
        ("lines", " -3 ", -3),
        ("lines", "4.0", 4),
        ("lines", 5.0, 5),
        ("lines", 5.5, None),
        ("lines", "5.5", None),
        ("lines", "many", None),
        ("lines", "", None),
        ("lines", "1_0", None),
        ("lines", "1\x002", 12),
        ("lines", True, 1),
        ("lines", [1], None),
        ("lines", {"a": 1}, None),
        ("lines", 1e300, int(1e300)),
        ("is_write", "true", True),
        ("is_write", "False", False),
        ("is_write", "tr\0ue", True),
        ("is_write", "1", True),
        ("is_write", 0, False),
        ("is_write", 7, None),
        ("is_write", "maybe", None),
        ("is_write", [], None),
        ("project", 5, "5"),
        ("project", 5.25, "5.25"),
        ("project", True, "true"),
        ("project", None, None),
        ("dependencies", "os", ["os"]),
        ("dependencies", ["os", None, 5, False, ["a"], {"b": None}], ["os", "5", "false", '["a"]', '{"b": null}']),
        ("dependencies", ["o\0s", ["a\0", {"b\0": "\0c"}], "\\u0000"], ["os", '["a", {"b": "c"}]', "\\u0000"]),
        ("dependencies", 5, ["5"]),
        ("time", "1700000000.5", "1700000000.5"),
        ("time", "17000\x0000000", "1700000000"),
    ],
)
def test_values_of_another_type_are_read_as_what_they_mean(field, sent, read):
    assert getattr(only({"unread": "\0", field: sent}), field) == read


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("project", {"a": 1}),
        ("entity", ["x"]),
        ("user_agent", {}),
        ("dependencies", {"a": 1}),
        ("time", True),
        ("time", []),
        ("time", {}),
        ("project", "a\ud800"),
        ("time", "\udc80"),
        ("dependencies", ["\ud800"]),
    ],
)
def test_what_cannot_be_read_is_rejected_by_name(field, sent):
    rejected = only({"time": T, field: sent})
    assert isinstance(rejected, RejectedError)
    assert field in str(rejected)


@pytest.mark.parametrize("item", [None, 5, "x", True, [], [{"time": T}]])
def test_an_item_that_is_no_object_is_rejected_alone(item):
    before, rejected, after = decode_bulk(json.dumps([{"time": T}, item, {"time": T + 1}]).encode())
    assert isinstance(rejected, RejectedError)
    assert (before.time, after.time) == (T, T + 1)


def test_broken_unicode_spoils_its_own_item_alone():
    body = b'[{"time":1700000000},{"project":"a\xffb"},{"branch":"\\ud800"},{"time":1700000001,"x":"\xff"}]'
    assert [isinstance(item, RejectedError) for item in decode_bulk(body)] == [False, True, True, False]


def test_numbers_that_json_does_not_know_spoil_their_own_item_alone():
    body = b'[{"time":1700000000},{"time":NaN},{"time":Infinity},{"time":1e999},{"time":' + b"9" * 9999 + b"}]"
    good, *bad = decode_bulk(body)
    assert good.time == T
    for item in bad:
        with pytest.raises(RejectedError, match="time must be"):
            normalise(item, 1, Context(created_at_us=1))


@pytest.mark.parametrize("depth", [300, 900, 990, 1000, 5_000, 100_000])
@pytest.mark.parametrize(
    "shape",
    [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"time":1700000000,"dependencies":[', b"]}]"), (b'[{"entity":', b"}]")],
)
def test_no_nesting_is_too_deep_to_be_refused(depth, shape):
    opening, closing = shape
    if opening in {b"[", b'{"a":'}:
        body = opening * depth + b"1" + closing * depth
    else:
        body = opening + b"[" * depth + b"]" * depth + closing
    for decode in (decode_bulk, decode_single):
        assert outcomes(decode, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Wire.__struct_fields__, "hackatime", "heartbeats"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=60) | JSON.map(lambda document: json.dumps(document).encode()))
def test_any_body_is_read_refused_or_rejected_item_by_item(body):
    for decode in (decode_bulk, decode_single):
        for outcome in outcomes(decode, body):
            assert outcome if isinstance(outcome, str) else outcome.id > 0
