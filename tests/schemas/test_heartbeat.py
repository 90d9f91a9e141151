import pytest

from schemas.heartbeat import iso_utc
from schemas.instants import FIRST_US, LAST_US


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123_999, "2023-11-14T22:13:20.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (FIRST_US, "0001-01-01T00:00:00.000Z"),
        (LAST_US, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_written_to_the_millisecond_with_a_year_of_four_digits(time_us, text):
    assert iso_utc(time_us) == text
