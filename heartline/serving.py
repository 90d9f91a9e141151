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

HEAD_WITHIN_S: Final = 15.0
"""From a connection's or request's first byte to the end of its headers; plugins send them at once."""

BODY_WITHIN_S: Final = 60.0
"""From there to the end of the body: 1 MiB over 20 kB/s, the slowest of mobile networks."""

_MAX_CONNECTIONS: Final = 4096
_STOP_WITHIN_S: Final = 2  # for requests under way; a heartbeat takes milliseconds


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds on how large a head and how slow a request may be, and our shape of refusals."""

    head_within_s = HEAD_WITHIN_S
    body_within_s = BODY_WITHIN_S

    head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None  # while a request is expected or arriving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        super().connection_made(transport)
        self._expect(self.head_within_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._expect(self.head_within_s)
        super().data_received(data)

    def on_message_begin(self) -> None:
        if self._deadline is None:  # the second of two requests that came at once
            self._expect(self.head_within_s)
        self.head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._expect(self.body_within_s)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._expect(None)
        super().on_message_complete()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"431 Request Header Fields Too Large" if self._is_too_large else b"400 Bad Request", msg)

    @property
    def _is_too_large(self) -> bool:
        return self.head_bytes > MAX_HEAD_BYTES

    def _expect(self, within_s: float | None) -> None:
        """Give what comes next so much time; None: nothing is expected."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if within_s is None else self.loop.call_later(within_s, self._too_late)

    def _too_late(self) -> None:
        has_begun = bool(self.scope)  # unset before the first request
        is_answering = bool(self.cycle) and self.cycle.response_started and not self.cycle.response_complete
        if is_answering or not has_begun:
            self.transport.close()
        else:
            self._refuse(b"408 Request Timeout", "The request did not arrive in time.")

    def _refuse(self, status: bytes, error: str) -> None:
        body = json.dumps({"error": error}).encode()
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _count(self, size: int) -> None:
        self.head_bytes += size
        if self._is_too_large:
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
