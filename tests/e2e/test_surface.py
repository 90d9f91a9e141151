"""Health, home page, documentation, and what every answer has in common."""

import json
import re
import socket

import pytest

from tests.e2e.history import beat
from tests.server import HACKATIME, OPERATOR_KEY, PREFIXES

DOCUMENTED = {
    "get": [
        f"{HACKATIME}/users/{{}}/statusbar/today",
        f"{HACKATIME}/users/{{}}",
        "/api/v1/stats",
        "/api/v1/users/{}/stats",
        "/api/v1/users/{}/trust_factor",
        "/api/v1/users/lookup_email/{}",
        "/api/v1/users/lookup_slack_uid/{}",
        "/api/v1/my/heartbeats",
        "/api/v1/my/heartbeats/most_recent",
        "/up",
    ],
    "post": [f"{prefix}/users/{{}}/{path}" for prefix in PREFIXES for path in ("heartbeats", "heartbeats.bulk")],
}


def assert_error(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    assert set(response.json()) == {"error"}
    assert isinstance(response.json()["error"], str)
    assert response.json()["error"]


def test_it_is_up(server):
    assert server.http.get("/up").status_code == 200


def test_the_home_page_says_how_to_connect_an_editor(server):
    response = server.http.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert f"{server.url}{HACKATIME}" in response.text
    for link in ("/docs", "/openapi.json"):
        assert link in response.text


def test_the_home_page_believes_no_host(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b'GET / HTTP/1.1\r\nHost: x"><script>alert(1)</script>\r\nConnection: close\r\n\r\n')
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 ")
    assert b"<script>alert" not in answer


def test_openapi_describes_every_endpoint_and_its_errors(server):
    response = server.http.get("/openapi.json")
    assert response.status_code == 200
    document = response.json()
    assert document["openapi"].startswith("3.")
    described = {
        (method, re.sub(r"\{[^}]*\}", "{}", path)): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    for method, paths in DOCUMENTED.items():
        for path in paths:
            assert (method, path) in described, path
            responses = described[method, path]["responses"]
            assert any(status.startswith("2") for status in responses), path
    for (method, path), operation in described.items():
        assert "400" in operation["responses"] or method != "post", path


def test_openapi_references_nothing_that_it_does_not_define(server):
    document = server.http.get("/openapi.json").json()
    for reference in set(re.findall(r'"#/([^"]+)"', json.dumps(document))):
        place = document
        for step in reference.split("/"):
            place = place[step.replace("~1", "/").replace("~0", "~")]


def test_the_docs_page_stands_by_itself(server):
    response = server.http.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", response.text)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api/nothing",
        "/api/v1",
        "/api/v1/users/ann/nothing",
        f"{HACKATIME}/users/current/nothing",
        f"{HACKATIME}/plugins/errors",
        f"{HACKATIME}/users/current/goals/6a5b0f0e-0000-4000-8000-000000000000",
        "/favicon.ico",
        "/%00",
        "/api/v1/users/%ff%fe/stats",
        "/..%2f..%2fetc/passwd",
        "/" + "x" * 4_000,
    ],
)
def test_what_does_not_exist_is_a_404_in_the_error_shape(server, account, path):
    assert_error(server.http.get(path, headers=account.headers), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [p.format("current") for p in DOCUMENTED["get"]])
def test_a_wrong_method_is_a_405_that_names_the_right_one(server, account, path, method):
    response = server.http.request(method, path, headers=account.headers)
    assert_error(response, 405)
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [p.format("current") for p in DOCUMENTED["post"]])
def test_a_path_of_heartbeats_names_its_methods(server, account, path, method):
    is_read = path.endswith("/heartbeats") and HACKATIME not in path
    response = server.http.request(method, path, headers=account.headers, params={"date": "today"})
    if is_read and method in {"GET", "HEAD"}:
        assert response.status_code == 200
    else:
        assert response.status_code == 405
        assert response.headers["allow"] == ("GET, HEAD, POST, OPTIONS" if is_read else "POST, OPTIONS")


@pytest.mark.parametrize("path", [*(p.format("current") for p in DOCUMENTED["get"]), "/", "/docs", "/openapi.json"])
def test_head_answers_what_get_answers_without_a_body(server, account, path):
    for headers in (account.headers, {}):
        got, head = (server.http.request(method, path, headers=headers) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
        assert head.headers.get("content-length") == got.headers.get("content-length")


@pytest.mark.parametrize("path", [p.format("current") for p in DOCUMENTED["get"]])
def test_api_answers_are_not_stored_and_may_be_read_from_anywhere(server, account, path):
    if not path.startswith("/api/"):
        return
    for headers in (account.headers, {}):
        response = server.http.get(path, headers={"Origin": "https://elsewhere.example", **headers})
        assert response.headers["access-control-allow-origin"] == "*"
        assert "no-store" in response.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [f"{HACKATIME}/users/current/heartbeats.bulk", f"{HACKATIME}/users/current/statusbar/today", "/api/v1/stats"],
)
def test_browsers_may_ask_first(server, path):
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST" if "bulk" in path else "GET",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    response = server.http.options(path, headers=asked)
    assert response.status_code in {200, 204}
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-max-age"] == "600"
    assert asked["Access-Control-Request-Method"] in response.headers["access-control-allow-methods"]
    assert "authorization" in response.headers["access-control-allow-headers"].lower()


def test_posts_are_answered_to_browsers_too(account):
    for response in (account.bulk([beat(1_700_000_000)], Origin="https://elsewhere.example"), account.bulk([])):
        assert response.headers["access-control-allow-origin"] == "*"
        assert "no-store" in response.headers["cache-control"]


def test_long_queries_and_headers_are_answered(server, account):
    response = server.http.get("/api/v1/my/heartbeats", params={"start": "x" * 30_000}, headers=account.headers)
    assert 400 <= response.status_code < 500
    response = server.http.get("/up", headers={"X-Long": "x" * 30_000})
    assert response.status_code in {200, 400, 431}
    assert server.http.get("/up").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /api/v1/stats?api_key=%zz%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /api/v1/users/x/heartbeats HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n",
        b"POST /api/v1/users/x/heartbeats HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_broken_requests_hurt_nobody(server, account, raw):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65_536)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert account.single(beat(1_700_000_000)).status_code == 202


def test_keys_are_written_nowhere(server, account):
    """Neither accepted, refused nor asked-for keys appear in what the processes write or in the data folder."""
    account.send(beat(1_700_000_000))
    server.http.get("/api/v1/stats", params={"api_key": account.key})
    server.http.get("/nothing", params={"api_key": account.key})
    unknown = "0d0c9a52-1111-4111-8111-abcdefabcdef"
    server.http.get("/api/v1/stats", params={"api_key": unknown})
    written = server.output()
    for key in (account.key, OPERATOR_KEY, unknown):
        assert key not in written
    for path in server.data.rglob("*"):
        if path.is_file():
            assert account.key.encode() not in path.read_bytes(), path
