"""What a request may use, and on whose behalf it asks (semantics.md, section 1)."""

import dataclasses
import hmac
from collections.abc import Callable
from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from query_api.config import QueryConfig
from query_api.errors import invalid_key
from query_api.scans import Scans
from query_api.statusbar import Keys, StatusBarApp
from schemas.credentials import api_keys_of
from schemas.users import User
from storage.directory import Directory
from storage.history import History
from storage.stats.reader import StatsReader


@dataclasses.dataclass(frozen=True)
class Services:
    """The parts that answers are made from. `clock` gives microseconds since the epoch."""

    config: QueryConfig
    reader: StatsReader
    directory: Directory
    history: History
    keys: Keys
    statusbar: StatusBarApp
    scans: Scans
    clock: Callable[[], int]


class Caller(NamedTuple):
    """Who asks: a user, the operator, or nobody known."""

    user: User | None = None
    is_operator: bool = False

    @property
    def trusted_user(self) -> User | None:
        """The user, unless convicted: those are known to the plugins' own routes alone."""
        return None if self.user is None or self.user.is_red else self.user


async def services_of(request: Request) -> Services:
    """Give a handler the services of its app."""
    services: Services = request.app.state.services
    return services


UsedServices = Annotated[Services, Depends(services_of)]


async def caller_of(request: Request, services: UsedServices) -> Caller:
    """Tell who asks; nobody, where there is no key. A key that is given and wrong is refused on every route: 401."""
    authorization = request.headers.get("authorization")
    header = None if authorization is None else authorization.encode("latin-1")
    credentials = api_keys_of(header, request.scope["query_string"])
    for key in credentials.keys:
        if _is_operators(key, services.config.stats_api_key):
            return Caller(is_operator=True)
        user = await services.keys.find(key)
        if user is not None:
            return Caller(user)
    if credentials.given:
        raise invalid_key()
    return Caller()


AnyCaller = Annotated[Caller, Depends(caller_of)]


async def plugin_user_of(caller: AnyCaller) -> User:
    """Require a user's key, convicted users' included. Raises 401."""
    if caller.user is None:
        raise invalid_key()
    return caller.user


async def user_of(caller: AnyCaller) -> User:
    """Require the key of a user in good standing. Raises 401."""
    if caller.trusted_user is None:
        raise invalid_key()
    return caller.trusted_user


PluginUser = Annotated[User, Depends(plugin_user_of)]
KnownUser = Annotated[User, Depends(user_of)]


def _is_operators(key: str, operators: str | None) -> bool:
    return operators is not None and hmac.compare_digest(key.encode(), operators.encode())
