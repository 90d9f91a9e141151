"""The id of a heartbeat: a hash of what was sent. What is written here can never change."""

import operator
from hashlib import blake2b
from typing import Final

import msgspec

from schemas.heartbeat import Wire

_MASK: Final = (1 << 63) - 1
_encode: Final = msgspec.json.Encoder().encode

_AI_FIELDS: Final = (
    "ai_model",
    "ai_session",
    "ai_subscription_plan",
    "ai_input_tokens",
    "ai_output_tokens",
    "ai_prompt_length",
    "ai_line_changes",
    "human_line_changes",
)
_ai_values: Final = operator.attrgetter(*_AI_FIELDS)
_NO_AI_VALUES: Final = (None,) * len(_AI_FIELDS)


def heartbeat_id(
    user_id: int, wire: Wire, time_us: int, machine: str | None, user_agent: str | None, category: str
) -> int:
    """Hash a heartbeat to 1..2^63-1, the same on every machine, version and replay (design.md; semantics.md, rule 11).

    `wire`: as sent, after coercion and without NULs. `machine`, `user_agent`: the request's, where it has them;
    `category`: never blank. Nothing that a later version might derive otherwise (language by file name, editor by
    user agent, placeholders, a cleaned project) may enter. Repeats of a heartbeat have its id.
    """
    fields: list[object] = [
        user_id,
        wire.branch,
        category,
        wire.dependencies or [],
        wire.editor,
        wire.entity,
        wire.language,
        machine,
        wire.operating_system,
        wire.project,
        wire.type,
        user_agent,
        wire.line_additions,
        wire.line_deletions,
        wire.lineno,
        wire.lines,
        wire.cursorpos,
        wire.project_root_count,
        time_us,
        wire.is_write,
    ]
    ai_values = _ai_values(wire)
    if ai_values != _NO_AI_VALUES:
        fields += [pair for pair in zip(_AI_FIELDS, ai_values, strict=True) if pair[1] is not None]
    digest = blake2b(_encode(fields), digest_size=8).digest()
    return int.from_bytes(digest) & _MASK or 1
