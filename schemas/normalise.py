"""From a heartbeat as sent to the heartbeat that is kept (semantics.md, section 2)."""

import re
from typing import Final

import msgspec

from schemas import user_agent as user_agents
from schemas.heartbeat import Heartbeat, Wire
from schemas.identity import heartbeat_id
from schemas.instants import InstantError, parse_time
from schemas.languages import fill_language

MAX_KEY_BYTES: Final = 512
"""Of what becomes a key of stats or of a group: design.md, "One bad value stops nothing"."""
MAX_ENTITY_BYTES: Final = 4096
MAX_USER_AGENT_BYTES: Final = 2048
MAX_TIME_BYTES: Final = 128
MAX_DEPENDENCIES: Final = 1000
MIN_INTEGER: Final = -(1 << 63)
MAX_INTEGER: Final = (1 << 63) - 1

_OTHER_BOUNDS: Final = {
    "entity": MAX_ENTITY_BYTES,
    "user_agent": MAX_USER_AGENT_BYTES,
    "plugin": MAX_USER_AGENT_BYTES,
    "time": MAX_TIME_BYTES,
}
_NAMES: Final = Wire.__struct_fields__
_BOUNDS: Final = tuple(_OTHER_BOUNDS.get(name, MAX_KEY_BYTES) for name in _NAMES)
# A character takes at most 4 bytes: texts up to a quarter of their bound need no encoding to be sure.
_SURE_LENGTHS: Final = tuple(bound // 4 for bound in _BOUNDS)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class RejectedError(ValueError):
    """A heartbeat that can never be taken; the text says why."""

    kind: str = "HeartbeatIngest::InvalidHeartbeat"


class InvalidTimeError(RejectedError):
    """A heartbeat without a usable time."""

    kind = "HeartbeatIngest::InvalidHeartbeatTime"


class Context(msgspec.Struct, frozen=True):
    """What a request says of all its heartbeats.

    created_at_us: when it came, microseconds since the epoch. machine: unescaped. user_agent: of the HTTP header.
    """

    created_at_us: int
    machine: str | None = None
    user_agent: str | None = None
    ip_address: str | None = None


def normalise(wire: Wire, user_id: int, context: Context) -> Heartbeat:
    """Apply the rules of semantics.md, section 2, to a heartbeat as sent (NULs removed already).

    Placeholders stay in it (rule 5 is `schemas.placeholders`). Raises `RejectedError`.
    """
    time_us = _time_us(wire)
    check_bounds(wire)
    category = _category(wire)
    agent = _present(wire.user_agent) or _present(wire.plugin) or _present(context.user_agent)
    machine = _present(context.machine) or _present(wire.machine)
    if agent is not wire.user_agent:
        _check_text("user_agent", agent, MAX_USER_AGENT_BYTES)
    if machine is not wire.machine:
        _check_text("machine", machine, MAX_KEY_BYTES)
    derived = _derived(agent, category)
    return Heartbeat(
        id=heartbeat_id(user_id, wire, time_us, machine, agent, category),
        time_us=time_us,
        created_at_us=context.created_at_us,
        entity=wire.entity,
        type=wire.type,
        category=category,
        project=_project(wire.project),
        project_root_count=wire.project_root_count,
        branch=wire.branch,
        language=fill_language(wire.language, wire.entity, wire.type),
        dependencies=wire.dependencies or [],
        lines=wire.lines,
        line_additions=wire.line_additions,
        line_deletions=wire.line_deletions,
        lineno=wire.lineno,
        cursorpos=wire.cursorpos,
        is_write=wire.is_write,
        editor=derived.editor or _present(wire.editor),
        operating_system=derived.operating_system or _present(wire.operating_system),
        machine=machine,
        user_agent=agent,
        source_type="test_entry" if wire.entity == "test.txt" else "direct_entry",
        ip_address=context.ip_address,
        ai_model=_present(wire.ai_model) or derived.ai_model,
        ai_session=wire.ai_session,
        ai_subscription_plan=wire.ai_subscription_plan,
        ai_input_tokens=wire.ai_input_tokens,
        ai_output_tokens=wire.ai_output_tokens,
        ai_prompt_length=wire.ai_prompt_length,
        ai_line_changes=wire.ai_line_changes,
        human_line_changes=wire.human_line_changes,
    )


def check_bounds(wire: Wire) -> None:
    """Raise `RejectedError` naming the first field over its bound."""
    values = msgspec.structs.astuple(wire)
    for value, sure_length, bound, name in zip(values, _SURE_LENGTHS, _BOUNDS, _NAMES, strict=True):
        if value is None:
            continue
        kind = value.__class__
        if kind is str:
            if len(value) > sure_length:
                _check_text(name, value, bound)
        elif kind is int:
            if not MIN_INTEGER <= value <= MAX_INTEGER:
                raise RejectedError(f"{name} must fit into 64 bits")
        elif kind is list:
            _check_dependencies(value)


def _check_dependencies(dependencies: list[str]) -> None:
    if len(dependencies) > MAX_DEPENDENCIES:
        raise RejectedError(f"dependencies must be at most {MAX_DEPENDENCIES}")
    for dependency in dependencies:
        _check_text("each of dependencies", dependency, MAX_KEY_BYTES)


def _check_text(name: str, text: str | None, bound: int) -> None:
    if text is not None and len(text) > bound // 4 and len(text.encode()) > bound:
        raise RejectedError(f"{name} must be at most {bound} bytes of UTF-8")


def _time_us(wire: Wire) -> int:
    try:
        return parse_time(wire.time)
    except InstantError as error:
        raise InvalidTimeError(str(error)) from error


def _category(wire: Wire) -> str:
    category = _present(wire.category)
    if category is not None:
        return category
    return "browsing" if wire.type in {"domain", "url"} else "coding"


def _project(project: str | None) -> str | None:
    if project is None:
        return None
    return (project if project.isprintable() else _CONTROL.sub("", project)).strip()


def _present(text: str | None) -> str | None:
    return None if not text or text.isspace() else text


def _derived(agent: str | None, category: str) -> user_agents.Derived:
    derived = user_agents.parse(agent, category)
    for name, value in zip(("editor", "operating_system", "ai_model"), derived, strict=True):
        if value is not None and len(value) > MAX_KEY_BYTES // 4:
            _check_text(f"{name} in the user agent", value, MAX_KEY_BYTES)
    return derived
