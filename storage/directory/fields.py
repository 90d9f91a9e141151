"""What each field of a user may hold, and how it is refused."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from schemas.calendars import is_zone
from schemas.users import TRUST_LEVELS
from storage.errors import StorageError

MAX_TEXT: Final = 255
"""Characters of a username, email, slack uid or key: what an index, a URL and a header line take without trouble."""

MAX_USER_ID: Final = 2**53 - 1
"""Ids appear as JSON numbers, which many readers keep as doubles."""

TRUST_VALUES: Final = {"blue": 0, "red": 1, "green": 2, "yellow": 3}
"""The number that goes with a level where none is given (semantics.md, section 5)."""

_RESERVED_NAMES: Final = frozenset({"current", "my", ".", ".."})
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_PRINTABLE_ASCII: Final = re.compile(r"[!-~]+")


class DirectoryError(StorageError):
    """A user, key or field that the directory refuses; the text names it and what is wrong."""


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user to add. Without `user_id` the next free one is given, without `api_key` a new key."""

    username: str
    user_id: int | None = None
    email: str | None = None
    slack_uid: str | None = None
    timezone: str = "UTC"
    api_key: str | None = None
    trust_level: str = "blue"
    trust_value: int | None = None
    public_stats: bool = True


def check_new_user(user: NewUser) -> None:
    """Raise `DirectoryError` for the first field that holds what it may not."""
    try:
        for name in NewUser.__struct_fields__:
            value = getattr(user, name)
            if value is not None:
                check_field(name, value)
    except DirectoryError as error:
        shown = user.username if user.username.isprintable() else ascii(user.username)
        raise DirectoryError(f"User {shown[:MAX_TEXT]}: {error}") from error


def check_field(name: str, value: Any) -> None:  # Any: each field has a type of its own
    """Raise `DirectoryError` if field `name` may not hold `value`."""
    if check := _CHECKS.get(name):
        check(value)


def check_api_key(key: str) -> None:
    """Raise `DirectoryError` for a key that no HTTP header could carry."""
    if not (1 <= len(key) <= MAX_TEXT and _PRINTABLE_ASCII.fullmatch(key)):
        raise DirectoryError(f"api_key must be 1 to {MAX_TEXT} printable ASCII characters without blanks.")


def _check_username(name: str) -> None:
    if not 1 <= len(name) <= MAX_TEXT or not name.strip() or not name.isprintable() or "/" in name:
        raise DirectoryError(f'username must be 1 to {MAX_TEXT} printable characters without "/".')
    if name.casefold() in _RESERVED_NAMES:
        raise DirectoryError(f"username cannot be {name!r}: paths use it for the key's owner.")


def _check_email(email: str) -> None:
    if len(email) > MAX_TEXT or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise DirectoryError(f"email must be an address of at most {MAX_TEXT} characters, such as me@example.org.")


def _check_slack_uid(uid: str) -> None:
    if not (1 <= len(uid) <= MAX_TEXT and _PRINTABLE_ASCII.fullmatch(uid)) or "/" in uid:
        raise DirectoryError(f'slack_uid must be 1 to {MAX_TEXT} printable ASCII characters without "/" and blanks.')


def _check_user_id(user_id: int) -> None:
    if not 1 <= user_id <= MAX_USER_ID:
        raise DirectoryError(f"user_id must be between 1 and {MAX_USER_ID}.")


def _check_timezone(zone: str) -> None:
    if not is_zone(zone):
        raise DirectoryError(f"timezone {zone[:MAX_TEXT]!r} is unknown: use an IANA name such as Europe/Berlin or UTC.")


def _check_trust_level(level: str) -> None:
    if level not in TRUST_LEVELS:
        raise DirectoryError(f"trust_level {level[:MAX_TEXT]!r} is unknown: use one of {', '.join(TRUST_LEVELS)}.")


def _check_trust_value(value: int) -> None:
    if not -(2**63) <= value < 2**63:
        raise DirectoryError("trust_value must fit into 64 bits.")


_CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "username": _check_username,
    "user_id": _check_user_id,
    "email": _check_email,
    "slack_uid": _check_slack_uid,
    "timezone": _check_timezone,
    "api_key": check_api_key,
    "trust_level": _check_trust_level,
    "trust_value": _check_trust_value,
}
