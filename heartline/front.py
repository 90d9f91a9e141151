"""The front: heartbeats and the status bar are answered here, everything else by the query process behind it."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heartline.metrics import REQUEST_SECONDS
from heartline.serving import answer_error, answer_json
from ingest.app import IngestApp
from query_api.statusbar import StatusBarApp
from storage.errors import UnavailableError

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("heartline.access")

_RETRY_AFTER_S: Final = 5

# The one path with two owners: ingest has its POST (and refuses other methods), the read API WakaTime's GET.
_DAY_OF_HEARTBEATS: Final = re.compile(r"/api/(?:v1|compat/wakatime/v1)/users/[^/]+/heartbeats")


class Front:
    """A bare ASGI dispatcher: heartbeats and the status bar here, everything else to `otherwise`."""

    def __init__(self, ingest: IngestApp, status_bar: StatusBarApp, otherwise: ASGIApp) -> None:
        self._ingest = ingest
        self._status_bar = status_bar
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method, path = scope["method"], scope["path"]
        is_read = method == "GET" and _DAY_OF_HEARTBEATS.fullmatch(path) is not None
        if not is_read and self._ingest.matches(method, path):
            await self._ingest(scope, receive, send)
        elif self._status_bar.matches(method, path):
            await self._status_bar(scope, receive, send)
        else:
            await self._otherwise(scope, receive, send)


class IngestAlone:
    """Ingest with `/up`, as `heartline ingest` runs it; `ready` says why nothing can be taken now."""

    def __init__(self, ingest: IngestApp, ready: Callable[[], str | None]) -> None:
        self._ingest = ingest
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method, path = scope["method"], scope["path"]
        if self._ingest.matches(method, path):
            await self._ingest(scope, receive, send)
        elif path != "/up":
            await answer_error(send, 404, "There is nothing here: this process takes heartbeats only.")
        elif method != "GET":
            await answer_error(send, 405, "Use GET.", headers=[(b"allow", b"GET, HEAD")])
        elif reason := self._ready():
            await answer_error(send, 503, reason, retry_after_s=_RETRY_AFTER_S)
        else:
            await answer_json(send, 200, {"status": "ok"})


class QueryAlone:
    """The read API as `heartline query` runs it: the status bar, asked most, is spared the framework.

    In one process on PostgreSQL, on a busy machine, an answer took 0.95 and 1.33 ms of CPU with it, 0.49 and 0.47 ms
    without.
    """

    def __init__(self, status_bar: StatusBarApp, otherwise: ASGIApp) -> None:
        self._status_bar = status_bar
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answers = self._status_bar if self._status_bar.matches(scope["method"], scope["path"]) else self._otherwise
        await answers(scope, receive, send)


class Guard:
    """What surrounds every request: an answer in our shape for whatever fails, a metric, the access log if it is on."""

    def __init__(self, app: ASGIApp, service: str, *, access_log: bool) -> None:
        self._app = app
        self._service = service
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        reply = _Reply(send)
        started = time.perf_counter()
        try:
            await self._app(_as_get(scope), receive, reply)
        except UnavailableError as error:
            logger.warning("%s %s: %s", scope["method"], _shown(scope), error)
            # Where our places are is nobody's business.
            await reply.refuse(503, "This cannot be answered now, try again soon.", retry_after_s=_RETRY_AFTER_S)
        except asyncio.CancelledError:  # the server stops and has waited for long enough
            await reply.refuse(503, "The server is stopping, try again soon.", retry_after_s=_RETRY_AFTER_S)
        except Exception:
            logger.exception("%s %s failed", scope["method"], _shown(scope))
            await reply.refuse(500, "Something broke here; the log has the details.")
        took_s = time.perf_counter() - started
        REQUEST_SECONDS.labels(self._service, f"{reply.status // 100}xx").observe(took_s)
        if self._access_log:
            access_logger.info("%s %s %d %.1f ms", scope["method"], _shown(scope), reply.status, took_s * 1000)


class _Reply:
    """An answer under way, with the status that it began with (0: not yet)."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if not self.status:
            self.status = message["status"]
        await self._send(message)

    async def refuse(self, status: int, error: str, *, retry_after_s: int | None = None) -> None:
        if self.status:
            raise ConnectionError("The answer had begun already: the connection is cut.")
        await answer_error(self, status, error, retry_after_s=retry_after_s)


def _as_get(scope: Scope) -> Scope:
    """Give a HEAD request to whatever answers GET; the server, which knows better, sends the headers alone."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _shown(scope: Scope) -> str:
    """Give the path as sent, without the query string: still escaped, it cannot break a line of the log."""
    path: bytes = scope["raw_path"]
    return path.decode("ascii", "replace")
