"""Stats in the documented forms, made from what a range measures (semantics.md, section 4). Pure."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import UNSET

from query_api import wording
from query_api.models import NamedSeconds, OwnStats, Part, Stats, StatsData, TrustFactor
from query_api.ranges import Measured
from schemas.dimensions import Dimension
from schemas.segment import whole_seconds
from schemas.users import User
from storage.stats.reader import Span

_NAMELESS: Final = "Other"
_DAY_S: Final = 86_400


class Shares(NamedTuple):
    """A total and its parts, in seconds; parts by seconds descending, then by name."""

    total: int
    languages: list[NamedSeconds]
    projects: list[NamedSeconds]


def shares_of(measured: Measured, project: str | None) -> Shares:
    """Pick the total and the parts of all heartbeats, or of one project's (None: all)."""
    if project is None:
        total = measured.get((Dimension.TOTAL, None))
        languages = _parts(measured, Dimension.LANGUAGE)
        projects = _parts(measured, Dimension.PROJECT)
    else:
        total = measured.get((Dimension.PROJECT, project))
        languages = _languages_of(measured, project)
        projects = [(project, total.duration_us)] if total else []
    return Shares(whole_seconds(total.duration_us) if total else 0, _listed(languages), _listed(projects))


def limited(shares: Shares, limit: int | None) -> Shares:
    """Cut both lists to the first `limit`; None keeps all."""
    return Shares(shares.total, shares.languages[:limit], shares.projects[:limit])


def own_stats(user: User, shares: Shares) -> OwnStats:
    """Write the seed's form."""
    return OwnStats(user.username, shares.total, shares.languages, shares.projects)


def stats(user: User, shares: Shares, span: Span, features: frozenset[str]) -> Stats:
    """Write both forms; `features` names the lists that Hackatime's form shows."""
    return Stats(
        user=user.username,
        total_seconds=shares.total,
        languages=shares.languages,
        projects=shares.projects,
        data=_data(user, shares, span, features),
        trust_factor=TrustFactor(user.trust_level, user.trust_value),
    )


def _data(user: User, shares: Shares, span: Span, features: frozenset[str]) -> StatsData:
    days = (span.to_us - span.from_us) // 1_000_000 // _DAY_S
    average = shares.total // days if days > 0 else 0
    return StatsData(
        username=user.username,
        user_id=str(user.user_id),
        start=wording.whole_second(span.from_us),
        end=wording.whole_second(span.to_us),
        total_seconds=shares.total,
        daily_average=average,
        human_readable_total=wording.full_text(shares.total),
        human_readable_daily_average=wording.full_text(average),
        languages=_detailed(shares.languages, shares.total) if "languages" in features else UNSET,
        projects=_detailed(shares.projects, shares.total) if "projects" in features else UNSET,
    )


def _parts(measured: Measured, dimension: Dimension) -> list[tuple[str | None, int]]:
    return [
        (value, segment.duration_us)
        for (group, value), segment in measured.items()
        if group == dimension and not isinstance(value, tuple)
    ]


def _languages_of(measured: Measured, project: str) -> list[tuple[str | None, int]]:
    return [
        (value[1], segment.duration_us)
        for (_, value), segment in measured.items()
        if isinstance(value, tuple) and value[0] == project
    ]


def _listed(parts: Iterable[tuple[str | None, int]]) -> list[NamedSeconds]:
    entries = [NamedSeconds(name or _NAMELESS, whole_seconds(duration_us)) for name, duration_us in parts]
    return sorted(entries, key=lambda entry: (-entry.seconds, entry.name))


def _detailed(entries: Iterable[NamedSeconds], total: int) -> list[Part]:
    return [_part(entry.name, entry.seconds, total) for entry in entries]


def _part(name: str, seconds: int, total: int) -> Part:
    hours, minutes = divmod(seconds // 60, 60)
    return Part(
        name=name,
        total_seconds=seconds,
        text=wording.short_text(seconds),
        hours=hours,
        minutes=minutes,
        percent=round(100 * seconds / total, 2) if total else None,
        digital=wording.digital(seconds),
    )
