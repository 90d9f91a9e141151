"""The arithmetic of coding time against the plain definition: the sum of capped gaps of the sorted instants."""

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.segment import CAP_US, Segment, insert, measure, merge, merge_all, whole_seconds
from tests import oracle

# Steps around what matters: the same instant, a microsecond, the cap and its two sides, and anything.
steps_us = st.sampled_from([0, 1, CAP_US - 1, CAP_US, CAP_US + 1, 2 * CAP_US]) | st.integers(0, 3 * CAP_US)


@st.composite
def instants(draw, min_size=1, max_size=12):
    at = draw(st.integers(1_000_000_000_000_000, 1_999_999_999_999_999))
    made = []
    for step in draw(st.lists(steps_us, min_size=min_size, max_size=max_size)):
        at += step
        made.append(at)
    return made


def expected(times_us):
    return Segment(min(times_us), max(times_us), oracle.total_us([{"time_us": t} for t in times_us]), len(times_us))


@given(instants(), st.randoms())
def test_measuring_needs_no_order(times_us, random):
    shuffled = list(times_us)
    random.shuffle(shuffled)
    assert measure(shuffled) == expected(times_us)


def test_nothing_measures_as_none():
    assert measure([]) is None
    assert merge_all([]) is None


@given(instants(min_size=3), st.data())
def test_merging_is_associative_and_equals_measuring_the_whole(times_us, data):
    i = data.draw(st.integers(1, len(times_us) - 2))
    j = data.draw(st.integers(i + 1, len(times_us) - 1))
    a, b, c = measure(times_us[:i]), measure(times_us[i:j]), measure(times_us[j:])
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == merge_all([a, b, c]) == expected(times_us)


@given(instants(min_size=1), st.data())
def test_inserting_anywhere_equals_measuring_with_it(times_us, data):
    near = st.sampled_from(times_us).flatmap(lambda t: steps_us.flatmap(lambda s: st.sampled_from([t - s, t + s])))
    at_us = data.draw(near)
    earlier = [t for t in times_us if t <= at_us]
    later = [t for t in times_us if t > at_us]
    before = max(earlier) if earlier else None
    after = min(later) if later else None
    # Neighbours beyond the cap may be left out: whoever looked for them looked no further.
    before_near = before if before is not None and at_us - before < CAP_US else None
    after_near = after if after is not None and after - at_us < CAP_US else None
    whole = expected([*times_us, at_us])
    assert insert(measure(times_us), at_us, before, after) == whole
    assert insert(measure(times_us), at_us, before_near, after_near) == whole


@given(instants(min_size=2))
def test_an_equal_instant_may_stand_on_either_side(times_us):
    for at_us in times_us:
        whole = expected([*times_us, at_us])
        after = min((t for t in times_us if t > at_us), default=None)
        before = max((t for t in times_us if t < at_us), default=None)
        assert insert(measure(times_us), at_us, at_us, after) == whole
        assert insert(measure(times_us), at_us, before, at_us) == whole


@given(instants(max_size=30), st.randoms())
def test_inserting_one_by_one_in_any_order_equals_measuring_all(times_us, random):
    random.shuffle(times_us)
    segment, seen = None, []
    for at_us in times_us:
        before = max((t for t in seen if t <= at_us), default=None)
        after = min((t for t in seen if t > at_us), default=None)
        segment = insert(segment, at_us, before, after)
        seen.append(at_us)
    assert segment == expected(times_us)


@given(st.integers(0, 10**15))
@example(500_000)
@example(1_500_000)
@example(2_500_000)
@example(30_500_001)
def test_whole_seconds_round_half_to_even(duration_us):
    assert whole_seconds(duration_us) == round(Fraction(duration_us, 1_000_000))
