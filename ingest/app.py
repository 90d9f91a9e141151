"""The two routes that take heartbeats, as a bare ASGI callable: nothing is between a plugin and the log."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from ingest.decode import Item, decode_bulk, decode_single
from ingest.errors import NotReadyError, RequestError, UnauthorizedError
from ingest.refusals import Refusals
from ingest.reply import (
    NOT_FOUND,
    READ_ELSEWHERE,
    WRITE_ONLY,
    Outcome,
    Reply,
    bulk_reply,
    error_reply,
    preflight_reply,
    send_reply,
    single_reply,
)
from ingest.request import DisconnectedError, Headers, address_of, header_text, headers_of, machine_name, read_body
from schemas.credentials import api_keys_of
from schemas.heartbeat import Heartbeat
from schemas.normalise import Context, RejectedError, normalise
from schemas.placeholders import resolve
from schemas.record import heartbeat_records
from schemas.users import User
from storage.errors import StorageError
from storage.log import LogWriter

_ROUTE: Final = re.compile(r"/api(?:/hackatime/v1|(/v1|/compat/wakatime/v1)|)/users/[^/]+/heartbeats(\.bulk)?")
_HEARTBEATS: Final = Counter("heartline_ingest_heartbeats", "Heartbeats by what became of them", ["outcome"])
_ACCEPTED: Final = _HEARTBEATS.labels("accepted")
_REJECTED: Final = _HEARTBEATS.labels("rejected")
_TRY_LATER: Final = "The heartbeats cannot be stored now; send them again later"


class Keys(Protocol):
    """Who owns a key; asked for every request, so it answers from memory where it can."""

    async def find(self, key: str) -> User | None:
        """Find a key's owner, or None for an unknown key. Raises `StorageError` when that cannot be told now."""


def _always_ready() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Limits:
    """What ingest takes.

    `ready` gives None, or the reason why nothing can be kept now (a disk that is nearly full); `retry_after_s` is what
    clients are told then.
    """

    max_body_bytes: int = 1024 * 1024  # 100 heartbeats of wakatime-cli have 40 KiB
    retry_after_s: int = 10
    ready: Callable[[], str | None] = _always_ready


class IngestApp:
    """`POST …/users/{id}/heartbeats` and `…/heartbeats.bulk` (semantics.md, section 2).

    The id in the path is ignored: the key alone tells the user. `clock` gives microseconds since the epoch.
    """

    def __init__(self, log: LogWriter, keys: Keys, limits: Limits, clock: Callable[[], int]) -> None:
        self._log = log
        self._keys = keys
        self._limits = limits
        self._clock = clock
        self._refusals = Refusals()

    def matches(self, method: str, path: str) -> bool:  # noqa: ARG002 - every method of these paths is answered here
        """Tell whether a request is for this application."""
        return _ROUTE.fullmatch(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; never before what it accepts is durable."""
        try:
            reply = await self._reply(scope, receive)
        except DisconnectedError:
            return
        except RequestError as error:
            reply = error_reply(error, self._limits.retry_after_s)
        except StorageError as error:
            self._refusals.note(error, self._clock())
            reply = error_reply(NotReadyError(_TRY_LATER), self._limits.retry_after_s)
        await send_reply(send, reply)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        route = _ROUTE.fullmatch(scope["path"])
        if route is None:
            return NOT_FOUND
        is_bulk = route[2] is not None
        if scope["method"] == "OPTIONS":
            return preflight_reply(dict(scope["headers"]).get(b"access-control-request-headers"))
        if scope["method"] != "POST":
            return WRITE_ONLY if is_bulk or route[1] is None else READ_ELSEWHERE
        headers = headers_of(scope)
        user = await self._owner(headers.authorization, scope["query_string"])
        if reason := self._limits.ready():
            raise NotReadyError(reason)
        body = await read_body(receive, headers.content_length, self._limits.max_body_bytes)
        items: Sequence[Item] = decode_bulk(body) if is_bulk else (decode_single(body),)
        outcomes = _normalised(items, user.user_id, self._context(scope, headers))
        outcomes = await self._kept(outcomes, user.user_id)
        return bulk_reply(outcomes, user.user_id) if is_bulk else single_reply(outcomes[0], user.user_id)

    async def _owner(self, authorization: bytes | None, query_string: bytes) -> User:
        for key in api_keys_of(authorization, query_string).keys:
            user = await self._keys.find(key)
            if user is not None:
                return user
        raise UnauthorizedError("Invalid API key")

    def _context(self, scope: Scope, headers: Headers) -> Context:
        return Context(
            created_at_us=self._clock(),
            machine=machine_name(headers.machine),
            user_agent=header_text(headers.user_agent),
            ip_address=address_of(scope),
        )

    async def _kept(self, outcomes: list[Outcome], user_id: int) -> list[Outcome]:
        """Make the accepted heartbeats durable; return all outcomes as they are to be shown."""
        accepted = [o for o in outcomes if isinstance(o, Heartbeat)]
        _REJECTED.inc(len(outcomes) - len(accepted))
        if not accepted:
            return outcomes
        await self._log.append(heartbeat_records(user_id, accepted))
        _ACCEPTED.inc(len(accepted))
        shown = iter(resolve(accepted, _nothing_stored, infer=False))
        return [o if isinstance(o, RejectedError) else next(shown) for o in outcomes]


def _normalised(items: Sequence[Item], user_id: int, context: Context) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for item in items:
        if isinstance(item, RejectedError):
            outcomes.append(item)
            continue
        try:
            outcomes.append(normalise(item, user_id, context))
        except RejectedError as rejected:
            outcomes.append(rejected)
    return outcomes


def _nothing_stored(_project: str) -> None:
    """Lend nothing: what is stored is the aggregator's to look up, an answer shows null for it."""
