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


def entries(heartbeats, field, limit=0):
    """A list of stats, most first; entries without a name, null and "" apart, are called Other."""
    total = oracle.total_seconds(heartbeats)
    made = [
        {
            "name": value or "Other",
            "total_seconds": part,
            "text": entry_text(part),
            "hours": part // 3600,
            "minutes": part % 3600 // 60,
            "percent": round(100 * part / total, 2) if total else None,
            "digital": digital(part),
        }
        for value, part in oracle.group_seconds(heartbeats, field).items()
    ]
    made.sort(key=lambda entry: (-entry["total_seconds"], entry["name"]))
    return made[:limit] if limit else made


def seed_entries(heartbeats, field, limit=0):
    """The seed's list of the same groups."""
    return [{"name": entry["name"], "seconds": entry["total_seconds"]} for entry in entries(heartbeats, field, limit)]


def stats(heartbeats, user, start_us, end_us, features=("languages",), limit=0):
    """The answer of /users/{u}/stats, both shapes in one; bounds are whole seconds; `user`: id, name, trust."""
    inside = oracle.between(oracle.accepted(heartbeats), start_us, end_us)
    total = oracle.total_seconds(inside)
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
    for name, field in (("languages", "language"), ("projects", "project")):
        if name in features:
            data[name] = entries(inside, field, limit)
    return {
        "user": user["username"],
        "total_seconds": total,
        "languages": seed_entries(inside, "language", limit),
        "projects": seed_entries(inside, "project", limit),
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


def _iso_seconds(time_us):
    return f"{oracle.EPOCH + dt.timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%SZ}"
