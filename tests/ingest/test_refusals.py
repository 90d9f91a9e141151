import asyncio

import pytest

from ingest.app import Limits
from ingest.refusals import Refusals
from storage.errors import UnavailableError
from tests.ingest.lab import BEARER, NOW_US, SINGLE, client_of

S = 1_000_000


@pytest.fixture
def said(caplog):
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("ingest")]


def test_the_first_is_logged_at_once_and_the_others_every_ten_seconds_with_their_number(said):
    refusals = Refusals()
    for second in (0, 1, 9.9, 10, 10.1, 25):
        refusals.note(UnavailableError(f"reason {second}"), NOW_US + int(second * S))
    assert said() == [
        "A request was answered 503: reason 0",
        "3 requests were answered 503, the last of them: reason 10",
        "2 requests were answered 503, the last of them: reason 25",
    ]


def test_a_clock_that_is_put_back_silences_nothing(said):
    refusals = Refusals()
    for second in (0, -3600):
        refusals.note(UnavailableError(f"reason {second}"), NOW_US + second * S)
    assert said() == [f"A request was answered 503: reason {second}" for second in (0, -3600)]


class FullLog:
    async def append(self, *_):
        raise UnavailableError("no room")


def test_a_log_that_takes_nothing_is_such_a_refusal(said):
    async def send_three():
        async with client_of(FullLog(), Limits()) as client:
            beat = {"entity": "a", "time": NOW_US / S}
            return [(await client.post(SINGLE, json=beat, headers=BEARER)).status_code for _ in range(3)]

    assert asyncio.run(send_three()) == [503] * 3
    assert said() == ["A request was answered 503: no room"]
