"""Whom a path's username means (semantics.md, section 4)."""

from typing import Final

from query_api.access import Caller, Services
from query_api.errors import ApiError, invalid_key, user_not_found
from schemas.users import User

_OWN_NAMES: Final = frozenset({"current", "my"})
_MAX_ID: Final = 2**63 - 1


def find_named(services: Services, caller: Caller, name: str) -> User:
    """Find a user by id, else Slack id, else username; `current` and `my` are the caller. Raises 401 and 404."""
    if name in _OWN_NAMES:
        if caller.trusted_user is None:
            raise invalid_key()
        return caller.trusted_user
    directory = services.directory
    user = directory.by_id(int(name)) if _is_id(name) else None
    user = user or directory.by_slack_uid(name) or directory.by_username(name)
    if user is None:
        raise user_not_found()
    return user


def find_shown(services: Services, caller: Caller, name: str) -> User:
    """Find a user as `find_named` does, and refuse strangers where they show their stats to nobody: 403."""
    user = find_named(services, caller, name)
    known = caller.trusted_user
    if not user.public_stats and (known is None or known.user_id != user.user_id):
        raise ApiError(403, "user has disabled public stats")
    return user


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdecimal() and int(name) <= _MAX_ID
