"""What a heartbeat request may carry, and what it is answered (semantics.md, section 2)."""

import gzip
import json

import pytest

from tests.e2e.history import FIELDS, beat
from tests.server import HACKATIME, PREFIXES

T = 1_700_000_000
WINDOW = {"start": "2023-11-14", "end": "2023-11-16"}


def listed(account):
    account.server.settle()
    return account.heartbeats(**WINDOW)["heartbeats"]


def assert_error(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    error = response.json()["error"]
    assert isinstance(error, str)
    assert error


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("user", ["current", "my", "1", "somebody%20else"])
def test_the_key_alone_says_whose_heartbeat_it_is(account, prefix, user):
    single = account.post(f"{prefix}/users/{user}/heartbeats", beat(T))
    bulk = account.post(f"{prefix}/users/{user}/heartbeats.bulk", [beat(T + 1)])
    assert (single.status_code, bulk.status_code) == (202, 201)
    assert [h["time"] for h in listed(account)] == [T, T + 1]


def test_a_single_heartbeat_is_answered_with_the_whole_row(account):
    sent = beat(
        T + 0.25,
        entity="/home/ann/proj/src/app.py",
        category="debugging",
        project="proj",
        project_root_count=4,
        branch="feature/x",
        language="Python",
        dependencies=["os", "requests"],
        lines=40,
        line_additions=3,
        line_deletions=1,
        lineno=0,
        cursorpos=0,
        is_write=True,
        user_agent="wakatime/v1.90.0 (linux-6.18.44-fc-v595-unknown) go1.26.8 vscode/1.92.0 vscode-wakatime/24.6.0",
        ai_session="s-1",
        ai_input_tokens=10,
        human_line_changes=2,
    )
    response = account.single(sent, X_Machine_Name="lab-machine")
    assert response.status_code == 202
    stored = response.json()
    assert set(stored) == FIELDS
    assert {name: stored[name] for name in sent} == sent
    assert stored["user_id"] == account.user_id
    assert isinstance(stored["id"], int)
    assert 0 < stored["id"] < 2**63
    assert (stored["editor"], stored["operating_system"], stored["machine"]) == ("vscode", "linux", "lab-machine")
    assert stored["source_type"] == "direct_entry"
    assert stored["ip_address"] == "127.0.0.1"
    assert isinstance(stored["fields_hash"], str)
    assert stored["created_at"] == stored["updated_at"]
    assert stored["deleted_at"] is stored["ai_model"] is None
    assert listed(account) == [stored]


def test_absent_fields_are_null_and_dependencies_empty(account):
    stored = account.single({"time": T}, User_Agent="").json()
    assert set(stored) == FIELDS
    present = {name for name, value in stored.items() if value is not None}
    always = {"id", "user_id", "time", "category", "dependencies", "source_type", "fields_hash"}
    assert always <= present <= always | {"ip_address", "created_at", "updated_at", "user_agent", "editor"}
    assert (stored["dependencies"], stored["category"]) == ([], "coding")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("wrap", [lambda h: h, lambda h: [h], lambda h: {"hackatime": h}])
def test_a_single_heartbeat_has_several_forms(account, wrap, content_type):
    headers = {"Content_Type": content_type} if content_type else {}
    body = json.dumps(wrap(beat(T, project="p"))).encode()
    response = account.post(f"{HACKATIME}/users/current/heartbeats", content=body, **headers)
    assert response.status_code == 202, response.text
    assert (response.json()["time"], response.json()["project"]) == (T, "p")
    assert len(listed(account)) == 1


def test_of_an_array_the_single_endpoint_takes_the_first(account):
    assert account.single([beat(T), beat(T + 1)]).json()["time"] == T
    assert [h["time"] for h in listed(account)] == [T]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
@pytest.mark.parametrize("wrap", [lambda many: many, lambda many: {"hackatime": {"heartbeats": many}}])
def test_a_bulk_has_several_forms(account, wrap, content_type):
    body = json.dumps(wrap([beat(T), beat(T + 1)])).encode()
    response = account.post(f"{HACKATIME}/users/current/heartbeats.bulk", content=body, Content_Type=content_type)
    assert response.status_code == 201, response.text
    pairs = response.json()["responses"]
    assert [(stored["time"], status) for stored, status in pairs] == [(T, 201), (T + 1, 201)]
    assert [stored for stored, _ in pairs] == listed(account)


NOTHING = [
    b"",
    b" ",
    b"[]",
    b"5",
    b'"text"',
    b"null",
    b"true",
    b"{",
    b'{"time": 1700000000',
    b"[1,",
    b"\xff\xfe",
    b"time=1",
]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
@pytest.mark.parametrize("body", [*NOTHING, b"{}"])
def test_a_single_request_without_a_heartbeat_is_a_400(account, body, content_type):
    path = f"{HACKATIME}/users/current/heartbeats"
    assert_error(account.post(path, content=body, Content_Type=content_type), 400)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
@pytest.mark.parametrize("body", [*NOTHING, b"{}", b'{"time":1700000000}', b'{"hackatime":{"heartbeats":[]}}'])
def test_a_bulk_request_without_an_array_is_a_400(account, body, content_type):
    path = f"{HACKATIME}/users/current/heartbeats.bulk"
    assert_error(account.post(path, content=body, Content_Type=content_type), 400)


def test_a_compressed_body_is_no_json(account):
    body = gzip.compress(json.dumps([beat(T)]).encode())
    path = f"{HACKATIME}/users/current/heartbeats.bulk"
    assert_error(account.post(path, content=body, Content_Encoding="gzip", Content_Type="application/json"), 400)


def test_a_hundred_heartbeats_are_taken_and_one_more_is_refused_whole(account):
    many = [beat(T + i) for i in range(101)]
    refused = account.bulk(many)
    assert_error(refused, 400)
    assert refused.json()["error"] == "Too many heartbeats in a single request (max 100)"
    assert listed(account) == []
    assert len(account.bulk(many[:100]).json()["responses"]) == 100
    assert len(listed(account)) == 100


BAD = {
    "no time": {"entity": "x"},
    "an old time": beat(5),
    "a number": 5,
    "a text": "text",
    "null": None,
    "an array": [],
    "an array with a heartbeat": [beat(T)],
    "a nested entity": beat(T, entity={"a": 1}),
    "a project of 513 bytes": beat(T, project="p" * 513),
    "an entity of 100,000 bytes": beat(T, entity="e" * 100_000),
    "a line number above 64 bits": beat(T, lineno=2**63),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_item_gets_its_own_400_and_the_rest_is_taken(account, bad):
    response = account.bulk([beat(T), bad, beat(T + 60), bad])
    assert response.status_code == 201, response.text
    pairs = response.json()["responses"]
    assert [status for _, status in pairs] == [201, 400, 201, 400]
    for item, status in pairs:
        if status == 400:
            assert isinstance(item["error"], str)
            assert item["error"]
            assert isinstance(item["type"], str)
    assert [h["time"] for h in listed(account)] == [T, T + 60]


def test_a_bulk_of_nothing_but_bad_items_is_still_one_pair_each(account):
    response = account.bulk(list(BAD.values()))
    assert response.status_code == 201
    assert [status for _, status in response.json()["responses"]] == [400] * len(BAD)
    assert listed(account) == []


@pytest.mark.parametrize("bad", [v for v in BAD.values() if isinstance(v, dict)])
def test_a_rejected_single_heartbeat_is_a_422(account, bad):
    response = account.single(bad)
    assert_error(response, 422)
    assert isinstance(response.json()["type"], str)


def test_a_rejected_time_is_named_as_hackatime_names_it(account):
    response = account.single(beat(5))
    assert response.json()["type"] == "HeartbeatIngest::InvalidHeartbeatTime"
    assert "time" in response.json()["error"]


def padded(size):
    body = json.dumps([beat(T)]).encode()
    return body + b" " * (size - len(body))


def test_a_mebibyte_is_taken_and_a_byte_more_is_a_413(account):
    path = f"{HACKATIME}/users/current/heartbeats.bulk"
    assert account.post(path, content=padded(1024 * 1024)).status_code == 201
    assert_error(account.post(path, content=padded(1024 * 1024 + 1)), 413)


def test_a_body_without_a_length_is_bounded_too(account):
    path = f"{HACKATIME}/users/current/heartbeats.bulk"
    taken = account.post(path, content=iter([padded(1000), b" " * 500_000]))
    assert taken.status_code == 201
    assert_error(account.post(path, content=iter([padded(1000), *[b" " * 65_536] * 20])), 413)


BOMBS = {
    "arrays": b"[" * 200_000,
    "closed arrays": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 100_000,
    "closed objects": b'[{"time":1700000000,"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001 + b"]",
    "under a field": b'[{"time":1700000000,"entity":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    "under dependencies": b'[{"time":1700000000,"dependencies":' + b"[" * 5_000 + b"]" * 5_000 + b"}]",
    "wrapped": b'{"hackatime":' * 10_000 + b"[]" + b"}" * 10_000,
}


@pytest.mark.parametrize("path", ["heartbeats", "heartbeats.bulk"])
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_nesting_is_refused_and_hurts_nobody(account, bomb, path):
    response = account.post(f"{HACKATIME}/users/current/{path}", content=bomb)
    assert response.status_code in {400, 422} or (
        response.status_code == 201 and [status for _, status in response.json()["responses"]] == [400]
    ), response.text[:200]
    assert account.single(beat(T)).status_code == 202


def test_an_integer_of_many_digits_hurts_nobody(account):
    for literal in (b"9" * 5_000, b"1e400", b"-1e400", b"1e-400", b"1" + b"0" * 400, b"NaN", b"Infinity"):
        for path in ("heartbeats", "heartbeats.bulk"):
            body = b'[{"time":' + literal + b"}]"
            response = account.post(f"{HACKATIME}/users/current/{path}", content=body)
            refused = response.status_code in {400, 422}
            assert refused or response.json()["responses"][0][1] == 400, (literal[:20], response.text[:200])
    assert listed(account) == []


def test_text_that_is_no_unicode_harms_neither_its_neighbours_nor_the_reading(account):
    body = b'[{"time":1700000000},{"time":1700000001,"project":"a\\ud800b","entity":"\\udfff"},{"time":1700000002}]'
    response = account.post(f"{HACKATIME}/users/current/heartbeats.bulk", content=body)
    assert response.status_code == 201
    statuses = [status for _, status in response.json()["responses"]]
    assert statuses[0] == statuses[2] == 201
    assert statuses[1] in {201, 400}
    assert len(listed(account)) == statuses.count(201)
    assert account.stats(features="projects,languages")["user"] == account.username


def test_a_repeat_gets_the_same_id_and_counts_once(account):
    sent = [beat(T, project="p"), beat(T + 60, project="p")]
    first = account.send(*sent)
    again = account.send(*sent, *sent)
    assert [h["id"] for h in again] == [h["id"] for h in first] * 2
    assert account.single(sent[0]).json()["id"] == first[0]["id"]
    assert [h["id"] for h in listed(account)] == [h["id"] for h in first]
    assert account.total(start_date="2023-11-14", end_date="2023-11-16") == 60


def test_another_field_or_user_makes_another_heartbeat(server, account):
    variants = [
        beat(T),
        beat(T, lineno=1),
        beat(T, lineno=2),
        beat(T, branch="b"),
        beat(T, is_write=True),
        beat(T + 1e-6),
    ]
    ids = {h["id"] for h in account.send(*variants)}
    assert len(ids) == len(variants)
    assert server.new_account().single(beat(T)).json()["id"] not in ids
    assert len(listed(account)) == len(variants)


def test_unknown_fields_and_a_created_at_change_nothing(account):
    plain = account.single(beat(T)).json()
    more = account.single(beat(T, created_at="2001-01-01", unheard_of={"a": [1]}, user_id=1, id=5)).json()
    assert more["id"] == plain["id"]
    assert more["user_id"] == account.user_id
    assert not more["created_at"].startswith("2001")


def test_heartbeats_cannot_be_read_where_they_are_sent(account):
    """On Hackatime's own path; WakaTime has a GET of a day's heartbeats on its paths."""
    paths = [f"{HACKATIME}/users/current/heartbeats", *(f"{p}/users/current/heartbeats.bulk" for p in PREFIXES)]
    for path in paths:
        response = account.get(path)
        assert_error(response, 405)
        assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("path", ["heartbeats", "heartbeats.bulk"])
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_another_method_is_a_405_that_names_the_right_one(account, prefix, path, method):
    response = account.server.http.request(method, f"{prefix}/users/current/{path}", headers=account.headers)
    assert_error(response, 405)
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize(
    "path", ["heartbeats/bulk", "heartbeat", "heartbeats.json", "heartbeats.bulk/", "heartbeats.bulk.bulk"]
)
def test_no_other_spelling_exists(account, path):
    response = account.post(f"{HACKATIME}/users/current/{path}", [beat(T)])
    assert response.status_code in {404, 405}
    assert set(response.json()) == {"error"}
