"""Connections of processes that stand still in the midst of a statement, with locks that no timeout would end.

PostgreSQL's own timeouts see who is idle in a transaction. They do not see a COPY that waits for its next row, a
statement of which one message has come and the next has not, or an answer that nobody takes.
"""

from typing import Final

import sqlalchemy as sa

_FROZEN_AFTER_S: Final = 30  # as idle_in_transaction_session_timeout
_END: Final = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user AND state = 'active' "
    "AND wait_event_type = 'Client' AND query_start < now() - make_interval(secs => :seconds) "
    "AND pid IN (SELECT pid FROM pg_locks WHERE granted AND relation = 'shards'::regclass AND mode LIKE 'Row%')"
)


def end_frozen(connection: sa.Connection) -> None:
    """End connections that have locked rows of `shards` and wait for their client for long."""
    if connection.dialect.name == "postgresql":
        connection.execute(_END, {"seconds": _FROZEN_AFTER_S})
