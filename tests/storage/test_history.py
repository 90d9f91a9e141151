import random

import pytest

from aggregator.compact import compact
from aggregator.flush import flush_tail
from storage.errors import UnavailableError
from storage.history import History
from tests.stored import DAY, NOON, S, Store, beat

EVER = 1 << 62


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    yield opened
    opened.database.close()


def in_order(heartbeats):
    return sorted(heartbeats, key=lambda h: (h.time_us, h.id))


def scattered(store, seed=1):
    """Heartbeats of two users over five days, some in files and some in the tail; returns user 7's."""
    rng = random.Random(seed)
    mine = []
    for _ in range(3):
        for _ in range(20):
            some = [beat(NOON + rng.randrange(-2 * DAY, 3 * DAY), entity=str(rng.random())) for _ in range(3)]
            mine += some
            store.append(7, *some)
            store.append(8, beat(NOON + rng.randrange(-2 * DAY, 3 * DAY)))
        if len(mine) < 180:
            flush_tail(store.shard, store.lake)
    return in_order(mine)


def test_tail_and_lake_are_read_as_one_in_order(store):
    mine = scattered(store)
    assert store.tail_rows() > 0
    assert store.files()
    assert store.history.read(7, 0, EVER) == mine
    assert store.history.read(9, 0, EVER) == []


def test_any_interval_is_half_open(store):
    mine = scattered(store)
    for i, j in [(0, 179), (10, 11), (50, 50), (20, 130)]:
        start, end = mine[i].time_us, mine[j].time_us
        assert store.history.read(7, start, end) == [h for h in mine if start <= h.time_us < end]


@pytest.mark.parametrize("place", ["lake", "tail"])
def test_a_start_belongs_to_its_interval_and_an_end_does_not_wherever_they_rest(store, place):
    first, last = beat(NOON), beat(NOON + 60 * S)
    store.append(7, first, last)
    if place == "lake":
        flush_tail(store.shard, store.lake)
    history, ends = store.history, (first.time_us, last.time_us)
    assert history.read(7, *ends) == [first]
    assert list(history.stream(7, *ends)) == [[first]]
    assert [time_us for frame in history.stream_measured(7, *ends) for time_us in frame["time_us"]] == [NOON]
    assert history.newest(7, 9, last.time_us) == [first]


def test_equal_instants_are_ordered_by_id(store):
    store.append(7, beat(NOON, id=5), beat(NOON, id=2))
    flush_tail(store.shard, store.lake)
    store.append(7, beat(NOON, id=3))
    assert [h.id for h in store.history.read(7, 0, EVER)] == [2, 3, 5]


@pytest.mark.parametrize("limit", [1, 2, 7, 60, 100, 180, 500])
def test_the_newest_are_the_end_of_all(store, limit):
    mine = scattered(store)
    assert store.history.newest(7, limit) == mine[-limit:]
    cut = mine[100].time_us
    assert store.history.newest(7, limit, cut) == [h for h in mine if h.time_us < cut][-limit:]
    assert store.history.newest(9, limit) == []


def test_the_newest_do_not_open_files_of_earlier_days(store):
    store.append(7, beat(NOON), beat(NOON + DAY))
    flush_tail(store.shard, store.lake)
    (early,) = [path for path in store.place.files() if "2023-11-15" in path]
    store.place.put(early, b"no Parquet any more")
    assert [h.time_us for h in store.history.newest(7, 1)] == [NOON + DAY]
    store.append(7, beat(NOON + 5 * S), beat(NOON + DAY + S))
    assert [h.time_us for h in store.history.newest(7, 2)] == [NOON + DAY, NOON + DAY + S]


def test_a_stream_gives_everything_in_ascending_chunks_of_a_day_at_most(store):
    mine = scattered(store)
    chunks = list(store.history.stream(7, 0, EVER))
    assert [h for chunk in chunks for h in chunk] == mine
    assert len(chunks) == len({h.time_us // DAY for h in mine})
    assert all(len({h.time_us // DAY for h in chunk}) == 1 for chunk in chunks)


def test_a_stream_of_an_interval_is_half_open(store):
    mine = scattered(store)
    start, end = mine[17].time_us, mine[150].time_us
    assert [h for chunk in store.history.stream(7, start, end) for h in chunk] == mine[17:150]


def test_a_stream_goes_on_after_what_it_gave_when_files_are_compacted_away(store):
    mine = scattered(store)
    stream = store.history.stream(7, 0, EVER)
    got = next(stream)
    assert compact(store.shard, store.lake, now_s=2e9) > 0
    for chunk in stream:
        got += chunk
    assert got == mine


class CompactsBeforeOpening:
    """A lake whose files are compacted just before the first of them is opened: the reader's snapshot is old."""

    def __init__(self, store):
        self.store = store
        self.compacted = 0

    def scan(self, paths):
        if not self.compacted:
            self.compacted = compact(self.store.shard, self.store.lake, now_s=2e9)
        return self.store.lake.scan(paths)


@pytest.mark.parametrize("read", [lambda h: h.read(7, 0, EVER), lambda h: h.newest(7, 1000)])
def test_a_file_that_vanished_since_the_snapshot_means_a_new_snapshot(store, read):
    mine = scattered(store)
    lake = CompactsBeforeOpening(store)
    assert read(History(store.database, lake)) == mine
    assert lake.compacted > 0


def test_days_are_asked_for_where_a_file_would_be_opened_and_nowhere_else(store):
    asked = []

    def no_days():
        asked.append(True)
        return ()

    store.append(7, beat(NOON))
    flush_tail(store.shard, store.lake)
    store.append(7, beat(NOON + DAY))
    assert [h.time_us for h in store.history.newest(7, 1, None, no_days)] == [NOON + DAY]
    assert asked == []
    assert [h.time_us for h in store.history.newest(7, 2, None, no_days)] == [NOON + DAY]
    assert asked == [True]


def test_files_that_stay_missing_are_an_error_and_not_a_loop(store):
    store.append(7, beat(NOON))
    flush_tail(store.shard, store.lake)
    for path in store.place.files():
        store.place.remove(path)
    with pytest.raises(UnavailableError, match="missing"):
        store.history.read(7, 0, EVER)
    with pytest.raises(UnavailableError, match="missing"):
        list(store.history.stream(7, 0, EVER))
