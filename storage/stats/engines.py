"""Connections to the two databases: how each is opened, how its transactions begin, and what its errors become.

Every error that is not the fault of a statement or its data becomes `UnavailableError` here, for all callers.
"""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from storage.errors import UnavailableError


class Mode(enum.Enum):
    """What a connection is for."""

    READING = enum.auto()  # one snapshot
    WRITING = enum.auto()
    STATEMENTS = enum.auto()  # no transaction


_BUSY_TIMEOUT_S: Final = 10

_SQLITE_BEGIN: Final = "heartline_begin"
_SQLITE_MODES: Final[Mapping[Mode, Mapping[str, Any]]] = {  # Any: SQLAlchemy's options have types of their own
    Mode.READING: {_SQLITE_BEGIN: "BEGIN"},
    Mode.WRITING: {_SQLITE_BEGIN: "BEGIN IMMEDIATE"},
    Mode.STATEMENTS: {_SQLITE_BEGIN: None},
}

_POSTGRES_MODES: Final[Mapping[Mode, Mapping[str, Any]]] = {  # Any: as above
    Mode.READING: {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    # Whoever writes begins with the row that all its rivals begin with, and so sees what they have committed.
    Mode.WRITING: {"isolation_level": "READ COMMITTED"},
    Mode.STATEMENTS: {"isolation_level": "AUTOCOMMIT"},
}

_POSTGRES_SETTINGS: Final = {
    "synchronous_commit": "on",  # what is committed survives power loss
    "statement_timeout": "60s",  # the longest, a rebuild's, takes seconds
    "lock_timeout": f"{_BUSY_TIMEOUT_S}s",
    # A process that is frozen within a transaction must not keep its shard's row from the next owner for long.
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
}

_POSTGRES_CONNECT: Final[Mapping[str, str | int]] = {
    "application_name": "heartline",
    "connect_timeout": 5,
    # A server that is gone without a word is noticed within 20 s.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

_LIMIT_EXCEEDED: Final = "54"  # a class of PostgreSQL's errors: data that it cannot take, such as too long a key

_POOL_SIZE: Final = 8
_POOL_OVERFLOW: Final = 8
"""16 connections of a process at most: PostgreSQL's customary 100 serve six of them."""

_POOL_TIMEOUT_S: Final = 5


def make_engine(url: sa.URL) -> sa.Engine:
    """Give the engine, with its pool of connections, of a database. Raises `KeyError` for an unknown kind of URL."""
    engine = {"sqlite": _sqlite_engine, "postgresql": _postgres_engine}[url.get_backend_name()](url)
    sa.event.listen(engine, "handle_error", _translate)
    return engine


def modes_of(engine: sa.Engine) -> dict[Mode, sa.Engine]:
    """Give an engine for each mode, all on the pool of `engine`."""
    modes = _SQLITE_MODES if engine.dialect.name == "sqlite" else _POSTGRES_MODES
    return {mode: engine.execution_options(**options) for mode, options in modes.items()}


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False}, hide_parameters=True
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:  # Any: SQLAlchemy's name for what the driver gives
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    if begin := connection.get_execution_options().get(_SQLITE_BEGIN):
        connection.exec_driver_sql(begin)


def _postgres_engine(url: sa.URL) -> sa.Engine:
    given = url.normalized_query.get("options", ())
    options = " ".join([*given, *(f"-c {name}={value}" for name, value in _POSTGRES_SETTINGS.items())])
    defaults = {name: value for name, value in _POSTGRES_CONNECT.items() if name not in url.query}
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={**defaults, "options": options},
        hide_parameters=True,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=True,  # after a restart of the server nobody is served an old connection
    )


def translated(error: Exception | None) -> Exception | None:
    """Give what callers are to see in place of an error; None: the error itself.

    `UnavailableError` for every failure that is not the fault of a statement or its data.
    """
    if not isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError)):
        return None
    if (getattr(error.orig, "sqlstate", None) or "").startswith(_LIMIT_EXCEEDED):
        return sa.exc.DataError(error.statement, None, error.orig or error, hide_parameters=True)
    return UnavailableError(f"The stats database is unavailable: {_reason(error)}.")


def _translate(context: sa.engine.ExceptionContext) -> Exception | None:
    return translated(context.sqlalchemy_exception)


def _reason(error: sa.exc.DBAPIError) -> str:
    """Give the driver's words without what they may quote of rows: their first line."""
    diagnostics = getattr(error.orig, "diag", None)
    primary: str | None = getattr(diagnostics, "message_primary", None)
    return (primary or str(error.orig).strip().partition("\n")[0]).rstrip(".")
