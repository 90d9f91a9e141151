import asyncio
import base64
import json

import pytest

from ingest.app import IngestApp, Limits
from schemas.heartbeat import HeartbeatAnswer
from schemas.record import MAX_LINES_BYTES
from tests.ingest.lab import BEARER, BULK, KEY, NOW_US, SINGLE, OneKey, client_of

T = 1_700_000_000
BEAT = {"entity": "/a/b.py", "type": "file", "time": T + 0.25, "project": "p"}


def pairs(response):
    assert response.status_code == 201, response.text
    return response.json()["responses"]


def test_a_single_heartbeat_is_logged_and_answered_with_the_whole_row(lab):
    response = lab.post(SINGLE, BEAT, headers={**BEARER, "X-Machine-Name": "Dev%2527s%2BMac", "User-Agent": "vscode/1"})
    assert response.status_code == 202
    stored = response.json()
    assert list(stored) == list(HeartbeatAnswer.__struct_fields__)
    assert (stored["time"], stored["user_id"], stored["language"]) == (T + 0.25, 7, "Python")
    assert (stored["machine"], stored["editor"], stored["ip_address"]) == ("Dev's Mac", "vscode", "127.0.0.9")
    assert stored["created_at"] == stored["updated_at"] == "2026-11-23T21:30:28.123Z"
    assert int(stored["fields_hash"], 16) == stored["id"]
    (logged,) = lab.logged()
    assert (logged.id, logged.time_us, logged.created_at_us) == (stored["id"], T * 10**6 + 250_000, NOW_US)


def test_a_bulk_is_one_record_and_one_pair_for_each_item_in_order(lab):
    items = [{**BEAT, "time": T + i} for i in range(25)]
    answered = pairs(lab.post(BULK, items))
    assert [(h["time"], status) for h, status in answered] == [(T + i, 201) for i in range(25)]
    assert len(lab.records()) == 1
    assert [h.id for h in lab.logged()] == [h["id"] for h, _ in answered]


@pytest.mark.parametrize("wrap", [lambda many: many, lambda many: {"hackatime": {"heartbeats": many}}])
def test_bad_items_have_their_own_400_and_nothing_else_suffers(lab, wrap):
    items = [BEAT, None, {**BEAT, "time": 5}, 5, {**BEAT, "entity": {}}, {**BEAT, "branch": "b" * 513}, BEAT]
    answered = pairs(lab.post(BULK, wrap(items)))
    assert [status for _, status in answered] == [201, 400, 400, 400, 400, 400, 201]
    assert all(set(item) == {"error", "type"} for item, status in answered if status == 400)
    assert answered[2][0]["type"] == "HeartbeatIngest::InvalidHeartbeatTime"
    assert answered[0][0]["id"] == answered[-1][0]["id"]
    assert len(lab.logged()) == 2


def test_nothing_is_logged_when_every_item_is_rejected(lab):
    assert [status for _, status in pairs(lab.post(BULK, [None, {}]))] == [400, 400]
    assert lab.post(SINGLE, {"entity": "x"}).status_code == 422
    assert lab.records() == []


def test_placeholders_are_answered_within_the_request_and_logged_as_sent(lab):
    waiting = {**BEAT, "language": "<<LAST_LANGUAGE>>", "branch": "<<LAST_BRANCH>>"}
    items = [waiting, {**BEAT, "language": "Rust", "branch": "main"}, None, waiting]
    answered = pairs(lab.post(BULK, items))
    shown = [(h["language"], h["branch"]) for h, status in answered if status == 201]
    assert shown == [(None, None), ("Rust", "main"), ("Rust", "main")]
    assert [h.language for h in lab.logged()] == ["<<LAST_LANGUAGE>>", "Rust", "<<LAST_LANGUAGE>>"]


@pytest.mark.parametrize("prefix", ["/api/hackatime/v1", "/api/v1", "/api/compat/wakatime/v1", "/api"])
@pytest.mark.parametrize("user", ["current", "7", "%C3%BC%20x"])
def test_every_prefix_and_id_is_the_same_place(lab, prefix, user):
    assert lab.post(f"{prefix}/users/{user}/heartbeats", BEAT).json()["user_id"] == 7
    assert len(pairs(lab.post(f"{prefix}/users/{user}/heartbeats.bulk", [BEAT]))) == 1


@pytest.mark.parametrize(
    "authorization",
    ["Basic " + base64.b64encode(f"{x}".encode()).decode() for x in (KEY, f"{KEY}:", f"user:{KEY}")]
    + [f"bearer {KEY}"],
)
def test_a_key_comes_in_several_forms(lab, authorization):
    assert lab.post(SINGLE, BEAT, headers={"Authorization": authorization}).status_code == 202


def test_a_key_in_the_query_does_unless_a_header_is_wrong(lab):
    path = f"{SINGLE}?api_key={KEY}"
    assert lab.post(path, BEAT, headers={}).status_code == 202
    assert lab.post(path, BEAT, headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}])
def test_without_a_good_key_nothing_is_taken(lab, headers):
    response = lab.post(BULK, [BEAT], headers=headers)
    assert (response.status_code, response.json()) == (401, {"error": "Invalid API key"})
    assert lab.records() == []


def test_more_than_a_hundred_heartbeats_are_refused_whole(lab):
    response = lab.post(BULK, [BEAT] * 101)
    assert response.status_code == 400
    assert response.json() == {"error": "Too many heartbeats in a single request (max 100)"}
    assert lab.records() == []


def test_large_requests_become_several_records_of_whole_heartbeats(lab):
    items = [{**BEAT, "time": T + i, "dependencies": [f"{i}-{n}" + "d" * 400 for n in range(20)]} for i in range(100)]
    assert len(pairs(lab.post(BULK, items))) == 100
    assert len(json.dumps(items)) > MAX_LINES_BYTES
    assert len(lab.records()) > 1
    assert [h.time_us for h in lab.logged()] == [(T + i) * 10**6 for i in range(100)]


def test_a_body_over_the_limit_is_refused_by_its_length_or_while_it_comes(lab):
    limits = Limits(max_body_bytes=1000)
    body = json.dumps([BEAT]).encode().ljust(1000)
    assert lab.post(BULK, content=body, limits=limits).status_code == 201

    async def chunks(rest):
        for chunk in (body, rest):
            yield chunk

    assert lab.post(BULK, content=chunks(b""), limits=limits).status_code == 201
    for content in (body + b" ", chunks(b" ")):
        response = lab.post(BULK, content=content, limits=limits)
        assert (response.status_code, response.json()) == (413, {"error": "The body is larger than 1000 bytes"})
    assert len(lab.records()) == 2


def test_the_body_of_a_too_long_request_is_not_even_read():
    async def receive():
        raise AssertionError

    async def send(message):
        sent.append(message)

    sent = []
    headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-length", b"1048577")]
    scope = {"type": "http", "method": "POST", "path": BULK, "query_string": b"", "headers": headers, "client": None}
    asyncio.run(IngestApp(None, OneKey(), Limits(), lambda: NOW_US)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_client_that_went_away_is_not_answered():
    async def receive():
        return messages.pop(0)

    async def send(message):
        raise AssertionError(message)

    messages = [{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}]
    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "POST", "path": BULK, "query_string": b"", "headers": headers, "client": None}
    asyncio.run(IngestApp(None, OneKey(), Limits(), lambda: NOW_US)(scope, receive, send))
    assert messages == []


def test_a_full_log_is_a_503_that_says_when_to_come_back(lab):
    response = lab.post(BULK, [BEAT, None], queue_bytes=1, limits=Limits(retry_after_s=17))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "17"
    assert list(response.json()) == ["error"]
    assert lab.records() == []


def test_nothing_is_taken_while_the_limits_say_so(lab):
    response = lab.post(BULK, [BEAT], limits=Limits(ready=lambda: "The disk is full"))
    assert (response.status_code, response.json()) == (503, {"error": "The disk is full"})
    assert response.headers["retry-after"]
    assert lab.post(BULK, [BEAT], headers={}, limits=Limits(ready=lambda: "full")).status_code == 401


def test_the_answer_comes_only_after_the_log_has_it():
    class SlowLog:
        def __init__(self):
            self.asked, self.durable = asyncio.Event(), asyncio.Event()

        async def append(self, _records):
            self.asked.set()
            await self.durable.wait()
            return 1

    async def scenario():
        log = SlowLog()
        async with client_of(log, Limits()) as client:
            request = asyncio.create_task(client.post(SINGLE, json=BEAT, headers=BEARER))
            await log.asked.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not request.done()
            log.durable.set()
            assert (await request).status_code == 202

    asyncio.run(scenario())


@pytest.mark.parametrize("path", [SINGLE, BULK])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused_by_name(lab, path, method):
    response = lab.post(path, method=method)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST, OPTIONS"
    assert list(response.json()) == ["error"]


def test_browsers_may_ask_and_read(lab):
    response = lab.post(
        BULK, method="OPTIONS", headers={"Origin": "https://x", "Access-Control-Request-Method": "POST"}
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS"
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-max-age"] == "600"
    for answered in (response, lab.post(BULK, [BEAT]), lab.post(BULK, [BEAT], headers={})):
        assert answered.headers["access-control-allow-origin"] == "*"
        assert answered.headers["cache-control"] == "no-store"
        assert answered.headers["content-type"] == "application/json"


def test_pages_may_send_whatever_headers_they_ask_for(lab):
    asked = {"Origin": "https://x", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,content-type,sentry-trace"
    response = lab.post(BULK, method="OPTIONS", headers=asked)
    assert response.headers["access-control-allow-headers"] == "authorization,content-type,sentry-trace"


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (SINGLE, True),
        (BULK, True),
        ("/api/v1/users/x/heartbeats.bulk", True),
        ("/api/hackatime/v1/users/current/heartbeats/bulk", False),
        ("/api/hackatime/v1/users/current/heartbeats.json", False),
        ("/api/hackatime/v1/users/current/heartbeats/spans", False),
        ("/api/hackatime/v1/users//heartbeats", False),
        ("/api/hackatime/v1/users/a/b/heartbeats", False),
        ("/x/api/v1/users/a/heartbeats", False),
        ("/api/v1/my/heartbeats", False),
    ],
)
def test_only_the_two_routes_are_ingests(lab, path, ours):
    app = IngestApp(None, OneKey(), Limits(), lambda: NOW_US)
    assert all(app.matches(method, path) is ours for method in ("POST", "OPTIONS", "GET"))
    if not ours:
        assert lab.post(path, [BEAT]).status_code == 404
