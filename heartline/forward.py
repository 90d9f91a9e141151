"""Handing a request on to the query process over its Unix socket, streaming the answer back."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Final

import httpx
from starlette.types import Receive, Scope, Send

from heartline.serving import Header, answer_error

logger = logging.getLogger(__name__)

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What the front says itself: nothing behind it reads a body, and a client does not choose its own address.
_REPLACED: Final = frozenset(
    {b"content-length", b"expect", b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
)
_TIMEOUT: Final = httpx.Timeout(60, connect=2, pool=5)
_LIMITS: Final = httpx.Limits(max_connections=128, max_keepalive_connections=32, keepalive_expiry=30)


class Forwarder:
    """An ASGI application that is another one's shadow: the query process behind `socket_path`.

    While that process is away the answer is 503 with Retry-After.
    """

    def __init__(self, socket_path: str) -> None:
        self._transport = httpx.AsyncHTTPTransport(uds=socket_path, limits=_LIMITS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request; bodies are left out, since every route behind is read-only."""
        request = httpx.Request(
            scope["method"],
            httpx.URL("http://query"),
            headers=_request_headers(scope),
            extensions={"target": _target(scope), "timeout": _TIMEOUT.as_dict()},
        )
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.LocalProtocolError as error:
            await answer_error(send, 400, f"The request cannot be read: {error}")
            return
        except httpx.TransportError as error:
            logger.warning("The query process does not answer: %s", type(error).__name__)
            await answer_error(send, 503, "The read API is starting: try again in a second.", retry_after_s=1)
            return
        try:
            await _unless_gone(_send_back(response, send), receive)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connections to the query process."""
        await self._transport.aclose()


async def _unless_gone(sending: Coroutine[None, None, None], receive: Receive) -> None:
    """Send an answer, and stop when its reader hangs up: a stream can be long."""
    tasks = asyncio.create_task(sending), asyncio.create_task(_hang_up(receive))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0] in done:
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_back(response: httpx.Response, send: Send) -> None:
    headers = [header for header in _end_to_end(response.headers.raw) if header[0].lower() not in (b"server", b"date")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    async for chunk in response.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _request_headers(scope: Scope) -> list[Header]:
    client = scope.get("client")
    # A blank at a value's end, as of `Bearer $UNSET`, is no part of it; the server in front leaves it there.
    kept = [(name, value.strip(b" \t")) for name, value in _end_to_end(scope["headers"]) if name not in _REPLACED]
    kept.append((b"x-forwarded-proto", scope["scheme"].encode()))
    if client:
        kept.append((b"x-forwarded-for", client[0].encode()))
    return kept


def _end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Drop what concerns one connection only, and what the Connection header names."""
    listed = list(headers)
    named = {
        token.strip().lower() for name, value in listed if name.lower() == b"connection" for token in value.split(b",")
    }
    return [header for header in listed if header[0].lower() not in _HOP_BY_HOP | named]


def _target(scope: Scope) -> bytes:
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path
