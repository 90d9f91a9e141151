"""The owners of keys, in memory: what ingest and the status bar ask for every request."""

import asyncio
from typing import Final, TypeVar

from schemas.users import User
from storage.directory.directory import Directory, hash_key
from storage.directory.fields import MAX_TEXT

_Value = TypeVar("_Value")

_MAX_OWNERS: Final = 100_000
_MAX_STRANGERS: Final = 10_000
"""Unknown keys have a bound of their own, so that guessing keys cannot push out the real ones."""


class KeyCache:
    """Who owns a key. Services call `refresh` every 0.5 s: a change in the directory takes effect within 2 s."""

    def __init__(
        self, directory: Directory, *, max_owners: int = _MAX_OWNERS, max_strangers: int = _MAX_STRANGERS
    ) -> None:
        self._directory = directory
        self._max_owners = max_owners
        self._max_strangers = max_strangers
        self._version = directory.version()
        self._owners: dict[bytes, User] = {}
        self._strangers: dict[bytes, None] = {}

    async def find(self, key: str) -> User | None:
        """Do as `owner` without keeping an event loop waiting: what is not in memory is asked for in a thread."""
        hashed, user = self._remembered(key)
        return user if hashed is None else await asyncio.to_thread(self._ask, hashed)

    def owner(self, key: str) -> User | None:
        """Return the key's owner, None for an unknown key. Raises `UnavailableError` when the database is away."""
        hashed, user = self._remembered(key)
        return user if hashed is None else self._ask(hashed)

    def _remembered(self, key: str) -> tuple[bytes | None, User | None]:
        """Give the owner as far as is known without asking; what to ask for, where it is not."""
        if not 1 <= len(key) <= MAX_TEXT:
            return None, None
        hashed = hash_key(key)
        user = self._owners.get(hashed)
        is_known = user is not None or hashed in self._strangers
        return None if is_known else hashed, user

    def _ask(self, hashed: bytes) -> User | None:
        # Held here, a dict that `refresh` replaces meanwhile takes the stale answer with it.
        owners, strangers = self._owners, self._strangers
        user = self._directory.by_key_hash(hashed)
        if user is None:
            _remember(strangers, hashed, None, self._max_strangers)
        else:
            _remember(owners, hashed, user, self._max_owners)
        return user

    def refresh(self) -> None:
        """Forget everything if the directory has changed. Raises `UnavailableError`."""
        version = self._directory.version()
        if version != self._version:
            self._owners, self._strangers = {}, {}
            self._version = version


def _remember(known: dict[bytes, _Value], hashed: bytes, value: _Value, limit: int) -> None:
    while len(known) >= limit:
        known.pop(next(iter(known)), None)
    known[hashed] = value
