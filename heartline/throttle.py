"""Limits on requests: so many a minute for each key and each address, counted in this process's memory."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from heartline.serving import answer_error
from schemas.credentials import api_keys_of
from storage.directory import hash_key

MAX_BUCKETS: Final = 100_000
"""Keys, and addresses, that are remembered: some 20 MB of each."""

_FREE_PATHS: Final = frozenset({"/up", "/metrics"})  # a monitor must not be told that all is lost
_MINUTE_US: Final = 60_000_000
_SECOND_US: Final = 1_000_000
_NETWORK_BYTES: Final = 8  # of an IPv6 address: one customer has at least a /64
_LONGEST_ADDRESS: Final = 45  # characters; a proxy may name anything


class Buckets:
    """A token bucket for each name: `per_minute` tokens at most, which come back evenly.

    A bucket is one number, the instant at which it will be full again. Instants are in microseconds times `per_minute`:
    integers, exact for every limit. Where there are more than `most`, the one that was used least recently is
    forgotten, which fills it.
    """

    def __init__(self, per_minute: int, most: int = MAX_BUCKETS) -> None:
        self._per_minute = per_minute
        self._most = most
        self._full_at: OrderedDict[bytes | str, int] = OrderedDict()

    def wait_us(self, name: bytes | str, now_us: int) -> int:
        """Tell how long it takes until `name` has a token; 0: it has one."""
        missing = self._full_at.get(name, 0) - now_us * self._per_minute
        too_many = missing - _MINUTE_US * (self._per_minute - 1)
        return max(0, -(-too_many // self._per_minute))

    def take(self, name: bytes | str, now_us: int) -> None:
        """Take a token that `name` has."""
        self._full_at[name] = max(self._full_at.get(name, 0), now_us * self._per_minute) + _MINUTE_US
        self._full_at.move_to_end(name)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)


class Throttle:
    """An ASGI application that answers 429 to whoever asks `app` too often.

    A refused request takes nothing, so that who waits as long as `Retry-After` says is answered. `clock` gives
    microseconds since any instant.
    """

    def __init__(
        self,
        app: ASGIApp,
        per_key: Buckets | None,
        per_address: Buckets | None,
        clock: Callable[[], int],
    ) -> None:
        self._app = app
        self._per_key = per_key
        self._per_address = per_address
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "OPTIONS" and scope["path"] not in _FREE_PATHS:
            wait_us = self._admit(scope)
            if wait_us:
                wait_s = -(-wait_us // _SECOND_US)
                await answer_error(send, 429, f"Too many requests: try again in {wait_s} s.", retry_after_s=wait_s)
                return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> int:
        """Take a token from each of a request's buckets; where one has none, from none, and tell the wait."""
        now_us = self._clock()
        asked = self._buckets_of(scope)
        wait_us = max((buckets.wait_us(name, now_us) for buckets, name in asked), default=0)
        if not wait_us:
            for buckets, name in asked:
                buckets.take(name, now_us)
        return wait_us

    def _buckets_of(self, scope: Scope) -> list[tuple[Buckets, bytes | str]]:
        """Name the buckets of a request: of all that its key may be, so that a key is one key in whatever form."""
        asked: list[tuple[Buckets, bytes | str]] = []
        if self._per_key is not None:
            authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
            keys = api_keys_of(authorization, scope["query_string"]).keys
            asked += [(self._per_key, hash_key(key)) for key in keys]
        if self._per_address is not None and (client := scope.get("client")):
            asked.append((self._per_address, network_of(client[0])))
        return asked


def throttled(app: ASGIApp, *, per_key: int, per_address: int) -> ASGIApp:
    """Limit the requests a minute to `app`; 0: not at all. Where there is no limit, nothing comes between."""
    if not per_key and not per_address:
        return app
    return Throttle(
        app,
        Buckets(per_key) if per_key else None,
        Buckets(per_address) if per_address else None,
        lambda: time.monotonic_ns() // 1000,
    )


def network_of(address: str) -> bytes | str:
    """Tell what counts as one sender: an IPv4 address, the /64 of an IPv6 one, the text of anything else."""
    if ":" not in address:
        return address[:_LONGEST_ADDRESS]
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address[:_LONGEST_ADDRESS]
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:_NETWORK_BYTES]
