"""Rows of the gaps that follow a project's heartbeats, kept live: few projects, and many heartbeats at one instant."""

import itertools
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aggregator.batch import BatchCounter
from aggregator.counter import Counter
from aggregator.verify import verify
from schemas.dimensions import Dimension, decode_value
from schemas.heartbeat import Heartbeat
from schemas.record import FORMAT_VERSION, Kind, SetZone, StoredRecord, pack_lines
from schemas.tables import segments
from storage.history import History
from tests import oracle
from tests.aggregator.world import heartbeat
from tests.stored import S, Store

CAP = 120 * S
ZONE = "Asia/Kolkata"
MIDNIGHT = 1_709_577_000 * S  # 2024-03-05 00:00 in Kolkata, 18:30 UTC
UTC_MIDNIGHT = MIDNIGHT + 19_800 * S


class Counting(Store):
    """Counts records with the real counter; what it holds can be forgotten."""

    def start(self, max_rows=1_000_000):
        self.counter = Counter(self.database, History(self.database, self.lake), max_rows)
        self.batches = BatchCounter(self.shard, self.counter)

    def count(self, *heartbeats, user_id=7):
        place = (self.shard.offset + 1, user_id, Kind.HEARTBEATS, FORMAT_VERSION)
        self.batches.count([StoredRecord(*place, pack_lines(heartbeats))])

    def followed(self, calendar):
        """{(day, project): (first, last, duration, count)}"""
        c = segments.c
        chosen = sa.select(segments).where(c.user_id == 7, c.calendar == calendar, c.dimension == Dimension.FOLLOWED)
        with self.database.reading() as connection:
            return {(row.day, decode_value(row.value)): tuple(row[5:]) for row in connection.execute(chosen)}

    def close(self):
        self.counter.close()
        self.database.close()


@pytest.fixture
def counting(tmp_path):
    opened = made(tmp_path, ZONE)
    yield opened
    opened.close()


def made(folder, zone):
    opened = Counting.open(folder, f"sqlite:///{folder}/stats.db")  # what is counted is no matter of where it is kept
    opened.add_user(7, zone)
    opened.start()
    return opened


def beat(time_us, number, project):
    return Heartbeat(id=number, time_us=time_us, created_at_us=0, project=project)


def expected(sent, zone):
    rows = {}
    seen = [{"id": h.id, "time_us": h.time_us, "project": h.project} for h in sent]
    for date, of_day in oracle.days(oracle.accepted(seen), zone).items():
        day = (date - oracle.EPOCH.date()).days
        for project, gaps_us in oracle.followed_us(of_day).items():
            times = [h["time_us"] for h in of_day if h["project"] == project]
            rows[day, project] = (min(times), max(times), gaps_us, len(times))
    return rows


def unlike(heartbeats):
    """An id says what a heartbeat is, so of those with the same instant and id one alone can be."""
    return list({(h.time_us, h.id): h for h in heartbeats}.values())


def in_every_order(folder, heartbeats):
    """Count the heartbeats one by one, in every order, with what the counter holds forgotten now and then."""
    for number, order in enumerate(itertools.permutations(heartbeats)):
        inside = folder / str(number)
        inside.mkdir()
        live_through(inside, ZONE, order, [(1, "forget" if number % 2 else ""), (1, "")])


def live_through(folder, zone, heartbeats, requests, max_rows=1_000_000):
    """Count heartbeats in requests of given sizes, each with an action after it, and compare with the oracle."""
    counting, left = made(folder, zone), list(heartbeats)
    try:
        counting.start(max_rows)
        for size, action in itertools.cycle(requests):
            if not left:
                break
            counting.count(*left[:size])
            left = left[size:]
            counting.count(beat(MIDNIGHT, 1, "x"), user_id=8)  # with a small cache the other user is forgotten
            if action == "forget":
                counting.counter.forget()
        assert counting.followed(zone) == expected(heartbeats, zone)
        if zone != "UTC":
            assert counting.followed("UTC") == {}
    finally:
        counting.close()


def test_example_18_in_every_order(tmp_path, counting):
    example = [
        beat(MIDNIGHT + at * S, n, project)
        for n, (at, project) in enumerate([(0, "a"), (60, "a"), (300, "b"), (330, "a")])
    ]
    counting.count(*example)
    durations = {project: row[2] / S for (_, project), row in counting.followed(ZONE).items()}
    assert durations == {"a": 180, "b": 30}
    in_every_order(tmp_path, example)


def test_at_one_instant_the_greatest_id_has_the_gap_that_follows(tmp_path, counting):
    together = [beat(MIDNIGHT, 1, "a"), beat(MIDNIGHT, 3, "b"), beat(MIDNIGHT, 2, "c")]
    counting.count(*together)
    counting.counter.forget()
    counting.count(beat(MIDNIGHT + 50 * S, 1, "a"))
    durations = {project: row[2] / S for (_, project), row in counting.followed(ZONE).items()}
    assert durations == {"a": 0, "b": 50, "c": 0}
    in_every_order(tmp_path, [*together, beat(MIDNIGHT + 50 * S, 1, "a")])


@pytest.mark.parametrize("later", [1, 119, 120, 3_600, 80_000])
def test_a_late_end_of_a_day_gives_its_gap_to_whoever_ended_it_before(counting, later):
    day = [beat(MIDNIGHT, 1, "a"), beat(MIDNIGHT, 2, "b")]
    next_day = beat(MIDNIGHT + 86_400 * S, 3, "c")
    late = beat(MIDNIGHT + later * S, 4, "a")
    counting.count(*day, next_day)
    counting.counter.forget()
    counting.count(late)
    assert counting.followed(ZONE) == expected([*day, next_day, late], ZONE)


def test_the_rows_are_those_of_the_users_own_days_wherever_he_moves(new_world):
    sent = [heartbeat(at + i * 50 * S, project="ab"[i % 2]) for at in (MIDNIGHT, UTC_MIDNIGHT) for i in range(-3, 4)]
    with new_world("UTC") as world:
        world.deliver([sent[:9]])
        for zone in ("UTC", ZONE, "Europe/Paris", "Etc/UTC", ZONE, "UTC"):
            world.command(SetZone(world.user_id, zone))
            calendars = {key[0] for key in world.segments() if key[2] == Dimension.FOLLOWED}
            assert calendars == {"UTC" if zone == "Etc/UTC" else zone}
            assert list(verify(world.database, world.lake)) == []
        world.deliver([sent[9:]])
        assert list(verify(world.database, world.lake)) == []


# Instants within and beyond the cap of each other, on both sides of a midnight, with several heartbeats at each.
instants = st.builds(
    lambda midnight, caps, more: midnight + caps * CAP + more,
    st.sampled_from([MIDNIGHT, UTC_MIDNIGHT]),
    st.sampled_from([-30, -2, -1, -1, 0, 0, 0, 1, 1, 2, 30]),
    st.sampled_from([-1, 0, 0, 0, 1, 50 * S]),
)
dense = st.lists(
    st.builds(beat, instants, st.integers(1, 9), st.sampled_from(["a", "a", "b", None])), min_size=1, max_size=40
).map(unlike)
requests = st.lists(st.tuples(st.sampled_from([1, 1, 2, 5]), st.sampled_from(["", "", "forget"])), min_size=1)
zones = st.sampled_from([ZONE, "UTC"])
caches = st.sampled_from([0, 1_000_000])


@given(dense, requests, zones, caches)
@settings(max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_many_at_one_instant_in_any_order_equal_the_oracle(heartbeats, requests, zone, cache_rows):
    with tempfile.TemporaryDirectory() as folder:
        live_through(Path(folder), zone, heartbeats, requests, cache_rows)


@pytest.mark.soak
@given(dense, requests, zones, caches)
@settings(max_examples=20_000)
def test_many_at_one_instant_equal_the_oracle_for_long(heartbeats, requests, zone, cache_rows):
    with tempfile.TemporaryDirectory() as folder:
        live_through(Path(folder), zone, heartbeats, requests, cache_rows)
