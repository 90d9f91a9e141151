"""The front's parts over real sockets: what reaches the query process, and what comes back."""

import asyncio
import json
import logging
import socket
from contextlib import asynccontextmanager, closing

import httpx
import pytest

from heartline.forward import Forwarder
from heartline.front import Guard, IngestAlone, QueryAlone
from heartline.places import listen
from heartline.serving import MAX_HEAD_BYTES, _Protocol, serve
from query_api.statusbar import StatusBarApp
from storage.directory import Directory, KeyCache
from storage.errors import UnavailableError
from storage.stats import Database
from storage.stats.reader import StatsReader


@asynccontextmanager
async def serving(app, listener, **options):
    """Serve until the block ends; accepting when it begins."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve(app, listener, stop, ready.set, **options))
    await asyncio.wait_for(ready.wait(), 10)
    try:
        yield listener
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def unix_listener(path):
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


@asynccontextmanager
async def front_of(app, path, **options):
    """Give a client of a front that forwards to `app` behind the Unix socket `path`."""
    forwarder = Forwarder(str(path))
    async with serving(app, unix_listener(path), trusted_proxies="*"), client_of(forwarder, **options) as client:
        yield client
    await forwarder.aclose()


@asynccontextmanager
async def client_of(app, **options):
    async with serving(app, listen("127.0.0.1", 0), **options) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, timeout=10) as client:
            yield client


async def echo(scope, receive, send):
    """Answer with what arrived."""
    seen = {
        "method": scope["method"],
        "target": (scope["raw_path"] + b"?" + scope["query_string"]).decode(),
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "client": scope["client"],
        "scheme": scope["scheme"],
    }
    headers = [(b"content-type", b"application/json"), (b"x-answer", b"yes"), (b"keep-alive", b"timeout=9")]
    await send({"type": "http.response.start", "status": 418, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def test_a_request_reaches_the_query_process_byte_for_byte(tmp_path):
    async def run():
        async with front_of(echo, tmp_path / "q") as client:
            raw = b"/api/v1/users/a%2Fb%20c/stats?x=%7E&y=[1]|2&api_key=k"
            request = client.build_request(
                "GET", "/", headers={"Host": "time.example.org", "Authorization": "Bearer k"}
            )
            request.extensions["target"] = raw
            return (await client.send(request)), raw

    response, raw = asyncio.run(run())
    seen = response.json()
    assert response.status_code == 418
    assert seen["target"] == raw.decode()
    assert ["host", "time.example.org"] in seen["headers"]
    assert ["authorization", "Bearer k"] in seen["headers"]


def test_the_client_is_named_by_the_front_and_not_by_itself(tmp_path):
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.9"}

    async def run():
        async with front_of(echo, tmp_path / "q") as client:
            return (await client.get("/", headers=forged)).json()

    seen = asyncio.run(run())
    assert seen["client"][0] == "127.0.0.1"
    assert seen["scheme"] == "http"
    assert "203.0.113.9" not in json.dumps(seen)


def test_a_trusted_proxy_may_name_the_client(tmp_path):
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}

    async def run():
        async with front_of(echo, tmp_path / "q", trusted_proxies="127.0.0.1") as client:
            return (await client.get("/", headers=forwarded)).json()

    seen = asyncio.run(run())
    assert (seen["client"][0], seen["scheme"]) == ("203.0.113.9", "https")


def test_what_concerns_one_connection_only_is_not_handed_on(tmp_path):
    async def run():
        async with front_of(echo, tmp_path / "q") as client:
            return await client.get("/", headers={"Connection": "close, x-mine", "X-Mine": "1", "TE": "trailers"})

    response = asyncio.run(run())
    names = {name for name, _ in response.json()["headers"]}
    assert not names & {"x-mine", "te", "keep-alive"}
    assert response.headers["x-answer"] == "yes"
    assert "keep-alive" not in response.headers
    assert "server" not in response.headers
    assert len(response.headers.get_list("date")) == 1


def test_a_body_is_not_handed_on_and_the_connection_stays_usable(tmp_path):
    async def run():
        async with front_of(echo, tmp_path / "q") as client:
            first = await client.post("/plugins/errors", content=b"x" * 300_000)
            return first.json(), (await client.get("/after")).json()

    first, after = asyncio.run(run())
    assert first["method"] == "POST"
    assert not [value for name, value in first["headers"] if name == "content-length" and value != "0"]
    assert after["target"] == "/after?"


def test_an_answer_to_head_has_no_body(tmp_path):
    async def run():
        async with front_of(echo, tmp_path / "q") as client:
            return await client.head("/"), await client.get("/")

    head, get = asyncio.run(run())
    assert (head.status_code, head.content) == (418, b"")
    assert get.json()["method"] == "GET"


def test_an_answer_is_streamed_while_it_is_made(tmp_path):
    async def run():
        seen = asyncio.Event()

        async def slow(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first,", "more_body": True})
            await seen.wait()
            await send({"type": "http.response.body", "body": b"second"})

        async with front_of(slow, tmp_path / "q") as client, client.stream("GET", "/") as response:
            chunks = response.aiter_raw()
            first = await anext(chunks)
            seen.set()
            return first, b"".join([chunk async for chunk in chunks])

    assert asyncio.run(run()) == (b"first,", b"second")


def test_a_stream_ends_when_its_reader_hangs_up(tmp_path):
    async def run():
        stopped = asyncio.Event()

        async def endless(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            gone = asyncio.create_task(hang_up(receive))
            while not gone.done():
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                await asyncio.sleep(0)
            stopped.set()

        async def hang_up(receive):
            while (await receive())["type"] != "http.disconnect":
                pass

        async with front_of(endless, tmp_path / "q") as client:
            async with client.stream("GET", "/") as response:
                await anext(response.aiter_raw())
            await asyncio.wait_for(stopped.wait(), 10)

    asyncio.run(run())


def test_while_the_query_process_is_away_the_answer_is_503_and_later_it_is_well_again(tmp_path):
    path = tmp_path / "q"

    async def run():
        forwarder = Forwarder(str(path))
        async with client_of(forwarder) as client:
            answers = [await client.get("/")]
            for _ in range(2):  # it comes and goes: kept connections must not outlive it
                async with serving(echo, unix_listener(path)):
                    answers.append(await client.get("/"))
                answers.append(await client.get("/"))
        await forwarder.aclose()
        return answers

    answers = asyncio.run(run())
    assert [answer.status_code for answer in answers] == [503, 418, 503, 418, 503]
    assert answers[0].headers["retry-after"] == "1"
    assert list(answers[0].json()) == ["error"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
    ],
)
def test_a_head_without_end_is_refused_before_it_fills_the_memory(head):
    async def run():
        async with serving(echo, listen("127.0.0.1", 0)) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(head)
            answer = await reader.readuntil(b"\r\n\r\n"), await reader.read(1000)
            writer.close()
            return answer

    status, body = asyncio.run(run())
    assert status.startswith(b"HTTP/1.1 431 ")
    assert list(json.loads(body)) == ["error"]


def test_what_is_not_http_is_refused_in_our_shape():
    async def run():
        async with serving(echo, listen("127.0.0.1", 0)) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"\x16\x03\x01 hello\r\n\r\n")
            answer = await reader.read(1000)
            writer.close()
            return answer

    head, body = asyncio.run(run()).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert list(json.loads(body)) == ["error"]


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [(UnavailableError("The database is away."), 503, "5"), (RuntimeError("a bug"), 500, None)],
)
def test_what_fails_is_answered_in_our_shape_and_logged_without_the_query(caplog, error, status, retry_after):
    async def failing(scope, receive, send):
        raise error

    async def run():
        async with client_of(Guard(failing, "test", access_log=True)) as client:
            return await client.get("/api/x?api_key=secret")

    with caplog.at_level(logging.INFO):
        response = asyncio.run(run())
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    assert list(response.json()) == ["error"]
    assert str(error) not in response.text, "what broke, and where, is nobody's business"
    ours = [record.getMessage() for record in caplog.records if record.name != "httpx"]  # the test's own client
    assert any(line.startswith(f"GET /api/x {status} ") for line in ours)
    assert not [line for line in ours if "secret" in line]


def test_no_request_is_logged_unless_the_access_log_is_on(caplog):
    async def run():
        async with client_of(Guard(echo, "test", access_log=False)) as client:
            return await client.get("/api/x?api_key=secret")

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert [record for record in caplog.records if "/api/x" in record.getMessage() and record.name != "httpx"] == []


def test_a_stop_lets_a_request_under_way_finish():
    async def run():
        began, finish = asyncio.Event(), asyncio.Event()

        async def slow(scope, receive, send):
            began.set()
            await finish.wait()
            await echo(scope, receive, send)

        listener = listen("127.0.0.1", 0)
        stop, ready = asyncio.Event(), asyncio.Event()
        server = asyncio.create_task(serve(slow, listener, stop, ready.set))
        await ready.wait()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            request = asyncio.create_task(client.get("/"))
            await began.wait()
            stop.set()
            finish.set()
            response = await request
        await asyncio.wait_for(server, 10)
        return response

    assert asyncio.run(run()).status_code == 418


def test_a_request_that_a_stop_cannot_wait_for_is_answered_that_it_can_be_sent_again(caplog):
    async def run():
        begun = asyncio.Event()

        async def stuck(scope, receive, send):
            begun.set()
            await asyncio.Event().wait()

        listener = listen("127.0.0.1", 0)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, timeout=10) as client:
            async with serving(Guard(stuck, "test", access_log=False), listener):
                request = asyncio.create_task(client.get("/"))
                await begun.wait()
            return await request

    answer = asyncio.run(run())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"error": "The server is stopping, try again soon."}
    assert "Traceback" not in caplog.text


class NoIngest:
    def matches(self, *_):
        return False


@pytest.mark.parametrize(
    ("method", "path", "reason", "status"),
    [
        ("GET", "/up", None, 200),
        ("HEAD", "/up", None, 200),
        ("GET", "/up", "The disk is full.", 503),
        ("POST", "/up", None, 405),
        ("GET", "/other", None, 404),
    ],
)
def test_ingest_alone_tells_how_it_is(method, path, reason, status):
    async def run():
        alone = IngestAlone(NoIngest(), lambda: reason)
        async with client_of(Guard(alone, "test", access_log=False)) as client:
            return await client.request(method, path)

    response = asyncio.run(run())
    assert response.status_code == status
    if method != "HEAD":
        assert list(response.json()) == (["status"] if status == 200 else ["error"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/users/current/statusbar/today", 401),
        ("HEAD", "/api/v1/users/current/statusbar/today", 401),
        ("POST", "/api/v1/users/current/statusbar/today", 418),
        ("GET", "/api/v1/users/current/statusbar/tomorrow", 418),
    ],
)
def test_query_alone_spares_the_status_bar_the_framework(tmp_path, method, path, status):
    async def run():
        with Database(f"sqlite:///{tmp_path}/stats.db") as database, closing(StatsReader(database)) as reader:
            status_bar = StatusBarApp(reader, KeyCache(Directory(database)), "long", lambda: 0)
            alone = QueryAlone(status_bar, echo)
            async with client_of(Guard(alone, "test", access_log=False)) as client:
                return await client.request(method, path, headers={"Authorization": "Bearer unknown"})

    assert asyncio.run(run()).status_code == status


@pytest.mark.parametrize(
    ("began", "status"),
    [
        (b"", b""),
        (b"G", b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"HTTP/1.1 408 "),
    ],
)
def test_a_request_that_does_not_arrive_is_given_up(monkeypatch, began, status):
    monkeypatch.setattr(_Protocol, "head_within_s", 0.05)
    monkeypatch.setattr(_Protocol, "body_within_s", 0.05)
    gone = asyncio.Event()

    async def reading(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async def run():
        async with serving(reading, listen("127.0.0.1", 0)) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(began)
            answer = await asyncio.wait_for(reader.read(), 30)
            if began.startswith(b"POST"):
                await asyncio.wait_for(gone.wait(), 30)
            writer.close()
            return answer

    answer = asyncio.run(run())
    assert answer.startswith(status)
    assert bool(answer) == bool(status)
    if answer:
        assert list(json.loads(answer.partition(b"\r\n\r\n")[2])) == ["error"]


def test_an_answer_may_take_longer_than_its_request_may(monkeypatch):
    bound_s = 3
    monkeypatch.setattr(_Protocol, "head_within_s", bound_s)
    monkeypatch.setattr(_Protocol, "body_within_s", bound_s)

    async def slow(scope, receive, send):
        if scope["path"] == "/slow":
            await asyncio.sleep(bound_s + 0.5)  # the bounds are what must pass
        await echo(scope, receive, send)

    async def run():
        async with serving(slow, listen("127.0.0.1", 0)) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            for path in (b"/slow", b"/next"):  # on one connection: what is over is not counted against what follows
                writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" % path)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                assert head.startswith(b"HTTP/1.1 418 ")
                await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 30)
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_is_get_without_the_body(method):
    async def run():
        async with client_of(Guard(echo, "test", access_log=False)) as client:
            return await client.request(method, "/api/x"), (await client.get("/api/x")).headers

    response, headers = asyncio.run(run())
    assert response.status_code == 418
    assert response.headers["content-type"] == headers["content-type"]
    assert bool(response.content) == (method == "GET")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Host: x\r\nAuthorization: Bearer \r\n", b"418"),
        (b"Host: x\r\nAuthorization: \tBearer k \t\r\n", b"418"),
        (b"", b"418"),
        (b"Host: x\r\nHost: y\r\n", b"400"),
    ],
)
def test_what_is_wrong_with_a_request_is_not_blamed_on_the_query_process(tmp_path, headers, status):
    async def run():
        async with front_of(echo, tmp_path / "q") as client:
            reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
            writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n" + headers + b"\r\n")
            answer = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return answer

    answer = asyncio.run(run())
    assert answer.split()[1] == status
    if b"Bearer" in headers:
        assert b'"authorization", "Bearer' in answer
        assert b"Bearer " + b'"' not in answer
