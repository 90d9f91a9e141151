"""Stats in the documented forms, made from what a range measures (semantics.md, section 4). Pure."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from query_api import wording
from query_api.models import LanguagePart, NamedSeconds, OwnStats, Part, Stats, StatsData, TrustFactor
from query_api.ranges import Measured
from schemas.dimensions import Dimension
from schemas.linguist import canonical_name, colour_of
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


class Extras(NamedTuple):
    """What Hackatime's form shows beside the range: the streak and, where asked for, `unique_total_seconds`."""

    streak_days: int
    unique_seconds: int | None = None


def shares_of(measured: Measured, *, raw_names: bool = False) -> Shares:
    """Take total and parts; languages under Linguist's names, unless `raw_names` keeps each spelling.

    Spellings of a language stay apart in any case: two entries may have one name.
    """
    total = measured.get((Dimension.TOTAL, None))
    languages = [(name if raw_names else canonical_name(name), us) for name, us in _parts(measured, Dimension.LANGUAGE)]
    projects = _parts(measured, Dimension.PROJECT)
    return Shares(whole_seconds(total.duration_us) if total else 0, _listed(languages), _listed(projects))


def limited(shares: Shares, limit: int | None) -> Shares:
    """Cut both lists to the first `limit`; None keeps all."""
    return Shares(shares.total, shares.languages[:limit], shares.projects[:limit])


def own_stats(user: User, shares: Shares) -> OwnStats:
    """Write the seed's form."""
    return OwnStats(user.username, shares.total, shares.languages, shares.projects)


def stats(user: User, shares: Shares, span: Span, features: frozenset[str], extras: Extras) -> Stats:
    """Write both forms; `features` names the lists that Hackatime's form shows."""
    return Stats(
        user=user.username,
        total_seconds=shares.total,
        languages=shares.languages,
        projects=shares.projects,
        data=_data(user, shares, span, features, extras),
        trust_factor=TrustFactor(user.trust_level, user.trust_value),
    )


def _data(user: User, shares: Shares, span: Span, features: frozenset[str], extras: Extras) -> StatsData:
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
        languages=_languages(shares) if "languages" in features else UNSET,
        projects=[_part(entry, shares.total) for entry in shares.projects] if "projects" in features else UNSET,
        unique_total_seconds=UNSET if extras.unique_seconds is None else extras.unique_seconds,
        streak=extras.streak_days,
    )


def _parts(measured: Measured, dimension: Dimension) -> list[tuple[str, int]]:
    return [
        (value or _NAMELESS, segment.duration_us)
        for (group, value), segment in measured.items()
        if group == dimension and not isinstance(value, tuple)
    ]


def _listed(parts: Iterable[tuple[str, int]]) -> list[NamedSeconds]:
    entries = [NamedSeconds(name, whole_seconds(duration_us)) for name, duration_us in parts]
    return sorted(entries, key=lambda entry: (-entry.seconds, entry.name))


def _languages(shares: Shares) -> list[LanguagePart]:
    parts = ((_part(entry, shares.total), colour_of(entry.name)) for entry in shares.languages)
    return [LanguagePart(**msgspec.structs.asdict(part), color=colour) for part, colour in parts]


def _part(entry: NamedSeconds, total: int) -> Part:
    hours, minutes = divmod(entry.seconds // 60, 60)
    return Part(
        name=entry.name,
        total_seconds=entry.seconds,
        text=wording.short_text(entry.seconds),
        hours=hours,
        minutes=minutes,
        percent=wording.percent(entry.seconds, total) if total else None,
        digital=wording.digital(entry.seconds),
    )
