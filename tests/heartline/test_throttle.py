"""The limits on requests, with a clock that stands still until it is told."""

import asyncio
import base64
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heartline.throttle import Buckets, Throttle, network_of, throttled

KEY = "b43641f0-5b42-4c12-bba4-c83fb8072c2c"
OTHER = "2ce9e698-b3a4-4b43-a9d1-0f6a8f3b5c11"
SECOND_US = 1_000_000
ADDRESS = "192.0.2.1"


async def answering(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Asked:
    """An application with limits, and whoever asks it."""

    def __init__(self, *, per_key=0, per_address=0, most=100):
        self.now_us = 12_345
        keys = Buckets(per_key, most) if per_key else None
        addresses = Buckets(per_address, most) if per_address else None
        self._app = Throttle(answering, keys, addresses, lambda: self.now_us)

    def wait(self, seconds):
        self.now_us += round(seconds * SECOND_US)

    def answer(self, authorization=None, *, query="", address=ADDRESS, method="GET", path="/api/x"):
        """Give the status, the headers and the body."""
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", b"x")] + ([(b"authorization", authorization.encode())] if authorization else []),
            "client": address and (address, 4711),
        }
        sent = []

        async def send(message):
            sent.append(message)

        asyncio.run(self._app(scope, None, send))
        return sent[0]["status"], dict(sent[0].get("headers", ())), sent[1]["body"]

    def ask(self, *arguments, **options):
        return self.answer(*arguments, **options)[0]


def bearer(key):
    return f"Bearer {key}"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_a_minutes_requests_may_come_at_once_and_the_next_is_refused_in_our_shape():
    asked = Asked(per_key=7)
    assert [asked.ask(bearer(KEY)) for _ in range(7)] == [200] * 7
    status, headers, body = asked.answer(bearer(KEY))
    assert status == 429
    assert json.loads(body) == {"error": "Too many requests: try again in 9 s."}
    assert headers[b"retry-after"] == b"9"  # a seventh of a minute, rounded up
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"access-control-allow-origin"] == b"*"


def test_what_was_taken_comes_back_evenly_and_never_more_than_a_minutes_worth():
    asked = Asked(per_key=6)
    assert [asked.ask(bearer(KEY)) for _ in range(7)] == [200] * 6 + [429]
    asked.wait(9.999_999)
    assert asked.ask(bearer(KEY)) == 429
    asked.wait(0.000_001)
    assert [asked.ask(bearer(KEY)) for _ in range(2)] == [200, 429]
    asked.wait(30)
    assert [asked.ask(bearer(KEY)) for _ in range(4)] == [200] * 3 + [429]
    asked.wait(86_400)
    assert [asked.ask(bearer(KEY)) for _ in range(7)] == [200] * 6 + [429]


@pytest.mark.parametrize("per_minute", [1, 7, 59, 60, 61, 120])
def test_the_wait_is_in_whole_seconds_from_1_on_and_who_waits_is_answered(per_minute):
    asked = Asked(per_key=per_minute)
    assert {asked.ask(bearer(KEY)) for _ in range(per_minute)} == {200}
    wait_s = int(asked.answer(bearer(KEY))[1][b"retry-after"])
    assert wait_s == max(1, -(-60 // per_minute))
    asked.wait(wait_s)
    assert asked.ask(bearer(KEY)) == 200


@given(
    st.integers(1, 13) | st.integers(1, 1_000_000),
    st.lists(st.integers(0, 90 * SECOND_US) | st.integers(0, 1000), min_size=1, max_size=40),
    st.integers(0, 2**60),
)
@example(per_minute=7, pauses_us=[0] * 8, now_us=0)  # a seventh of a minute is no whole number of microseconds
def test_no_stretch_of_time_sees_more_than_its_share_and_the_wait_is_exact(per_minute, pauses_us, now_us):
    buckets = Buckets(per_minute)
    taken_us = []
    for pause_us in pauses_us:
        now_us += pause_us
        wait_us = buckets.wait_us("a", now_us)
        if wait_us > 1:
            assert buckets.wait_us("a", now_us + wait_us - 1) == 1
        now_us += wait_us
        assert buckets.wait_us("a", now_us) == 0
        buckets.take("a", now_us)
        taken_us.append(now_us)
    for first, start_us in enumerate(taken_us):
        for number, end_us in enumerate(taken_us[first:], start=1):
            assert (number - per_minute) * 60 * SECOND_US <= (end_us - start_us) * per_minute


def test_a_refused_request_takes_nothing():
    asked = Asked(per_key=60, per_address=1)
    assert asked.ask(bearer(KEY)) == 200
    assert [asked.ask(bearer(KEY)) for _ in range(100)] == [429] * 100
    asked.wait(60)
    assert asked.ask(bearer(KEY)) == 200
    others = [asked.ask(bearer(KEY), address=f"192.0.2.{n}") for n in range(100, 159)]
    assert others == [200] * 59, "what one address was refused is not counted for its key"


def test_two_keys_are_counted_apart_and_so_are_two_addresses():
    asked = Asked(per_key=1)
    assert [asked.ask(bearer(key)) for key in (KEY, OTHER, KEY, OTHER)] == [200, 200, 429, 429]
    asked = Asked(per_address=1)
    answers = [asked.ask(bearer(KEY), address=address) for address in (ADDRESS, "192.0.2.2", ADDRESS, "192.0.2.2")]
    assert answers == [200, 200, 429, 429]


@pytest.mark.parametrize("key", [KEY, "c2VjcmV0c2VjcmV0"], ids=["uuid", "a key that is base64 itself"])
def test_a_key_is_the_same_key_in_whatever_form_it_comes(key):
    forms = [
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer  {key} "},
        {"authorization": f"Bearer {b64(key)}"},
        {"authorization": f"Basic {b64(key)}"},
        {"authorization": f"Basic {b64(key + ':')}"},
        {"authorization": f"Basic {b64('ann:' + key)}"},
        {"authorization": f"Basic {b64('ben:' + key)}"},
        {"query": f"x=1&api_key={key}"},
        {"query": "api_key=" + key.replace("-", "%2D")},
    ]
    for first in forms:
        asked = Asked(per_key=1)
        assert asked.ask(**first) == 200
        assert [asked.ask(**form) for form in forms] == [429] * len(forms), first


def test_a_request_counts_for_its_key_and_its_address_and_without_a_key_for_its_address_alone():
    asked = Asked(per_key=2, per_address=3)
    assert [asked.ask(bearer(KEY)) for _ in range(3)] == [200, 200, 429]
    assert asked.ask(bearer(KEY), address="192.0.2.2") == 429, "the key is used up wherever it comes from"
    assert [asked.ask() for _ in range(2)] == [200, 429]
    assert asked.ask("Bearer ", address="192.0.2.2") == 200, "what holds no key is no key"
    asked = Asked(per_key=1)
    assert [asked.ask() for _ in range(3)] == [200] * 3


def test_what_is_asked_without_a_known_address_counts_for_its_key_alone():
    asked = Asked(per_key=2, per_address=1)
    assert [asked.ask(bearer(KEY), address=None) for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:DB8:0:1:0:0:0:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unknown", "unknown", True),
        ("unknown", "_hidden", False),
        ("not:an:address", "not:an:other", False),
    ],
)
def test_what_counts_as_one_address(one, other, same):
    asked = Asked(per_address=1)
    assert asked.ask(address=one) == 200
    assert asked.ask(address=other) == (429 if same else 200)


@pytest.mark.parametrize("address", ["x" * 60_000, ":" * 60_000])
def test_an_address_that_a_proxy_made_up_takes_no_more_memory_than_a_real_one(address):
    assert len(network_of(address)) == 45


@pytest.mark.parametrize("limit", ["per_key", "per_address"])
def test_memory_is_bounded_and_who_asked_longest_ago_is_forgotten_first(limit):
    def ask(number):
        return asked.ask(bearer(f"key-{number}"), address=f"192.0.2.{number}")

    asked = Asked(**{limit: 2}, most=2)
    assert [ask(1), ask(2), ask(2), ask(1), ask(2)] == [200, 200, 200, 200, 429]
    assert ask(3) == 200  # 2 was answered longer ago than 1: refusals do not count
    assert [ask(1), ask(2)] == [429, 200]


def test_keys_that_are_guessed_do_not_make_addresses_forgotten():
    asked = Asked(per_key=10, per_address=1, most=1)
    assert asked.ask(bearer(KEY)) == 200
    asked.ask(bearer(OTHER), address=None)
    assert asked.ask(bearer(OTHER)) == 429


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/up", 200),
        ("GET", "/metrics", 200),
        ("OPTIONS", "/api/v1/users/current/heartbeats", 200),
        ("GET", "/", 429),
        ("GET", "/openapi.json", 429),
        ("GET", "/up/", 429),
        ("POST", "/api/v1/users/current/heartbeats", 429),
    ],
)
def test_monitors_and_preflights_are_free_and_all_else_is_counted(method, path, status):
    asked = Asked(per_key=1, per_address=1)
    for _ in range(3):
        asked.ask(bearer(KEY), method="OPTIONS")
        asked.ask(bearer(KEY), path="/up")
    assert asked.ask(bearer(KEY)) == 200
    assert asked.ask(bearer(KEY), method=method, path=path) == status


def test_without_a_limit_nothing_comes_between():
    assert throttled(answering, per_key=0, per_address=0) is answering
    assert isinstance(throttled(answering, per_key=1, per_address=0), Throttle)
    assert isinstance(throttled(answering, per_key=0, per_address=1), Throttle)
