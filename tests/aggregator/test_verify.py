import pytest
import sqlalchemy as sa

from aggregator.flush import flush_tail
from aggregator.recompute import rebuild
from aggregator.verify import audit, verify
from schemas.dimensions import Dimension
from schemas.tables import last_values, segments
from tests.stored import DAY, NOON, S, Store, beat

DAY_NUMBER = NOON // DAY


@pytest.fixture
def store(tmp_path, stats_url, lake_place):
    opened = Store.open(tmp_path, stats_url, lake_place)
    opened.add_user(7, "Asia/Kolkata")
    opened.append(7, beat(NOON, project="a", language="Go"), beat(NOON + 30 * S, project="b"))
    opened.append(8, beat(NOON))
    flush_tail(opened.shard, opened.lake)
    opened.append(7, beat(NOON + 60 * S, project="a", language="Go"))
    rebuild(opened.shard, opened.lake)
    yield opened
    opened.database.close()


def change(store, statement):
    with store.database.writing() as connection:
        assert connection.execute(statement).rowcount > 0


def found(store, user_id=None):
    return list(verify(store.database, store.lake, user_id))


def test_stats_that_agree_have_no_differences(store):
    assert found(store) == []


def test_a_wrong_row_is_named_with_both_values(store):
    c = segments.c
    one = sa.and_(c.user_id == 7, c.calendar == "UTC", c.dimension == 1, c.value == "=a")
    change(store, sa.update(segments).where(one).values(duration_us=5))
    (difference,) = found(store)
    assert (difference.table, difference.key) == ("segments", (7, "UTC", DAY_NUMBER, 1, "=a"))
    assert difference.stored == (NOON, NOON + 60 * S, 5, 2)
    assert difference.computed == (NOON, NOON + 60 * S, 60 * S, 2)
    assert "user 7" in str(difference)
    assert "UTC 2023-11-15 project '=a'" in str(difference)


@pytest.mark.parametrize("calendar", ["UTC", "UTC/month", "lifetime", "Asia/Kolkata"])
def test_a_missing_row_is_found_in_every_calendar(store, calendar):
    c = segments.c
    change(store, sa.delete(segments).where(c.user_id == 7, c.calendar == calendar, c.dimension == 0))
    (difference,) = found(store)
    assert difference.stored is None
    assert difference.computed == (NOON, NOON + 60 * S, 60 * S, 3)


def test_gaps_by_the_heartbeat_before_are_compared_in_the_users_own_days(store):
    c = segments.c
    followed = sa.and_(c.user_id == 7, c.dimension == Dimension.FOLLOWED, c.value == "=b")
    change(store, sa.update(segments).where(followed).values(duration_us=31 * S))
    (difference,) = found(store)
    assert difference.key == (7, "Asia/Kolkata", DAY_NUMBER, Dimension.FOLLOWED, "=b")
    assert (difference.stored[2], difference.computed[2]) == (31 * S, 30 * S)
    change(store, sa.update(segments).where(followed).values(calendar="UTC", duration_us=30 * S))
    assert {(d.key[1], d.stored is None, d.computed is None) for d in found(store)} == {
        ("Asia/Kolkata", True, False),
        ("UTC", False, True),
    }


def test_a_row_that_nothing_supports_is_found(store):
    change(store, sa.update(segments).where(segments.c.user_id == 8).values(user_id=9))
    differences = found(store)
    assert {d.user_id for d in differences if d.computed is None} == {9}
    assert {d.user_id for d in differences if d.stored is None} == {8}


def test_last_values_are_compared_too(store):
    change(store, sa.update(last_values).where(last_values.c.project == "a").values(language="Rust"))
    (difference,) = found(store)
    assert (difference.table, difference.key) == ("last_values", (7, "a"))
    assert difference.stored == ("Rust", NOON + 60 * S, None, None)
    assert difference.computed == ("Go", NOON + 60 * S, None, None)
    assert "project 'a'" in str(difference)


def test_one_user_is_compared_alone(store):
    change(store, sa.update(segments).where(segments.c.user_id == 8).values(count=5))
    assert found(store, 7) == []
    assert {d.user_id for d in found(store, 8)} == {8}


def test_an_audit_sees_one_utc_day_of_the_users_it_is_given(store):
    c = segments.c
    change(store, sa.update(segments).where(c.user_id == 7, c.dimension == 0).values(count=9))
    change(store, sa.update(segments).where(c.user_id == 8, c.dimension == 0).values(count=9))
    differences = audit(store.database, store.lake, DAY_NUMBER, [7])
    assert [d.key for d in differences] == [(7, "UTC", DAY_NUMBER, 0, "")]
    assert audit(store.database, store.lake, DAY_NUMBER, []) == []


def test_an_audit_does_not_mistake_neighbouring_days_for_its_own(store):
    store.append(7, beat(NOON + DAY, project="a"), beat(NOON - DAY, project="a"))
    rebuild(store.shard, store.lake)
    assert audit(store.database, store.lake, DAY_NUMBER, [7, 8]) == []
