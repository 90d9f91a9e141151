"""Running an ASGI application under uvicorn, bounded, until it is told to stop."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Header = tuple[bytes, bytes]

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together; wakatime-cli's are below 1 KiB."""

_MAX_CONNECTIONS: Final = 4096
_STOP_WITHIN_S: Final = 2  # for requests under way; a heartbeat takes milliseconds


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with a bound on the request's head, and refusals in our error shape."""

    head_bytes = 0

    def on_message_begin(self) -> None:
        self.head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        status = b"431 Request Header Fields Too Large" if self.head_bytes > MAX_HEAD_BYTES else b"400 Bad Request"
        body = json.dumps({"error": msg}).encode()
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _count(self, size: int) -> None:
        self.head_bytes += size
        if self.head_bytes > MAX_HEAD_BYTES:
            raise ValueError("The request's head is too large.")


class _Server(uvicorn.Server):
    """A server that leaves signals to the process and tells when it accepts."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    stop: asyncio.Event,
    ready: Callable[[], None],
    *,
    trusted_proxies: str = "",
    keep_alive_s: int = 75,
) -> None:
    """Serve `app` at `listener` until `stop` is set, then finish the requests under way.

    `trusted_proxies`: whose X-Forwarded-For and -Proto count, comma-separated; "*": everybody's.
    """
    config = uvicorn.Config(
        app,
        loop="none",
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # uvicorn's would print query strings, and with them keys
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies or None,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=_STOP_WITHIN_S,
    )
    server = _Server(config, ready)
    serving = asyncio.create_task(server.serve([listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


async def answer_error(
    send: Send, status: int, error: str, *, retry_after_s: int | None = None, headers: Sequence[Header] = ()
) -> None:
    """Answer in the one error shape."""
    waiting = [] if retry_after_s is None else [(b"retry-after", str(retry_after_s).encode())]
    await answer_json(send, status, {"error": error}, headers=[*headers, *waiting])


async def answer_json(send: Send, status: int, answer: object, *, headers: Sequence[Header] = ()) -> None:
    """Answer with one JSON value."""
    body = json.dumps(answer).encode()
    common = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"access-control-allow-origin", b"*"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *headers]})
    await send({"type": "http.response.body", "body": body})
