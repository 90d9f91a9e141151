"""`<<LAST_LANGUAGE>>` and `<<LAST_BRANCH>>` (semantics.md, section 2, rule 5)."""

from collections.abc import Callable, Sequence
from typing import Final, TypeGuard

import msgspec

from schemas.heartbeat import Heartbeat
from schemas.languages import fill_language

LAST_LANGUAGE: Final = "<<LAST_LANGUAGE>>"
LAST_BRANCH: Final = "<<LAST_BRANCH>>"
LAST_PROJECT: Final = "<<LAST_PROJECT>>"
_PLACEHOLDERS: Final = frozenset({LAST_LANGUAGE, LAST_BRANCH, LAST_PROJECT})


class LastValues(msgspec.Struct, frozen=True):
    """The newest real language and branch of a stored project, each with its heartbeat's time."""

    language: str | None = None
    language_at_us: int | None = None
    branch: str | None = None
    branch_at_us: int | None = None


Stored = Callable[[str], LastValues | None]
_NO_VALUES: Final = LastValues()


def is_real(value: str | None) -> TypeGuard[str]:
    """Tell whether a language, branch or project can stand in for a placeholder: not blank, not one itself."""
    return value is not None and value not in _PLACEHOLDERS and value.strip(" \t\r\n") != ""


def has_placeholders(heartbeats: Sequence[Heartbeat]) -> bool:
    """Tell whether any language or branch waits to be resolved."""
    return any(h.language == LAST_LANGUAGE or h.branch == LAST_BRANCH for h in heartbeats)


def resolve(heartbeats: Sequence[Heartbeat], stored: Stored, *, infer: bool) -> list[Heartbeat]:
    """Resolve the placeholders of one request's heartbeats, given in the order of the request.

    A value comes from the latest earlier heartbeat of the same project, else from `stored(project)`, else it is null;
    with `infer` a language that would be null is then looked up by the file name (rule 6). `<<LAST_PROJECT>>` stays,
    and stands for the last real project before it. The given heartbeats are not changed.
    """
    if not has_placeholders(heartbeats):
        return list(heartbeats)
    request = _Request(stored, infer=infer)
    return [request.take(h) for h in heartbeats]


class _Request:
    """What the heartbeats so far of one request lend to the next."""

    def __init__(self, stored: Stored, *, infer: bool) -> None:
        self._stored = stored
        self._infer = infer
        self._last_project: str | None = None
        self._languages: dict[str, str] = {}
        self._branches: dict[str, str] = {}

    def take(self, h: Heartbeat) -> Heartbeat:
        named = self._last_project if h.project == LAST_PROJECT else h.project
        project = named if is_real(named) else None
        if h.language == LAST_LANGUAGE:
            language = self._language(project)
            if language is None and self._infer:
                language = fill_language(None, h.entity, h.type)
            h = msgspec.structs.replace(h, language=language)
        if h.branch == LAST_BRANCH:
            h = msgspec.structs.replace(h, branch=self._branch(project))
        if project is not None:
            self._remember(project, h)
        return h

    def _language(self, project: str | None) -> str | None:
        if project is None:
            return None
        return self._languages.get(project) or (self._stored(project) or _NO_VALUES).language

    def _branch(self, project: str | None) -> str | None:
        if project is None:
            return None
        return self._branches.get(project) or (self._stored(project) or _NO_VALUES).branch

    def _remember(self, project: str, h: Heartbeat) -> None:
        self._last_project = project
        if is_real(h.language):
            self._languages[project] = h.language
        if is_real(h.branch):
            self._branches[project] = h.branch
