"""What the routes about days, projects and timelines answer: a naive reading of semantics.md, sections 6 and 7."""

import bisect
import datetime as dt
import functools

from tests import oracle, oracle_answers

EDITORS = {"vscode": "VSCode", "pycharm": "PyCharm", "intellijidea": "IntelliJ IDEA", "goland": "GoLand"}
SYSTEMS = {"macos": "macOS", "wsl": "WSL"}
LANGUAGES = {"js": "JavaScript", "py": "Python", "python": "Python", "rust": "Rust"}


def spans(heartbeats, start_us, end_us, projects=None):
    """Both ends inclusive; cut where a gap is longer than the cap; all but the newest are stretched by it."""
    chosen = [h for h in oracle.accepted(heartbeats) if start_us <= h["time_us"] <= end_us]
    times = [h["time_us"] for h in chosen if projects is None or h.get("project") in projects]
    groups = []
    for time_us in times:
        if groups and time_us - groups[-1][-1] <= oracle.CAP_US:
            groups[-1].append(time_us)
        else:
            groups.append([time_us])
    made = []
    for number, group in enumerate(groups):
        more_s = 0 if number == len(groups) - 1 else 120
        duration = oracle.seconds(group[-1] - group[0]) + more_s
        if duration > 0:
            made.append(
                {
                    "start_time": group[0] / 1_000_000,
                    "end_time": (group[-1] + more_s * 1_000_000) / 1_000_000,
                    "duration": duration,
                }
            )
    return made


def followed(heartbeats):
    """A day's seconds by project: each gap belongs to the earlier heartbeat's; no name is one entry, Other."""
    sums = {}
    for project, gaps_us in oracle.followed_us(heartbeats).items():
        sums[project or "Other"] = sums.get(project or "Other", 0) + gaps_us
    rounded = [(name, oracle.seconds(us)) for name, us in sums.items()]
    return sorted([entry for entry in rounded if entry[1] > 0], key=lambda entry: (-entry[1], entry[0]))


def summaries(heartbeats, zone, first, last, today, project=None):
    """Hackatime's answer for local dates `first` to `last`, both inclusive."""
    chosen = [h for h in oracle.accepted(heartbeats) if project is None or h.get("project") == project]
    of_day = oracle.days(chosen, zone)
    data = [_day(of_day.get(date, []), zone, date, today) for date in dates(first, last)]
    totals = [day["grand_total"]["total_seconds"] for day in data]
    whole, average = duration(sum(totals)), sum(totals) // len(totals)
    holidays = sum(total == 0 for total in totals)
    whole["seconds"] = whole.pop("total_seconds")
    return {
        "data": data,
        "cumulative_total": whole,
        "daily_average": {
            "holidays": holidays,
            "days_including_holidays": len(totals),
            "days_minus_holidays": len(totals) - holidays,
            "seconds": average,
            "seconds_including_other_language": average,
            "text": duration(average)["text"],
            "text_including_other_language": duration(average)["text"],
        },
        "start": str(first),
        "end": str(last),
    }


def duration(total):
    hours, minutes, seconds = total // 3600, total // 60 % 60, total % 60
    parts = [f"{hours}h"] * (hours > 0) + [f"{minutes}m"] * (minutes > 0) + [f"{seconds}s"] * (seconds > 0)
    return {
        "total_seconds": total,
        "hours": hours,
        "minutes": minutes,
        "seconds": seconds,
        "digital": f"{hours:02d}:{minutes:02d}:{seconds:02d}",
        "decimal": f"{total / 3600:.2f}",
        "text": " ".join(parts) or "0s",
    }


def day_bounds(zone, date):
    """First instant of a local day and of the next, found among all minutes (every zone's days start at one)."""
    return _first_minute(zone, date), _first_minute(zone, date + dt.timedelta(days=1))


def last_7_days(heartbeats, zone, now_us):
    """`data` of Hackatime's answer, without who it is and the bounds; lists as {name: seconds} and in order."""
    today = oracle.local_day(zone, now_us)
    first = today - dt.timedelta(days=7)
    inside = [h for h in oracle.accepted(heartbeats) if first <= oracle.local_day(zone, h["time_us"]) <= today]
    total = oracle.total_seconds(inside)
    active = len(oracle.days(inside, zone))
    average = oracle.quotient(total, active, 1) if active else 0
    return {
        "status": "ok",
        "total_seconds": total,
        "daily_average": average,
        "days_including_holidays": active,
        "range": "last_7_days",
        "human_readable_range": "Last 7 Days",
        "human_readable_total": f"{total // 3600} hrs {total // 60 % 60} mins",
        "human_readable_daily_average": f"{int(average) // 3600} hrs {int(average) // 60 % 60} mins",
        "is_coding_activity_visible": True,
        "is_other_usage_visible": True,
        "editors": week_parts(inside, "editor", EDITORS),
        "languages": week_parts(inside, "language", LANGUAGES),
        "machines": week_parts(inside, "machine", None),
        "projects": week_parts(inside, "project", None),
        "operating_systems": week_parts(inside, "operating_system", SYSTEMS),
        "categories": [_week_part("coding", total, 100.0)],
    }


def week_parts(heartbeats, field, shown):
    seconds = {value: s for value, s in oracle.group_seconds(heartbeats, field).items() if s > 0}
    ordered = sorted(seconds.items(), key=lambda entry: (-entry[1], entry[0] or ""))
    return [
        _week_part(shown_name(value, field, shown), s, oracle.percent(s, sum(seconds.values()))) for value, s in ordered
    ]


def project_details(heartbeats, start_us, end_us):
    """Every named project's object in [start, end], most time first."""
    inside = oracle.between(oracle.accepted(heartbeats), start_us, end_us + 1)
    made = []
    for name, group in oracle.grouped(inside, "project").items():
        if name:
            times = [h["time_us"] for h in group]
            made.append(
                {
                    "name": name,
                    "total_seconds": oracle.total_seconds(group),
                    "languages": sorted({h["language"] for h in group if h.get("language")}),
                    "repo_url": None,
                    "total_heartbeats": len(group),
                    "first_heartbeat": iso(min(times)),
                    "last_heartbeat": iso(max(times)),
                    "most_recent_heartbeat": iso(max(times)),
                    "archived": False,
                }
            )
    return sorted(made, key=lambda project: (-project["total_seconds"], project["name"]))


def key_totals(heartbeats, field, shown=None):
    """/api/summary's list of one field."""
    entries = [
        {"key": "Other" if not value else shown_name(value, field, shown), "total": s, "raw": value or ""}
        for value, s in oracle.group_seconds(heartbeats, field).items()
    ]
    entries.sort(key=lambda entry: (-entry["total"], entry["raw"]))
    return [{"key": entry["key"], "total": entry["total"]} for entry in entries]


def in_dates(heartbeats, zone, first, last):
    """The accepted heartbeats of local dates `first` to `last`."""
    return [h for h in oracle.accepted(heartbeats) if first <= oracle.local_day(zone, h["time_us"]) <= last]


def _day(heartbeats, zone, date, today):
    total = oracle.total_seconds(heartbeats)
    start_us, end_us = day_bounds(zone, date)
    empty = ("branches", "categories", "dependencies", "editors", "entities", "languages", "machines")
    return {
        "grand_total": duration(total),
        **{name: [] for name in (*empty, "operating_systems")},
        "projects": [
            duration(s) | {"name": name, "percent": oracle.percent(s, total)} for name, s in followed(heartbeats)
        ],
        "range": {
            "date": str(date),
            "start": iso(start_us),
            "end": iso(end_us - 1),
            "text": day_text(date, today),
            "timezone": zone,
        },
    }


def day_text(date, today):
    names = {today: "Today", today - dt.timedelta(days=1): "Yesterday"}
    return names.get(date, f"{date:%B %d, %Y}")


def dates(first, last):
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]


@functools.cache
def _first_minute(zone, date):
    midnight = int(dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()) // 60
    near = range(midnight - 16 * 60, midnight + 16 * 60 + 24 * 60)  # a zone's offset, and a day that it skipped
    found = bisect.bisect_left(near, date, key=lambda minute: oracle.local_day(zone, minute * 60_000_000))
    return near[found] * 60_000_000


def shown_name(value, field, shown):
    if not value:
        return "unknown"
    if shown is None:
        return value
    return shown.get(value.lower(), value if field == "language" else value.capitalize())


def _week_part(name, seconds, percent):
    return {
        "name": name,
        "total_seconds": seconds,
        "percent": percent,
        "digital": f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}",
        "text": f"{seconds // 3600} hrs {seconds // 60 % 60} mins",
        "hours": seconds // 3600,
        "minutes": seconds // 60 % 60,
        "seconds": seconds % 60,
    }


def iso(time_us):
    return f"{oracle.EPOCH + dt.timedelta(microseconds=time_us // 1_000_000 * 1_000_000):%Y-%m-%dT%H:%M:%SZ}"


def week_bounds(zone, now_us):
    """`start` and `end` of the last seven days, with the zone's offset."""
    today = oracle.local_day(zone, now_us)
    start_us, _ = day_bounds(zone, today - dt.timedelta(days=7))
    _, end_us = day_bounds(zone, today)
    return {"start": _local(zone, start_us), "end": _local(zone, end_us - 1_000_000)}


def _local(zone, time_us):
    return oracle.local_time(zone, time_us).isoformat().replace("+00:00", "Z")


COLOURS = {None: "#007ec6", "orange": "#fe7d37", "4C1": "#4C1"}
"""shields.io's, by name; none: blue."""


def badge(heartbeats, project, aliases=(), label=None, colour=None):
    """A badge's status, and its texts and colours or the error's fields.

    It shows all time of the project, and of its aliases as one.
    """
    of = oracle.grouped(oracle.accepted(heartbeats), "project")
    name = next((name for name in (project, project.rpartition("/")[2]) if name in of), None)
    if name is None:
        return 404, ["error"]
    others = {alias.strip() for alias in aliases} - {"", name}
    further = [h for alias, group in of.items() if alias in others for h in group]
    total = oracle.total_seconds(of[name]) + oracle.total_seconds(further)
    hours, minutes = total // 3600, total // 60 % 60
    if not total:
        return 400, ["error"]
    texts = [label or "hackatime", f"{hours}h {minutes}m" if hours else f"{minutes}m"]
    return 200, [*texts, "#555", COLOURS[colour]]


def my_heartbeats(heartbeats, start_us, end_us, limit, *, is_window):
    """The whole answer; rows without `created_at` and `updated_at`. A limit alone: the newest of all."""
    ordered = oracle.accepted(heartbeats)
    if limit is not None and not is_window:
        listed = ordered[-limit:]
        ends = (_milliseconds(listed[0]["time_us"]), _milliseconds(listed[-1]["time_us"])) if listed else (None, None)
        total = oracle.total_seconds(listed)
    else:
        inside = oracle.between(ordered, start_us, end_us + 1)
        listed = inside if limit is None else inside[-limit:]
        ends, total = (_milliseconds(start_us), _milliseconds(end_us)), oracle.total_seconds(inside)
    rows = [shown_row(h) for h in listed]
    return {"start_time": ends[0], "end_time": ends[1], "total_seconds": total, "heartbeats": rows}


def most_recent(heartbeats, now_us, source=None, editor=None):
    """The newest of a source type (without one: no test entries) and of an editor, in any case."""
    kept = [h for h in oracle.accepted(heartbeats) if editor is None or (h["editor"] or "").lower() == editor.lower()]
    kept = [h for h in kept if (h["source_type"] == source if source else h["source_type"] != "test_entry")]
    if not kept:
        return {"has_heartbeat": False, "heartbeat": None, "editor": None, "time_ago": None}
    newest = kept[-1]
    ago = oracle_answers.time_ago(newest["time_us"], now_us)
    return {"has_heartbeat": True, "heartbeat": shown_row(newest), "editor": newest["editor"], "time_ago": ago}


def shown_row(h):
    return {name: value for name, value in h.items() if name != "time_us"}


def _milliseconds(time_us):
    instant = oracle.EPOCH + dt.timedelta(microseconds=time_us // 1000 * 1000)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"
