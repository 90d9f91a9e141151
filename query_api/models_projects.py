"""Answers about a user's projects and timeline (semantics.md, section 7)."""

from typing import Final

import msgspec


class ProjectNames(msgspec.Struct):
    """Names of projects, in order of the alphabet."""

    projects: list[str]


class ProjectDetails(msgspec.Struct, kw_only=True):
    """A project's own heartbeats: their time, first and last, languages in order of the alphabet."""

    name: str
    total_seconds: int
    languages: list[str]
    repo_url: str | None = None
    total_heartbeats: int
    first_heartbeat: str
    last_heartbeat: str
    most_recent_heartbeat: str
    archived: bool = False


class ProjectsDetails(msgspec.Struct):
    """Projects by their time, most first."""

    projects: list[ProjectDetails]


class TimeSpan(msgspec.Struct):
    """A stretch of work without a gap of more than two minutes; instants are seconds since the epoch."""

    start_time: float
    end_time: float
    duration: int


class TimeSpans(msgspec.Struct):
    """Stretches of work in order of time."""

    spans: list[TimeSpan]


class KeyTotal(msgspec.Struct):
    """Seconds of one key; heartbeats without one are "Other"."""

    key: str
    total: int


class Summary(msgspec.Struct, kw_only=True):
    """Totals of whole UTC days in Wakapi's form; `user_id` is the user as asked for."""

    user_id: str
    from_: str = msgspec.field(name="from")
    to: str
    projects: list[KeyTotal]
    languages: list[KeyTotal]
    editors: list[KeyTotal]
    operating_systems: list[KeyTotal]
    machines: list[KeyTotal]
    categories: list[KeyTotal]
    branches: list[KeyTotal] = []
    entities: list[KeyTotal] = []
    labels: list[KeyTotal] = []


ANSWERS: Final = (ProjectNames, ProjectDetails, ProjectsDetails, TimeSpans, Summary)
