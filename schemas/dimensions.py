"""By what coding time is grouped, and how a group is named in the table `segments`."""

import enum
import json
from functools import lru_cache
from typing import Final


class Dimension(enum.IntEnum):
    """A way to group a user's heartbeats; the numbers are stored and never change."""

    TOTAL = 0
    PROJECT = 1
    LANGUAGE = 2
    EDITOR = 3
    OPERATING_SYSTEM = 4
    MACHINE = 5
    CATEGORY = 6
    PROJECT_LANGUAGE = 7  # for one-project filters; the value is a pair
    ACTIVE = 8  # all but browsing, for streaks
    FOLLOWED = 9  # by project, the gaps from its heartbeats to the day's next ones: in the user's own days alone


Value = str | tuple[str | None, str | None] | None
GroupKey = tuple[int, Value]

NULL: Final = ""
"""How null is written; a text is written with "=" before it, so "" is "=" and nothing is mistaken for null."""


@lru_cache(maxsize=65_536)
def encode_value(value: Value) -> str:
    """Write a group's value as text for the table `segments`."""
    if value is None:
        return NULL
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "=" + value


def decode_value(text: str) -> Value:
    """Read what `encode_value` wrote."""
    if text == NULL:
        return None
    if text.startswith("="):
        return text[1:]
    project, language = json.loads(text)
    return project, language


def group_keys(
    project: str | None,
    language: str | None,
    editor: str | None,
    operating_system: str | None,
    machine: str | None,
    category: str,
) -> tuple[GroupKey, ...]:
    """Name every group that a heartbeat with these fields belongs to."""
    keys = (
        (0, None),
        (1, project),
        (2, language),
        (3, editor),
        (4, operating_system),
        (5, machine),
        (6, category),
        (7, (project, language)),
    )
    return keys if category.lower() == "browsing" else (*keys, (8, None))
