"""The SQL tables, one set for SQLite and PostgreSQL. Instants are bigint microseconds since the epoch.

`segments`, `last_values`: derived, by the aggregator alone. `tail`, `lake_files`: where the rows are.
`shards`: the one place where progress is made; `alarms`: why it is not. `users`, `api_keys`: the directory.
"""

import enum
from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 2

metadata = sa.MetaData()

# SQLite gives rowids to INTEGER keys alone; elsewhere the same column is a bigint.
_BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# In the order of code points on both databases: pages of keys, and files by their paths, come in it.
_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


class FileState(enum.StrEnum):
    """The life of a lake file; only `live` ones count."""

    WRITING = "writing"
    LIVE = "live"
    DEAD = "dead"


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", _Text, primary_key=True),
    sa.Column("value", _Text, nullable=False),
)
"""Facts of the whole database: `schema_version`, `directory_version` (grows with every change)."""

users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", _BigKey, primary_key=True, autoincrement=False),
    sa.Column("username", _Text, nullable=False, unique=True),
    sa.Column("email", _Text, unique=True),
    sa.Column("slack_uid", _Text, unique=True),
    sa.Column("timezone", _Text, nullable=False),
    sa.Column("trust_level", _Text, nullable=False),
    sa.Column("trust_value", sa.BigInteger, nullable=False),
    sa.Column("public_stats", sa.Boolean, nullable=False),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("modified_at_us", sa.BigInteger, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_hash", sa.LargeBinary(32), primary_key=True),  # SHA-256 of the key's text
    sa.Column("user_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("hint", _Text, nullable=False),  # the key's first 8 characters, to tell keys apart
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("user_id", _BigKey, primary_key=True, autoincrement=False),
    sa.Column("removed_at_us", sa.BigInteger, nullable=False),
    sa.Column("dropped", sa.BigInteger, nullable=False, server_default="0"),  # heartbeats that came after
)
"""Removed ids, never given again: what still arrives for one is dropped and counted."""

shards = sa.Table(
    "shards",
    metadata,
    sa.Column("log", _Text, primary_key=True),
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),  # the watermark: the last offset that is counted
    sa.Column("tzdata_version", _Text),  # that cut its users' local days; null: all their stats are to be computed
)

logs = sa.Table(
    "logs",
    metadata,
    sa.Column("log", _Text, primary_key=True),
    sa.Column("closing_at_us", sa.BigInteger, nullable=False),
    sa.Column("closed_at_us", sa.BigInteger),  # null: what it holds is still being counted
)
"""Logs that take no more heartbeats (`heartline log close`): from then on another one may follow."""

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("log", _Text, primary_key=True),
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("raised_at_us", sa.BigInteger, nullable=False),
    sa.Column("gap_end", sa.BigInteger),  # the last offset that is gone; null: the reason is another one
    sa.Column("accepted", sa.Boolean, nullable=False),  # the gap, or the loss of lake files, by a command
)
"""Shards that stand still, and why; gone when they go on."""

segments = sa.Table(
    "segments",
    metadata,
    sa.Column("user_id", sa.BigInteger, primary_key=True),
    sa.Column("calendar", _Text, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True),  # of the period's first day, days since 1970-01-01
    sa.Column("dimension", sa.SmallInteger, primary_key=True),  # schemas.dimensions.Dimension
    sa.Column("value", _Text, primary_key=True),  # schemas.dimensions.encode_value: null stays apart from ""
    sa.Column("first_us", sa.BigInteger, nullable=False),
    sa.Column("last_us", sa.BigInteger, nullable=False),
    sa.Column("duration_us", sa.BigInteger, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

last_values = sa.Table(
    "last_values",
    metadata,
    sa.Column("user_id", sa.BigInteger, primary_key=True),
    sa.Column("project", _Text, primary_key=True),
    sa.Column("language", _Text),
    sa.Column("language_at_us", sa.BigInteger),
    sa.Column("branch", _Text),
    sa.Column("branch_at_us", sa.BigInteger),
    sqlite_with_rowid=False,
)
"""The newest language and branch of each project, for `<<LAST_LANGUAGE>>` and `<<LAST_BRANCH>>`."""

tail = sa.Table(
    "tail",
    metadata,
    sa.Column("log", _Text, primary_key=True),
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("min_us", sa.BigInteger, nullable=False),
    sa.Column("max_us", sa.BigInteger, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),  # schemas.record: compressed NDJSON
    sa.Index("tail_by_user", "user_id", "max_us"),
)

lake_files = sa.Table(
    "lake_files",
    metadata,
    sa.Column("path", _Text, primary_key=True),  # relative to the lake's root
    sa.Column("state", _Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),  # of the owner that wrote it
    sa.Column("date", sa.Integer, nullable=False),  # UTC, days since 1970-01-01
    sa.Column("log", _Text, nullable=False),
    sa.Column("shard", sa.Integer, nullable=False),
    sa.Column("first_offset", sa.BigInteger, nullable=False),
    sa.Column("last_offset", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("min_user", sa.BigInteger, nullable=False),
    sa.Column("max_user", sa.BigInteger, nullable=False),
    sa.Column("min_us", sa.BigInteger, nullable=False),
    sa.Column("max_us", sa.BigInteger, nullable=False),
    sa.Index("lake_files_by_date", "date"),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("log", _Text, primary_key=True),
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("set_aside_at_us", sa.BigInteger, nullable=False),
)

command_results = sa.Table(
    "command_results",
    metadata,
    sa.Column("log", _Text, primary_key=True),
    sa.Column("shard", sa.Integer, primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("error", _Text),  # null: it was applied
    sa.Column("answer", _Text, nullable=False),  # JSON
)
"""What became of each command, in the transaction that moved the watermark over it."""

RUNNING: Final = '{"running": true}'
"""The answer, until there is one, to a command that takes its time beside the counting."""
