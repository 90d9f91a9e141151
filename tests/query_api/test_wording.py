import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api import wording
from tests import oracle, oracle_answers
from tests.query_api.world import SECOND

_seconds = st.integers(0, 10_000_000) | st.sampled_from([0, 1, 59, 60, 61, 119, 120, 3599, 3600, 3660, 7200, 90_060])


@given(_seconds)
def test_durations_are_worded_as_the_documents_say(seconds):
    assert wording.status_text(seconds) == oracle_answers.long_text(seconds)
    assert wording.status_text_short(seconds) == oracle_answers.short_statusbar_text(seconds)
    assert wording.short_text(seconds) == oracle_answers.entry_text(seconds)
    assert wording.full_text(seconds) == oracle_answers.human_readable(seconds)
    assert wording.digital(seconds) == oracle_answers.digital(seconds)


@pytest.mark.parametrize(
    ("part", "total", "percent"),
    [(2498, 8000, 31.23), (1, 800, 0.13), (201, 20_000, 1.01), (5015, 100_000, 5.02), (1, 3, 33.33), (0, 7, 0.0)],
)
def test_percents_are_rounded_with_halves_up(part, total, percent):
    assert wording.percent(part, total) == oracle.percent(part, total) == percent


@given(_seconds, st.integers(1, 10_000_000), st.sampled_from([1, 2]))
def test_quotients_are_rounded_as_on_paper(dividend, divisor, places):
    assert wording.quotient(dividend, divisor, places) == oracle.quotient(dividend, divisor, places)


@given(st.integers(1_000_000_000, 2_000_000_000), st.integers(0, 500_000_000) | st.integers(0, 200_000))
def test_time_ago_is_worded_as_rails_does(now, ago):
    then = (now - ago) * SECOND
    assert wording.time_ago(then, now * SECOND) == oracle_answers.time_ago(then, now * SECOND)


@pytest.mark.parametrize(
    ("ago_s", "words"),
    [
        (29, "less than a minute ago"),
        (30, "1 minute ago"),
        (300, "5 minutes ago"),
        (45 * 60, "about 1 hour ago"),
        (2 * 3600, "about 2 hours ago"),
        (30 * 3600, "1 day ago"),
        (3 * 86_400, "3 days ago"),
        (40 * 86_400, "about 1 month ago"),
        (100 * 86_400, "3 months ago"),
        (366 * 86_400, "about 1 year ago"),
        (-300, "5 minutes ago"),
    ],
)
def test_time_ago_says(ago_s, words):
    now_us = 1_750_000_000 * SECOND
    assert wording.time_ago(now_us - ago_s * SECOND, now_us) == words
