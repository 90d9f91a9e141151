import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.credentials import NONE_GIVEN, UNUSABLE, api_keys_of

KEY = "11111111-1111-4111-8111-111111111111"


def b64(text):
    return base64.b64encode(text.encode())


@pytest.mark.parametrize("scheme", [b"Basic", b"basic", b"BASIC"])
@pytest.mark.parametrize("text", [KEY, f"{KEY}:", f"user:{KEY}", f":{KEY}", f"{KEY}\n", f"{KEY}:\r\n"])
def test_basic_holds_the_key_alone_or_beside_a_colon(scheme, text):
    assert KEY in api_keys_of(scheme + b" " + b64(text), b"").keys


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_bearer_holds_the_key_bare_or_in_base64(scheme):
    assert api_keys_of(scheme + b" " + KEY.encode(), b"").keys[0] == KEY
    assert KEY in api_keys_of(scheme + b"  " + b64(KEY) + b" ", b"").keys


def test_a_user_name_is_no_key():
    assert KEY not in api_keys_of(b"Basic " + b64(f"{KEY}:secret"), b"").keys


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        (f"api_key={KEY}", (KEY,)),
        (f"limit=1&api_key={KEY}&api_key=other", (KEY,)),
        ("api_key=a%20b", ("a b",)),
        ("api_key=%C3%BC", ("ü",)),
    ],
)
def test_the_query_may_hold_the_key(query, keys):
    assert api_keys_of(None, query.encode()) == (True, keys)


@pytest.mark.parametrize("query", [b"", b"limit=1", b"api_key=", b"my_api_key=x", b"x=api_key"])
def test_without_header_and_key_nothing_is_given(query):
    assert api_keys_of(None, query) is NONE_GIVEN


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Basic",
        b"Basic !!!",
        b"Basic " + KEY.encode() + b"!",
        b"Basic " + b64(KEY) + b"garbage",
        b"Basic " + b64(KEY) + b" garbage",
        b"Basic " + b64("1234567").rstrip(b"="),
        b"Basic " + base64.b64encode(b"\xff\xfe\xfd"),
        b"Basic " + b64(":"),
        b"Token " + KEY.encode(),
        KEY.encode(),
        b"Bearer " + b"x" * 2000,
        b"Bearer \xff\xfe",
    ],
)
def test_a_header_that_is_unusable_is_refused_even_beside_a_good_query(header):
    assert api_keys_of(header, f"api_key={KEY}".encode()) == UNUSABLE


@pytest.mark.parametrize(
    "query", [b"api_key=%ff", b"api_key=" + b"x" * 9000, b"a&" * 200 + b"api_key=x", b"api_key=\xff"]
)
def test_a_query_out_of_bounds_is_refused(query):
    assert not api_keys_of(None, query).keys


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_nothing_that_a_stranger_sends_breaks_it(header, query):
    for credentials in (api_keys_of(header, query), api_keys_of(b"Basic " + header, query), api_keys_of(None, query)):
        assert all(credentials.keys)
