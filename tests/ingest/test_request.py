from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.request import header_text, headers_of, machine_name


@pytest.mark.parametrize(
    ("header", "machine"),
    [
        (b"lab-machine", "lab-machine"),
        (b"Dev%27s+MacBook.local", "Dev's MacBook.local"),
        (b"Dev%2527s%2BMacBook.local", "Dev's MacBook.local"),
        (b"Dev%252527s%252BMacBook.local", "Dev's MacBook.local"),
        (b"Dev's MacBook", "Dev's MacBook"),
        ("büro".encode(), "büro"),
        ("büro".encode("latin-1"), "büro"),
        (b"b%C3%BCro", "büro"),
        (b"100%", "100%"),
        (b"a%00b", "ab"),
        (b"", ""),
        (None, None),
    ],
)
def test_a_machine_has_one_name_however_it_was_written(header, machine):
    assert machine_name(header) == machine


@given(st.text(st.characters(codec="utf-8", exclude_characters="%+\0"), min_size=1, max_size=20), st.integers(0, 150))
def test_a_machine_stays_one_machine_over_a_long_sync(name, rounds):
    escaped = name
    for _ in range(rounds):
        escaped = quote_plus(escaped)
    assert machine_name(escaped.encode()) == name


def test_an_endless_name_is_left_as_it_is():
    assert machine_name(b"%25" * 6000) == "%25" * 6000


def test_headers_are_read_as_utf_8_and_else_as_latin_1():
    assert [header_text(raw) for raw in ("ü".encode(), b"\xfc", b"a\0b", None)] == ["ü", "ü", "ab", None]


def test_of_a_repeated_header_the_first_counts():
    headers = [(b"authorization", b"1"), (b"authorization", b"2"), (b"x-machine-name", b"m"), (b"x", b"y")]
    assert headers_of({"headers": headers}) == (b"1", b"m", None, None)
