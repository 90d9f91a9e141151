"""The heartbeat: as a plugin sends it, as the log keeps it, as the API answers it."""

import datetime as dt
from functools import lru_cache
from typing import Final

import msgspec

MAX_HEARTBEATS: Final = 100
"""Heartbeats that one request may carry (semantics.md, section 2)."""


class Wire(msgspec.Struct, omit_defaults=True):
    """A heartbeat as sent, after coercion to these types; fields that are not named here are ignored.

    `time` stays as sent (number or text): `schemas.instants` turns it into microseconds.
    """

    entity: str | None = None
    type: str | None = None
    category: str | None = None
    time: int | float | str | None = None
    project: str | None = None
    project_root_count: int | None = None
    branch: str | None = None
    language: str | None = None
    dependencies: list[str] | None = None
    lines: int | None = None
    line_additions: int | None = None
    line_deletions: int | None = None
    lineno: int | None = None
    cursorpos: int | None = None
    is_write: bool | None = None
    editor: str | None = None
    operating_system: str | None = None
    machine: str | None = None
    user_agent: str | None = None
    plugin: str | None = None
    ai_model: str | None = None
    ai_session: str | None = None
    ai_subscription_plan: str | None = None
    ai_input_tokens: int | None = None
    ai_output_tokens: int | None = None
    ai_prompt_length: int | None = None
    ai_line_changes: int | None = None
    human_line_changes: int | None = None


class Heartbeat(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An accepted heartbeat as one line of a log record: normalised, with its id; placeholders still in it.

    The user is not repeated here: the record names its user. Instants are integers, microseconds since the epoch.
    """

    id: int
    time_us: int
    created_at_us: int
    entity: str | None = None
    type: str | None = None
    category: str = "coding"
    project: str | None = None
    project_root_count: int | None = None
    branch: str | None = None
    language: str | None = None
    dependencies: list[str] = msgspec.field(default_factory=list)
    lines: int | None = None
    line_additions: int | None = None
    line_deletions: int | None = None
    lineno: int | None = None
    cursorpos: int | None = None
    is_write: bool | None = None
    editor: str | None = None
    operating_system: str | None = None
    machine: str | None = None
    user_agent: str | None = None
    source_type: str = "direct_entry"
    ip_address: str | None = None
    ai_model: str | None = None
    ai_session: str | None = None
    ai_subscription_plan: str | None = None
    ai_input_tokens: int | None = None
    ai_output_tokens: int | None = None
    ai_prompt_length: int | None = None
    ai_line_changes: int | None = None
    human_line_changes: int | None = None


class HeartbeatAnswer(msgspec.Struct, kw_only=True):
    """A heartbeat as the API shows it: the whole row, absent fields as null (semantics.md, section 2)."""

    id: int
    user_id: int
    time: float
    entity: str | None
    type: str | None
    category: str
    project: str | None
    project_root_count: int | None
    branch: str | None
    language: str | None
    dependencies: list[str]
    lines: int | None
    line_additions: int | None
    line_deletions: int | None
    lineno: int | None
    cursorpos: int | None
    is_write: bool | None
    editor: str | None
    operating_system: str | None
    machine: str | None
    user_agent: str | None
    source_type: str
    ip_address: str | None
    ai_model: str | None
    ai_session: str | None
    ai_subscription_plan: str | None
    ai_input_tokens: int | None
    ai_output_tokens: int | None
    ai_prompt_length: int | None
    ai_line_changes: int | None
    human_line_changes: int | None
    fields_hash: str
    created_at: str
    updated_at: str
    deleted_at: str | None = None


def fields_hash(heartbeat_id: int) -> str:
    """Return the API's `fields_hash`: the id, which is a hash of the fields already, in hexadecimal."""
    return f"{heartbeat_id:016x}"


@lru_cache(maxsize=256)  # the heartbeats of one request have one created_at
def iso_utc(time_us: int) -> str:
    """Write microseconds since the epoch as ISO 8601 in UTC, to the millisecond as Rails does."""
    instant = dt.datetime.fromtimestamp(time_us // 1_000_000, dt.UTC).replace(tzinfo=None)
    return f"{instant.isoformat()}.{time_us % 1_000_000 // 1000:03d}Z"


def answer(heartbeat: Heartbeat, user_id: int) -> HeartbeatAnswer:
    """Show a heartbeat of `user_id` as the API does."""
    h = heartbeat
    created_at = iso_utc(h.created_at_us)
    return HeartbeatAnswer(
        id=h.id,
        user_id=user_id,
        time=h.time_us / 1_000_000,
        entity=h.entity,
        type=h.type,
        category=h.category,
        project=h.project,
        project_root_count=h.project_root_count,
        branch=h.branch,
        language=h.language,
        dependencies=h.dependencies,
        lines=h.lines,
        line_additions=h.line_additions,
        line_deletions=h.line_deletions,
        lineno=h.lineno,
        cursorpos=h.cursorpos,
        is_write=h.is_write,
        editor=h.editor,
        operating_system=h.operating_system,
        machine=h.machine,
        user_agent=h.user_agent,
        source_type=h.source_type,
        ip_address=h.ip_address,
        ai_model=h.ai_model,
        ai_session=h.ai_session,
        ai_subscription_plan=h.ai_subscription_plan,
        ai_input_tokens=h.ai_input_tokens,
        ai_output_tokens=h.ai_output_tokens,
        ai_prompt_length=h.ai_prompt_length,
        ai_line_changes=h.ai_line_changes,
        human_line_changes=h.human_line_changes,
        fields_hash=fields_hash(h.id),
        created_at=created_at,
        updated_at=created_at,
    )
