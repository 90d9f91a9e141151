import contextlib
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instants import InstantError, parse_time, parse_when

T = 1_700_000_000


def exactly(text):
    """The microseconds of a decimal number of seconds, by the book."""
    return int((Decimal(text) * 1_000_000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@given(st.floats(1_000_000_000, 1_999_999_999.9))
def test_a_float_stands_for_its_shortest_decimal_text(seconds):
    assert parse_time(seconds) == parse_time(repr(seconds)) == exactly(repr(seconds))


@given(st.integers(10**15, 2 * 10**15 - 1))
def test_an_instant_is_the_same_in_every_form(time_us):
    seconds = f"{time_us // 10**6}.{time_us % 10**6:06d}"
    assert parse_time(seconds) == parse_time(float(seconds)) == parse_time(f" +{seconds}000 ") == time_us
    assert parse_time(time_us) == parse_time(str(time_us)) == parse_time(time_us * 1000) == time_us
    assert parse_time(Decimal(time_us).scaleb(-3).__format__("f")) == time_us
    assert parse_when(seconds) == time_us


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("1700000000.0000005", T * 10**6),
        ("1700000000.0000015", T * 10**6 + 2),
        ("1700000000.00000050000000000000000000001", T * 10**6 + 1),
        ("999999999.9999995", 10**15),
        ("1.7e9", T * 10**6),
        ("1700000000000000500", T * 10**6),
        ("1700000000000001500", T * 10**6 + 2),
    ],
)
def test_halves_go_to_the_even_microsecond_before_the_range_is_checked(text, time_us):
    assert parse_time(text) == time_us


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        float("nan"),
        float("inf"),
        -float("inf"),
        0,
        -T,
        5,
        999_999_999,
        2_000_000_000,
        1_999_999_999.9999999,
        10**40,
        1e300,
        -1e300,
        5e-324,
        "",
        " ",
        "NaN",
        "Infinity",
        "soon",
        "1_700_000_000",
        "\u0661\u0667" + "\u0660" * 8,
        "1e999",
        "1e-999",
        "1e999999999",
        "1" * 200,
        "1969-01-01",
        "2099-01-01",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "x" * 10_000,
        [T],
        {"time": T},
        b"1700000000",
    ],
)
def test_what_is_no_time_is_rejected_with_a_word_on_what_to_send(value):
    with pytest.raises(InstantError, match=r"such as 2026-01-31"):
        parse_time(value)


@pytest.mark.parametrize(
    "text",
    [
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20 UTC",
        "2023-11-15T03:43:20+05:30",
        "20231114T221320Z",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Nov 14 2023 10:13:20 PM",
        "2023-11-14T22:13:19.9999999Z",
        "2023-11-14T22:13:20.0000005Z",
        "Wed Nov 15 2023 00:13:20 GMT+0200 (Eastern European Standard Time)",
        "Tue Nov 14 2023 17:13:20 GMT-0500 (Eastern Standard Time)",
        "2023-11-15 00:13:20 utc+2",
        "2023-11-15 00:13:20 UTC+02:00",
        "Tue Nov 14 22:13:20 UTC 2023",
        "Tue Nov 14 22:13:20 2023",
        "2023-11-14 17:13:20 -0500",
    ],
)
def test_dates_are_utc_unless_they_say_otherwise(text):
    assert parse_time(text) == parse_when(text) == T * 10**6


@pytest.mark.parametrize("text", ["10:30", "Monday", "Nov 14", "2023", "14th 10:30", "2023-11", "2023-13-01", "25:00"])
def test_a_text_that_needs_todays_date_is_no_date(text):
    with pytest.raises(InstantError):
        parse_time(text)


@pytest.mark.parametrize("text", ["01.02.2026", "1/2/2026", "01-02-2026 00:00", "Sunday, 1.2.2026", "2026-02-01"])
def test_the_day_comes_first_where_the_year_comes_last(text):
    assert parse_time(text) == parse_when(text) == 1_769_904_000 * 10**6


@pytest.mark.parametrize("text", ["01/31/2026", "1.13.2026 10:00"])
def test_a_month_that_comes_first_is_refused_rather_than_read_now_and_then(text):
    with pytest.raises(InstantError):
        parse_time(text)


@pytest.mark.parametrize("zone", ["CET", "EST", "XYZ"])
def test_the_names_of_zones_are_refused_rather_than_guessed(zone):
    with pytest.raises(InstantError, match=zone):
        parse_time(f"2023-11-14 22:13:20 {zone}")


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2023-11-14", 1_699_920_000 * 10**6),
        ("20231114", 1_699_920_000 * 10**6),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.5Z", -500_000),
        ("0", 0),
        ("-1.5", -1_500_000),
        ("1700000000123", T * 10**6 + 123_000),
        (" 2023-11-15T00:13:20 02:00 ", T * 10**6),
        ("2023-11-15T00:13:20.25 0200", T * 10**6 + 250_000),
        ("Wed Nov 15 2023 00:13:20 GMT 0200 (Eastern European Standard Time)", T * 10**6),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_a_bound_of_the_read_api_may_be_any_instant(text, time_us):
    assert parse_when(text) == time_us


@pytest.mark.parametrize("text", ["", "soon", "2023-02-30", "1e30", "-1e29", "1e999", "10:30", "9" * 99, "x" * 10_000])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(InstantError):
        parse_when(text)


@given(st.text(max_size=40) | st.text("0123456789-:.T+ ZJanFebam", max_size=30))
def test_any_text_is_read_or_refused(text):
    for parse in (parse_time, parse_when):
        with contextlib.suppress(InstantError):
            assert isinstance(parse(text), int)
