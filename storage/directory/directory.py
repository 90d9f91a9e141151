"""The tables `users`, `api_keys` and `tombstones`, and the version that grows with every change to them."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypedDict, TypeVar, Unpack

import msgspec
import sqlalchemy as sa

from schemas.tables import api_keys, meta, segments, tombstones, users
from schemas.users import User
from storage.directory.fields import (
    MAX_USER_ID,
    TRUST_VALUES,
    DirectoryError,
    NewUser,
    check_api_key,
    check_field,
    check_new_user,
)
from storage.stats.database import Database

_Item = TypeVar("_Item")

_CHUNK: Final = 500
"""Values of one IN list: well below the bounds of SQLite and PostgreSQL."""

_HINT_CHARS: Final = 8
_UNIQUE: Final = ("username", "email", "slack_uid")
_OPTIONAL: Final = ("email", "slack_uid")
_USER_COLUMNS: Final = tuple(users.c[name] for name in User.__struct_fields__)


class Changes(TypedDict, total=False):
    """What `Directory.update` may change. The time zone is not here: it goes through the log (design.md)."""

    username: str
    email: str | None
    slack_uid: str | None
    trust_level: str
    trust_value: int
    public_stats: bool


class KeyInfo(msgspec.Struct, frozen=True):
    """A key, as far as it can still be told: its first characters."""

    user_id: int
    hint: str
    created_at_us: int


class Directory:
    """Users and their keys. Every changing call is one transaction, and adds 1 to `version()` in it.

    All calls raise `DirectoryError` for what the directory refuses and `UnavailableError` when the database is away.
    """

    def __init__(self, database: Database, clock_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._database = database
        self._clock_us = clock_us

    def add(self, user: NewUser) -> tuple[User, str]:
        """Add a user; return them with their key, which is not kept and cannot be shown again."""
        return self.import_users([user])[0]

    def import_users(self, new: Sequence[NewUser]) -> list[tuple[User, str]]:
        """Add all or none, in order; given ids and keys are kept."""
        for user in new:
            check_new_user(user)
        _refuse_repeats(new)
        if not new:
            return []
        with self._writing() as connection:
            _refuse_taken(connection, new)
            added = self._with_ids(connection, new)
            keys = [user.api_key or str(uuid.uuid4()) for user in new]
            connection.execute(sa.insert(users), [msgspec.structs.asdict(user) for user in added])
            pairs = list(zip(added, keys, strict=True))
            connection.execute(sa.insert(api_keys), [_key_row(u.user_id, key, u.created_at_us) for u, key in pairs])
        return pairs

    def by_id(self, user_id: int) -> User | None:
        """Find the user with this id."""
        return self._one(users.c.user_id == user_id) if 1 <= user_id <= MAX_USER_ID else None

    def is_removed(self, user_id: int) -> bool:
        """Tell whether this id was a user's who has been removed."""
        with self._database.reading() as connection:
            return _first_found(connection, tombstones.c.user_id, [user_id]) is not None

    def are_counted(self, user_ids: Sequence[int]) -> set[int]:
        """Tell for which of these ids heartbeats are counted, of users or not: a restored database may miss some."""
        found: set[int] = set()
        with self._database.reading() as connection:
            for start in range(0, len(user_ids), _CHUNK):
                mine = segments.c.user_id.in_(user_ids[start : start + _CHUNK])
                found.update(connection.scalars(sa.select(segments.c.user_id).where(mine).distinct()))
        return found

    def by_username(self, username: str) -> User | None:
        """Find the user with exactly this name."""
        return self._one(_is(users.c.username, username))

    def by_email(self, email: str) -> User | None:
        """Find the user with exactly this address."""
        return self._one(_is(users.c.email, email))

    def by_slack_uid(self, slack_uid: str) -> User | None:
        """Find the user with exactly this Slack id."""
        return self._one(_is(users.c.slack_uid, slack_uid))

    def by_key(self, key: str) -> User | None:
        """Find a key's owner."""
        return self.by_key_hash(hash_key(key))

    def by_key_hash(self, key_hash: bytes) -> User | None:
        """Find the owner of the key with this SHA-256."""
        return self._one(users.c.user_id == api_keys.c.user_id, api_keys.c.key_hash == key_hash)

    def all(self) -> list[User]:
        """List the users by id."""
        with self._database.reading() as connection:
            found = connection.execute(sa.select(*_USER_COLUMNS).order_by(users.c.user_id))
            return [User(**row._mapping) for row in found]  # noqa: SLF001 - SQLAlchemy's public name has this form

    def all_keys(self) -> list[KeyInfo]:
        """List all keys by user and age."""
        columns = (api_keys.c.user_id, api_keys.c.hint, api_keys.c.created_at_us)
        with self._database.reading() as connection:
            found = connection.execute(sa.select(*columns).order_by(api_keys.c.user_id, api_keys.c.created_at_us))
            return [KeyInfo(*row) for row in found]

    def update(self, user_id: int, **changes: Unpack[Changes]) -> User:
        """Change some fields of a user; a new trust level brings its own value where none is given."""
        values: dict[str, Any] = dict(changes)  # Any: each column has a type of its own
        for name, value in values.items():
            if name not in Changes.__annotations__:
                raise DirectoryError(f"{name} cannot be changed here.")
            if value is not None:
                check_field(name, value)
            elif name not in _OPTIONAL:
                raise DirectoryError(f"{name} cannot be left out.")
        if "trust_level" in values:
            values.setdefault("trust_value", TRUST_VALUES[values["trust_level"]])
        with self._writing() as connection:
            _refuse_taken_by_others(connection, user_id, values)
            values["modified_at_us"] = self._clock_us()
            _update_user(connection, user_id, values)
            found = connection.execute(sa.select(*_USER_COLUMNS).where(users.c.user_id == user_id)).one()
            return User(**found._mapping)  # noqa: SLF001 - SQLAlchemy's public name has this form

    def add_key(self, user_id: int, key: str | None = None) -> str:
        """Give a user one more key, a new one unless given; return it: it cannot be shown again."""
        key = key or str(uuid.uuid4())
        check_api_key(key)
        with self._writing() as connection:
            if connection.scalar(sa.select(users.c.user_id).where(users.c.user_id == user_id)) is None:
                raise DirectoryError(f"There is no user with id {user_id}.")
            _refuse_taken_keys(connection, [key])
            connection.execute(sa.insert(api_keys), [_key_row(user_id, key, self._clock_us())])
        return key

    def revoke_key(self, user_id: int, key: str) -> None:
        """Revoke one of a user's keys, given whole or by its first characters where they name only one."""
        mine = api_keys.c.user_id == user_id
        with self._writing() as connection:
            found = connection.execute(sa.select(api_keys.c.key_hash, api_keys.c.hint).where(mine)).all()
            meant = [h for h, _ in found if h == hash_key(key)] or [h for h, hint in found if hint == key]
            if len(meant) != 1:
                raise DirectoryError(
                    "Several keys of this user begin so: give the whole key." if meant else "The user has no such key."
                )
            connection.execute(sa.delete(api_keys).where(api_keys.c.key_hash == meant[0]))

    def version(self) -> int:
        """Tell how many changes there have been."""
        with self._database.reading() as connection:
            value = connection.scalar(sa.select(meta.c.value).where(meta.c.name == "directory_version"))
        return int(value or 0)

    def _one(self, *conditions: sa.ColumnElement[bool]) -> User | None:
        with self._database.reading() as connection:
            found = connection.execute(sa.select(*_USER_COLUMNS).where(*conditions)).one_or_none()
        return None if found is None else User(**found._mapping)  # noqa: SLF001 - SQLAlchemy's public name

    def _with_ids(self, connection: sa.Connection, new: Sequence[NewUser]) -> list[User]:
        now_us = self._clock_us()
        last = max([_last_id(connection), *(user.user_id for user in new if user.user_id is not None)])
        added = []
        for user in new:
            if user.user_id is None:
                last += 1
            if last > MAX_USER_ID:
                raise DirectoryError(f"There is no id left below {MAX_USER_ID}: give one with user_id.")
            added.append(_as_user(user, last if user.user_id is None else user.user_id, now_us))
        return added

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._database.writing() as connection:
            bump_version(connection)  # first: this row keeps every other change waiting until this one is through
            yield connection


def _is(column: sa.Column[Any], text: str) -> sa.ColumnElement[bool]:  # Any: some are null, some never
    """Compare with what a request says: no stored text has a NUL, and PostgreSQL refuses to look for one."""
    return sa.false() if "\0" in text else column == text


def hash_key(key: str) -> bytes:
    """Return a key's SHA-256: the only form in which keys are kept."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def set_zone(connection: sa.Connection, user_id: int, zone: str, now_us: int) -> None:
    """Switch a user's time zone, in the aggregator's transaction that moves the watermark over the command."""
    check_field("timezone", zone)
    bump_version(connection)
    _update_user(connection, user_id, {"timezone": zone, "modified_at_us": now_us})


def remove_user(connection: sa.Connection, user_id: int, now_us: int) -> None:
    """Remove a user and their keys and leave a tombstone, in a transaction of the aggregator; may be repeated."""
    bump_version(connection)
    connection.execute(sa.delete(api_keys).where(api_keys.c.user_id == user_id))
    connection.execute(sa.delete(users).where(users.c.user_id == user_id))
    buried = connection.scalar(sa.select(tombstones.c.user_id).where(tombstones.c.user_id == user_id))
    if buried is None:
        connection.execute(sa.insert(tombstones).values(user_id=user_id, removed_at_us=now_us))


def bump_version(connection: sa.Connection) -> None:
    """Tell every `KeyCache` that users or keys change with this transaction; other changes wait for its end.

    It comes before anything else that a transaction does to the directory, so that no two wait for each other.
    """
    counted = sa.cast(sa.cast(meta.c.value, sa.BigInteger) + 1, sa.Text)
    connection.execute(sa.update(meta).where(meta.c.name == "directory_version").values(value=counted))


def _update_user(connection: sa.Connection, user_id: int, values: dict[str, Any]) -> None:
    # Any: each column has a type of its own.
    changed = connection.execute(sa.update(users).where(users.c.user_id == user_id).values(**values))
    if changed.rowcount != 1:
        raise DirectoryError(f"There is no user with id {user_id}.")


def _as_user(user: NewUser, user_id: int, now_us: int) -> User:
    return User(
        user_id=user_id,
        username=user.username,
        timezone=user.timezone,
        email=user.email,
        slack_uid=user.slack_uid,
        trust_level=user.trust_level,
        trust_value=TRUST_VALUES[user.trust_level] if user.trust_value is None else user.trust_value,
        public_stats=user.public_stats,
        created_at_us=now_us,
        modified_at_us=now_us,
    )


def _key_row(user_id: int, key: str, now_us: int) -> dict[str, object]:
    # A short key would be given away by its first eight characters.
    hint = key[: min(_HINT_CHARS, len(key) // 4)]
    return {"key_hash": hash_key(key), "user_id": user_id, "hint": hint, "created_at_us": now_us}


def _last_id(connection: sa.Connection) -> int:
    # Heartbeats of somebody whom a restored backup of the directory does not know are not the next user's.
    queries = (sa.select(sa.func.max(table.c.user_id)) for table in (users, tombstones, segments))
    return max(connection.scalar(query) or 0 for query in queries)


def _refuse_repeats(new: Sequence[NewUser]) -> None:
    for name in ("user_id", *_UNIQUE, "api_key"):
        seen: set[object] = set()
        for user in new:
            value = getattr(user, name)
            if value is not None and value in seen:
                shown = "An api_key" if name == "api_key" else f"{name} {value!r}"
                raise DirectoryError(f"{shown} is given twice; the second time for user {user.username}.")
            seen.add(value)


def _refuse_taken(connection: sa.Connection, new: Sequence[NewUser]) -> None:
    for name in _UNIQUE:
        given = [value for user in new if (value := getattr(user, name)) is not None]
        if taken := _first_found(connection, users.c[name], given):
            raise DirectoryError(f"{name} {taken!r} is taken.")
    ids = [user.user_id for user in new if user.user_id is not None]
    if taken := _first_found(connection, users.c.user_id, ids):
        raise DirectoryError(f"user_id {taken} is taken.")
    if removed := _first_found(connection, tombstones.c.user_id, ids):
        raise DirectoryError(f"user_id {removed} belonged to a removed user: ids are never given twice.")
    _refuse_taken_keys(connection, [user.api_key for user in new if user.api_key is not None])


def _refuse_taken_keys(connection: sa.Connection, keys: Iterable[str]) -> None:
    by_hash = {hash_key(key): key for key in keys}
    if _first_found(connection, api_keys.c.key_hash, list(by_hash)):
        raise DirectoryError("An api_key is taken: every key has one owner.")


def _refuse_taken_by_others(connection: sa.Connection, user_id: int, values: dict[str, Any]) -> None:
    # Any: each column has a type of its own.
    for name in _UNIQUE:
        value = values.get(name)
        owner = connection.scalar(sa.select(users.c.user_id).where(users.c[name] == value)) if value else None
        if owner not in (None, user_id):
            raise DirectoryError(f"{name} {value!r} is taken.")


def _first_found(connection: sa.Connection, column: sa.Column[_Item], values: Sequence[_Item]) -> _Item | None:
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        found = connection.scalar(sa.select(column).where(column.in_(chunk)).limit(1))
        if found is not None:
            return found
    return None
