"""Random histories through the real aggregator, against the oracle: whatever comes, in whatever order, however often.

Instants are dense where it matters: equal ones, gaps of the cap and a microsecond beside it, midnights of UTC and of
the user's zone, days on which clocks change.
"""

import datetime as dt
import itertools
import random
from unittest import mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aggregator import counter
from aggregator.verify import verify
from schemas.dimensions import Dimension
from schemas.record import Compact, Flush, Rebuild, SetZone
from tests import oracle
from tests.aggregator.world import heartbeat

S = 1_000_000
CAP_US = 120 * S


def utc(text):
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp()) * S


# Each zone has a midnight of UTC and one of its own.
ANCHORS_US = {
    zone: [utc(text) for text in texts]
    for zone, texts in {
        "UTC": ["2024-02-29 00:00", "2024-03-01 00:00", "2023-12-31 23:00"],
        "Asia/Kolkata": ["2024-03-04 18:30", "2024-03-05 00:00", "2024-02-29 18:30"],
        "America/St_Johns": ["2010-11-07 00:00", "2010-11-07 02:31", "2010-11-07 03:30", "2011-03-13 03:31"],
        "America/Havana": ["2024-03-10 05:00", "2024-11-03 00:00", "2024-11-03 04:00", "2024-11-03 05:00"],
        "Pacific/Apia": ["2011-12-30 10:00", "2011-12-29 10:00", "2011-12-30 00:00"],
        "Pacific/Auckland": ["2025-09-27 12:00", "2025-09-28 11:00", "2025-09-28 00:00"],
        "America/Los_Angeles": ["2024-03-10 08:00", "2024-03-10 00:00", "2024-11-04 08:00"],
    }.items()
}

steps_us = st.sampled_from([0, 1, 30 * S, 60 * S, CAP_US - 1, CAP_US, CAP_US + 1, 2 * CAP_US, 3600 * S, 86_400 * S])
fields = st.fixed_dictionaries(
    {
        "project": st.sampled_from([None, "", "a", "b"]),
        "language": st.sampled_from([None, "P", "R"]),
        "category": st.sampled_from(["coding", "coding", "browsing", "Browsing"]),
    },
    optional={"editor": st.sampled_from(["vim", "vscode"]), "machine": st.sampled_from(["x", ""])},
)


@st.composite
def heartbeats(draw, zone):
    """Single heartbeats around the zone's anchors, and runs in order that are longer than what stays in memory."""
    anchors = st.sampled_from(ANCHORS_US[zone])
    made = []
    for _ in range(draw(st.integers(1, 25))):
        at_us = (
            draw(anchors)
            + draw(st.sampled_from([-1, 1])) * draw(steps_us)
            + draw(st.sampled_from([-1, 1])) * draw(steps_us)
        )
        made.append(heartbeat(at_us, **draw(fields)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        start_us, step_us = draw(anchors), draw(st.sampled_from([S, 45 * S, CAP_US, CAP_US + 1]))
        both = draw(st.tuples(fields, fields))
        made += [heartbeat(start_us + step_us * i, **both[i % 2]) for i in range(draw(st.sampled_from([20, 70, 200])))]
    return made


ACTIONS = [*["nothing", "flush", "restart", "check"] * 4, "flush command", "rebuild", "compact", "another zone"]


@st.composite
def stories(draw):
    """A zone, heartbeats, and how they arrive: batches of requests, with an action after each."""
    zone = draw(st.sampled_from(sorted(ANCHORS_US)))
    sent = draw(heartbeats(zone))
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    arrivals = sent + rng.choices(sent, k=draw(st.integers(0, len(sent))))
    arrivals.sort(key=lambda h: h["time_us"])
    disorder = draw(st.sampled_from(["none", "some", "full"]))
    if disorder == "full":
        rng.shuffle(arrivals)
    elif disorder == "some":  # two editors, a queue sent late
        late = [h for h in arrivals if rng.random() < 0.2]
        arrivals = [h for h in arrivals if h not in late] + late
    batches = []
    while arrivals:
        requests = []
        for _ in range(rng.choice([1, 1, 2, 5])):
            size = rng.choice([1, 2, 10, 25])
            requests.append(arrivals[:size])
            arrivals = arrivals[size:]
        batches.append([request for request in requests if request])
    actions = [draw(st.sampled_from(ACTIONS)) for _ in batches[:12]]
    zones = draw(st.sampled_from(sorted(ANCHORS_US)))
    return (
        zone,
        list(itertools.zip_longest(batches, actions, fillvalue="nothing")),
        zones,
        draw(st.sampled_from([0, 50, 10**6])),
        draw(st.sampled_from([4, 20, 5_000])),
    )


def expected_segments(accepted, zone):
    """Every row of the table `segments`, measured group by group from the definition."""
    periods = {}
    for h in accepted:
        date = oracle.utc_day(h["time_us"])
        keys = {("UTC", date), ("UTC/month", date.replace(day=1)), ("lifetime", dt.date(1970, 1, 1))}
        if zone != "UTC":
            keys.add((zone, oracle.local_day(zone, h["time_us"])))
        for key in keys:
            periods.setdefault(key, []).append(h)
    rows = {}
    for (calendar, date), of_period in periods.items():
        day = (date - dt.date(1970, 1, 1)).days
        groups = {}
        for h in of_period:
            for group in groups_of(h) if calendar != "lifetime" else [(Dimension.TOTAL, None)]:
                groups.setdefault(group, []).append(h)
        for (dimension, value), group in groups.items():
            times = [h["time_us"] for h in group]
            rows[calendar, day, dimension, value] = (min(times), max(times), oracle.total_us(group), len(group))
        if calendar == zone:
            for project, gaps_us in oracle.followed_us(of_period).items():
                first_us, last_us, _, count = rows[calendar, day, Dimension.PROJECT, project]
                rows[calendar, day, Dimension.FOLLOWED, project] = (first_us, last_us, gaps_us, count)
    return rows


def groups_of(h):
    yield Dimension.TOTAL, None
    for name in ("project", "language", "editor", "operating_system", "machine", "category"):
        yield Dimension[name.upper()], h.get(name)
    yield Dimension.PROJECT_LANGUAGE, (h["project"], h["language"])
    if h["category"].lower() != "browsing":
        yield Dimension.ACTIVE, None


def check(world, zone, sent):
    accepted = oracle.accepted(sent)
    assert world.stored() == [(h["time_us"], h["id"]) for h in accepted]
    assert world.segments() == expected_segments(accepted, zone)


def check_range(world, sent, start_us, end_us):
    inside = oracle.between(oracle.accepted(sent), start_us, end_us)
    expected = {(Dimension.TOTAL, None): oracle.total_seconds(inside)} if inside else {}
    for name in ("project", "language"):
        for value, seconds in oracle.group_seconds(inside, name).items():
            expected[Dimension[name.upper()], value] = seconds
    assert world.range_seconds(start_us, end_us) == expected


def act(world, action, zone):
    if action == "flush":
        world.flush()
    elif action == "restart":
        world.restart()
    elif action == "flush command":
        world.command(Flush())
    elif action == "rebuild":
        world.command(Rebuild(world.user_id))
    elif action == "compact":
        world.flush()
        world.command(Compact())
    elif action == "another zone":
        world.command(SetZone(world.user_id, zone))


def live_through(new_world, story, data):
    zone, batches, other_zone, cache_rows, rows_per_user = story
    sent = []
    with mock.patch.object(counter, "_ROWS_PER_USER", rows_per_user), new_world(zone, cache_rows) as world:
        for requests, action in batches:
            world.deliver(requests)
            world.deliver_of_another(len(sent))
            sent += [h for request in requests for h in request]
            act(world, action, other_zone)
            if action == "another zone":
                zone = other_zone
            if action != "nothing":
                check(world, zone, sent)
        check(world, zone, sent)
        instants = st.sampled_from(sorted({h["time_us"] for h in sent} | set(ANCHORS_US[zone])))
        for _ in range(4):
            ends = [data.draw(instants) + data.draw(st.sampled_from([-1, 0, 1, 10 * S])) for _ in range(2)]
            check_range(world, sent, *ends)
        check_range(world, sent, 10**15, 2 * 10**15)
        if data.draw(st.sampled_from([True, *[False] * 7])):  # DuckDB takes its time
            assert list(verify(world.database, world.lake)) == []


@given(stories(), st.data())
@settings(max_examples=90, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # the soak alone takes time to shrink
def test_whatever_comes_the_tables_equal_the_oracle(new_world, story, data):
    live_through(new_world, story, data)


@given(stories(), st.data())
@settings(max_examples=10, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # each takes a second or two
def test_whatever_comes_the_tables_equal_the_oracle_on_kafka_postgresql_and_s3(new_distributed_world, story, data):
    live_through(new_distributed_world, story, data)


@pytest.mark.parametrize("behind", [1, 20, 63, 64, 65, 127, 200])
@pytest.mark.parametrize("step_us", [20 * S, CAP_US - 1, CAP_US + 1])
def test_a_second_editor_that_sends_late_finds_its_place(new_world, step_us, behind):
    """One editor is up to date; another's queue comes `behind` heartbeats later: in memory, at its edge and beyond."""
    start_us = utc("2024-03-04 23:00")
    first = [heartbeat(start_us + step_us * i, project="a", language="P", category="coding") for i in range(300)]
    second = [heartbeat(h["time_us"] + 7 * S, project="b", language="P", category="coding") for h in first]
    sent = []
    with new_world("Asia/Kolkata") as world:
        for i in range(0, 300, 10):
            late = second[max(0, i - behind) : max(0, i + 10 - behind)]
            world.deliver([request for request in (first[i : i + 10], late, late[:3]) if request])
            sent += first[i : i + 10] + late
        check(world, "Asia/Kolkata", sent)


@pytest.mark.soak
@given(stories(), st.data())
@settings(max_examples=20_000)
def test_the_tables_equal_the_oracle_for_hours(new_world, story, data):
    live_through(new_world, story, data)
