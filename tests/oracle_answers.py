"""What the API prints about a list of heartbeats: a naive reading of semantics.md, sections 3 to 5 and first table."""

import datetime as dt

from tests import oracle


def long_text(total):
    """The status bar in the seed's wording: 2 hrs, 1 hr 1 min, 59 mins, 59 secs, 1 sec, 0 secs."""
    if total < 60:
        return _counted(total, "sec")
    hours, minutes = total // 3600, total % 3600 // 60
    parts = []
    if hours:
        parts.append(_counted(hours, "hr"))
    if minutes:
        parts.append(_counted(minutes, "min"))
    return " ".join(parts)


def short_statusbar_text(total):
    """The status bar in HEAD's wording."""
    return "Start coding!" if total == 0 else entry_text(total)


def entry_text(total):
    """A list entry: whole hours and minutes, 1h 30m, 59m, 2h, and 0m below a minute."""
    hours, minutes = total // 3600, total % 3600 // 60
    parts = [f"{hours}h"] * (hours > 0) + [f"{minutes}m"] * (minutes > 0)
    return " ".join(parts) or "0m"


def human_readable(total):
    """5h 10m 3s, zero parts left out, nothing for 0."""
    values = ((total // 3600, "h"), (total % 3600 // 60, "m"), (total % 60, "s"))
    return " ".join(f"{value}{unit}" for value, unit in values if value)


def digital(total):
    return f"{total // 3600:02d}:{total % 3600 // 60:02d}:{total % 60:02d}"


LANGUAGES = {
    "python": ("Python", "#3572A5"),
    "py": ("Python", "#3572A5"),
    "rust": ("Rust", "#dea584"),
    "js": ("JavaScript", "#f1e05a"),
    "javascript": ("JavaScript", "#f1e05a"),
    "c++": ("C++", "#f34b7d"),
    "cpp": ("C++", "#f34b7d"),
    "go": ("Go", "#00ADD8"),
    "text": ("Text", None),
}
"""GitHub Linguist's name and colour of a few languages, by spellings in lower case."""


def language_name(language):
    return LANGUAGES.get((language or "Other").lower(), (language or "Other", None))[0]


def colour(language):
    return LANGUAGES.get((language or "Other").lower(), (None, None))[1] or "#888888"


def entries(heartbeats, field, limit=0, total=None, raw=False):
    """A list of stats, most first; entries without a name, null and "" apart, are called Other.

    Spellings of a language are entries of their own; all of them have its one name, unless raw names are asked for.
    """
    total = oracle.total_seconds(heartbeats) if total is None else total
    made = [
        {
            "name": language_name(value) if field == "language" and not raw else value or "Other",
            "total_seconds": part,
            "text": entry_text(part),
            "hours": part // 3600,
            "minutes": part % 3600 // 60,
            "percent": oracle.percent(part, total) if total else None,
            "digital": digital(part),
            **({"color": colour(value)} if field == "language" else {}),
        }
        for value, part in oracle.group_seconds(heartbeats, field).items()
    ]
    made.sort(key=lambda entry: (-entry["total_seconds"], entry["name"]))
    return made[:limit] if limit else made


def seed_entries(made):
    """The seed's list of the same groups."""
    return [{"name": entry["name"], "seconds": entry["total_seconds"]} for entry in made]


def own_stats(heartbeats, user):
    """/api/v1/stats with a user's key: the seed's shape of what is in the range."""
    both = [seed_entries(entries(heartbeats, field)) for field in ("language", "project")]
    return {
        "user": user["username"],
        "total_seconds": oracle.total_seconds(heartbeats),
        "languages": both[0],
        "projects": both[1],
    }


def operators_seconds(heartbeats, first, last):
    """/api/v1/stats with the operator's key: whole UTC days, both included."""
    return oracle.total_seconds([h for h in heartbeats if first <= oracle.utc_day(h["time_us"]) <= last])


def total_alone(heartbeats, start_us, end_us, projects=None, categories=None, aware=False, no_ai=False, test=False):
    """The answer with total_seconds=true; bounds are not cut but with test_param."""
    kept = oracle.selected(
        oracle.accepted(heartbeats), projects, None if test else categories, ("ai coding",) if no_ai else ()
    )
    if test:
        start_us, end_us = _cut(start_us), _cut(end_us)
    if aware or test:
        return {"total_seconds": oracle.seconds(oracle.boundary_aware_us(kept, start_us, end_us))}
    return {"total_seconds": oracle.total_seconds(oracle.between(kept, start_us, end_us))}


def stats(
    heartbeats,
    user,
    start_us,
    end_us,
    features=("languages",),
    limit=0,
    projects=None,
    no_ai=False,
    test=False,
    streak=0,
):
    """The answer of /users/{u}/stats, both shapes in one; `user`: id, name, trust."""
    start_us, end_us = _cut(start_us), _cut(end_us)
    unique = oracle.unique_seconds(heartbeats, projects, start_us, end_us) if projects is not None else None
    kept = oracle.selected(oracle.accepted(heartbeats), projects, None, ("ai coding",) if no_ai else ())
    inside = oracle.between(kept, start_us, end_us)
    total = oracle.total_seconds(inside)
    if test:
        total = oracle.seconds(oracle.boundary_aware_us(kept, start_us, end_us))
        inside = oracle.selected(inside, without=oracle.AWAY_FROM_CODE)
    whole_days = (end_us - start_us) // oracle.DAY_US
    average = total // whole_days if whole_days > 0 else 0
    data = {
        "username": user["username"],
        "user_id": str(user["user_id"]),
        "is_coding_activity_visible": True,
        "is_other_usage_visible": True,
        "status": "ok",
        "start": _iso_seconds(start_us),
        "end": _iso_seconds(end_us),
        "range": "all_time",
        "human_readable_range": "All Time",
        "total_seconds": total,
        "daily_average": average,
        "human_readable_total": human_readable(total),
        "human_readable_daily_average": human_readable(average),
    }
    data["streak"] = streak
    lists = {
        name: entries(inside, field, limit, total, test)
        for name, field in (("languages", "language"), ("projects", "project"))
    }
    data |= {name: made for name, made in lists.items() if name in features}
    if unique is not None and "projects" in features:
        data["unique_total_seconds"] = unique
    return {
        "user": user["username"],
        "total_seconds": total,
        **{name: seed_entries(made) for name, made in lists.items()},
        "data": data,
        "trust_factor": {"trust_level": user["trust_level"], "trust_value": user["trust_value"]},
    }


def time_ago(then_us, now_us):
    """Rails' time_ago_in_words, and " ago"."""
    minutes = _half_up(abs(now_us - then_us), 60_000_000)
    if minutes == 0:
        words = "less than a minute"
    elif minutes < 45:
        words = _counted(minutes, "minute")
    elif minutes < 90:
        words = "about 1 hour"
    elif minutes < 24 * 60:
        words = "about " + _counted(_half_up(minutes, 60), "hour")
    elif minutes < 42 * 60:
        words = "1 day"
    elif minutes < 30 * 24 * 60:
        words = _counted(_half_up(minutes, 24 * 60), "day")
    elif minutes < 60 * 24 * 60:
        words = "about " + _counted(_half_up(minutes, 30 * 24 * 60), "month")
    elif minutes < 365 * 24 * 60:
        words = _counted(_half_up(minutes, 30 * 24 * 60), "month")
    else:
        words = _years(minutes, then_us, now_us)
    return words + " ago"


def _years(minutes, then_us, now_us):
    first, last = (oracle.EPOCH + dt.timedelta(microseconds=us) for us in sorted((then_us, now_us)))
    first_year = first.year + (first.month >= 3)
    last_year = last.year - (last.month < 3)
    leap_days = sum(_is_leap(year) for year in range(first_year, last_year + 1))
    years, rest = divmod(minutes - leap_days * 24 * 60, 365 * 24 * 60)
    if rest < 365 * 6 * 60:
        return "about " + _counted(years, "year")
    if rest < 365 * 18 * 60:
        return "over " + _counted(years, "year")
    return "almost " + _counted(years + 1, "year")


def _is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _half_up(value, unit):
    return (2 * value + unit) // (2 * unit)


def _counted(number, unit):
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _cut(time_us):
    return time_us // 1_000_000 * 1_000_000


def _iso_seconds(time_us):
    return f"{oracle.EPOCH + dt.timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%SZ}"
