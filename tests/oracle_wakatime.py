"""WakaTime's and Wakapi's forms, and profiles: a naive reading of semantics.md, section 7, and clients.md, 3 and 5."""

import calendar
import datetime as dt
from urllib.parse import quote

from tests import oracle, oracle_answers, oracle_ranges

DAY = dt.timedelta(days=1)
LISTS = {
    "categories": ("category", None),
    "projects": ("project", None),
    "languages": ("language", oracle_ranges.LANGUAGES),
    "editors": ("editor", oracle_ranges.EDITORS),
    "operating_systems": ("operating_system", oracle_ranges.SYSTEMS),
    "machines": ("machine", None),
}


def grand_total(total):
    """A total in WakaTime's forms; hours, minutes and decimal are cut to the minute."""
    return {
        "decimal": f"{total // 60 * 60 / 3600:.2f}",
        "digital": f"{total // 3600}:{total // 60 % 60:02d}",
        "hours": total // 3600,
        "minutes": total // 60 % 60,
        "text": oracle_answers.long_text(total),
        "total_seconds": total,
    }


def parts(timed):
    """A list of (name, seconds), in its order; percents are of the list's sum."""
    kept = [(name, s) for name, s in timed if s > 0]
    whole = sum(s for _, s in kept)
    return [grand_total(s) | {"name": name, "seconds": s % 60, "percent": oracle.percent(s, whole)} for name, s in kept]


def own_parts(heartbeats, field, shown):
    """Each group measures its own sequence; most first, then by the stored name."""
    seconds = oracle.group_seconds(heartbeats, field)
    ordered = sorted(seconds.items(), key=lambda entry: (-entry[1], entry[0] or ""))
    return parts([(_shown(value, field, shown), s) for value, s in ordered])


def lists(heartbeats):
    return {name: own_parts(heartbeats, *how) for name, how in LISTS.items()}


def day_range(zone, date, today):
    start_us, end_us = oracle_ranges.day_bounds(zone, date)
    return {
        "date": str(date),
        "start": oracle_ranges.iso(start_us),
        "end": oracle_ranges.iso(end_us - 1),
        "text": oracle_ranges.day_text(date, today),
        "timezone": zone,
    }


def statusbar(heartbeats, zone, now_us):
    """WakaTime's status bar, without `cached_at`, the time of the answer."""
    today = oracle.local_day(zone, now_us)
    return {
        "data": {
            "grand_total": grand_total(oracle.today_seconds(oracle.accepted(heartbeats), zone, now_us)),
            "range": day_range(zone, today, today),
            "categories": [],
        },
    }


def status_bar(heartbeats, zone, now_us):
    """The status bar under WakaTime's documented name, the day of the summaries; without `cached_at`, as above."""
    today = oracle.local_day(zone, now_us)
    of_day = oracle.days(oracle.accepted(heartbeats), zone).get(today, [])
    day = _summary_day(of_day, zone, today, today)
    return {"data": day, "has_team_features": False}


def summaries(heartbeats, zone, first, last, today):
    of_day = oracle.days(oracle.accepted(heartbeats), zone)
    dates = oracle_ranges.dates(first, last)
    totals = [oracle.total_seconds(of_day.get(date, [])) for date in dates]
    total, average = sum(totals), sum(totals) // len(totals)
    holidays = sum(s == 0 for s in totals)
    whole = grand_total(total)
    text = oracle_answers.long_text(average)
    return {
        "data": [_summary_day(of_day.get(date, []), zone, date, today) for date in dates],
        "cumulative_total": {
            "seconds": total,
            "text": whole["text"],
            "decimal": whole["decimal"],
            "digital": whole["digital"],
        },
        "daily_average": {
            "holidays": holidays,
            "days_including_holidays": len(dates),
            "days_minus_holidays": len(dates) - holidays,
            "seconds": average,
            "seconds_including_other_language": average,
            "text": text,
            "text_including_other_language": text,
        },
        "start": day_range(zone, first, today)["start"],
        "end": day_range(zone, last, today)["end"],
    }


def summaries_of_range(heartbeats, zone, name, now_us):
    """The same for a range by its name, in any case and with blanks; all of time is no range of days."""
    key = name.lower().replace(" ", "_")
    if key == "all_time":
        return 400, {"error": "Invalid range"}
    today = oracle.local_day(zone, now_us)
    return 200, summaries(heartbeats, zone, *named_dates(key, today), today)


def _summary_day(heartbeats, zone, date, today):
    return {
        "grand_total": grand_total(oracle.total_seconds(heartbeats)),
        **lists(heartbeats),
        "projects": parts(oracle_ranges.followed(heartbeats)),
        "dependencies": [],
        "branches": [],
        "entities": [],
        "range": day_range(zone, date, today),
    }


def stats(heartbeats, user, zone, name, now_us, project=None):
    """A named range of local days, measured as one sequence; `created_at` and `modified_at` are left to the caller."""
    today = oracle.local_day(zone, now_us)
    chosen = [h for h in oracle.accepted(heartbeats) if project is None or h.get("project") == project]
    first, last = _all_time(chosen, zone, today) if name == "all_time" else named_dates(name, today)
    inside = [h for h in chosen if first <= oracle.local_day(zone, h["time_us"]) <= last]
    total = oracle.total_seconds(inside)
    active = {day: s for day, s in oracle.day_seconds(inside, zone).items() if s > 0}
    average = total // len(active) if active else 0
    days = (last - first).days + 1
    texts = oracle_answers.long_text(total), oracle_answers.long_text(average)
    return {
        "id": f"{user['user_id']}-{name}",
        "user_id": str(user["user_id"]),
        "username": user["username"],
        "range": name,
        "human_readable_range": " ".join(word.capitalize() for word in name.split("_")),
        "start": day_range(zone, first, today)["start"],
        "end": day_range(zone, last, today)["end"],
        "timezone": zone,
        "status": "ok",
        "is_up_to_date": True,
        "is_already_updating": False,
        "is_stuck": False,
        "is_including_today": first <= today <= last,
        **{
            f"is_{what}_visible": True
            for what in (
                "coding_activity",
                "language_usage",
                "editor_usage",
                "category_usage",
                "os_usage",
                "other_usage",
            )
        },
        "percent_calculated": 100,
        "timeout": 2,
        "writes_only": False,
        "holidays": days - len(active),
        "days_including_holidays": days,
        "days_minus_holidays": len(active),
        "total_seconds": total,
        "total_seconds_including_other_language": total,
        "human_readable_total": texts[0],
        "human_readable_total_including_other_language": texts[0],
        "daily_average": average,
        "daily_average_including_other_language": average,
        "human_readable_daily_average": texts[1],
        "human_readable_daily_average_including_other_language": texts[1],
        "best_day": _best(active),
        **lists(inside),
        "dependencies": [],
    }


def all_time(heartbeats, zone, now_us, project=None):
    today = oracle.local_day(zone, now_us)
    chosen = [h for h in oracle.accepted(heartbeats) if project is None or h.get("project") == project]
    first, last = (day_range(zone, date, today) for date in _all_time(chosen, zone, today))
    total = oracle.total_seconds(chosen)
    active = sum(s > 0 for s in oracle.day_seconds(chosen, zone).values())
    whole = grand_total(total)
    return {
        **{name: whole[name] for name in ("total_seconds", "text", "decimal", "digital")},
        "daily_average": total // active if active else 0,
        "is_up_to_date": True,
        "percent_calculated": 100,
        "timeout": 2,
        "range": {
            "start": first["start"],
            "start_date": first["date"],
            "start_text": first["text"],
            "end": last["end"],
            "end_date": last["date"],
            "end_text": last["text"],
            "timezone": zone,
        },
    }


def projects(heartbeats, now_us, part=""):
    """The named projects, the newest first."""
    made = []
    for name, group in oracle.grouped(heartbeats, "project").items():
        if not name or part.casefold() not in name.casefold():
            continue
        times = [h["time_us"] for h in group]
        first, last = min(times), max(times)
        entry = {
            "id": name,
            "name": name,
            "urlencoded_name": quote(name, safe=""),
            "url": "/projects/" + quote(name, safe=""),
            "created_at": oracle_ranges.iso(first),
            "first_heartbeat_at": oracle_ranges.iso(first),
            "last_heartbeat_at": oracle_ranges.iso(last),
            "human_readable_first_heartbeat_at": oracle_answers.time_ago(first, now_us),
            "human_readable_last_heartbeat_at": oracle_answers.time_ago(last, now_us),
            "has_public_url": False,
            "badge": None,
            "color": None,
            "repository": None,
        }
        made.append((-last, name, entry))
    made.sort(key=lambda entry: entry[:2])
    page = {"total_pages": 1, "page": 1, "prev_page": None, "next_page": None}
    return {"data": [entry for _, _, entry in made], "total": len(made), **page}


def heartbeats_of_day(heartbeats, zone, date, today):
    """Rows by id, ascending by time; each row's other fields are those of `row`."""
    bounds = day_range(zone, date, today)
    inside = [h for h in oracle.accepted(heartbeats) if oracle.local_day(zone, h["time_us"]) == date]
    return {"start": bounds["start"], "end": bounds["end"], "timezone": zone, "data": [row(h) for h in inside]}


SAME = (
    "time",
    "entity",
    "type",
    "category",
    "project",
    "project_root_count",
    "branch",
    "language",
    "dependencies",
    "is_write",
    "lines",
    "lineno",
    "cursorpos",
    "line_additions",
    "line_deletions",
    "ai_model",
    "ai_session",
    "ai_subscription_plan",
    "ai_input_tokens",
    "ai_output_tokens",
    "ai_prompt_length",
    "ai_line_changes",
    "human_line_changes",
)


def row(h):
    """A heartbeat with WakaTime's names, without `created_at`."""
    named = {"id": str(h["id"]), "user_id": str(h["user_id"])}
    return (
        named | {name: h[name] for name in SAME} | {"machine_name_id": h["machine"], "user_agent_id": h["user_agent"]}
    )


def summary(heartbeats, first, last):
    """/api/summary over whole UTC days, both included, but for `user_id`."""
    inside = oracle_ranges.in_dates(heartbeats, "UTC", first, last)
    return {
        "from": f"{first}T00:00:00Z",
        "to": f"{last}T23:59:59Z",
        **{name: oracle_ranges.key_totals(inside, *how) for name, how in LISTS.items()},
        **{name: [] for name in ("branches", "entities", "labels")},
    }


def interval_dates(name, today):
    """/api/summary's intervals: its `last_…` ones have a day more than WakaTime's."""
    monday = today - today.weekday() * DAY
    month = today.replace(day=1)
    year = today.replace(month=1, day=1), today.replace(month=12, day=31)
    known = {
        "yesterday": (today - DAY, today - DAY),
        "week": (monday, monday + 6 * DAY),
        "7_days": (monday, monday + 6 * DAY),
        "last_7_days": (today - 7 * DAY, today),
        "month": (month, _month_end(month)),
        "30_days": (month, _month_end(month)),
        "last_30_days": (today - 30 * DAY, today),
        "6_months": (months_back(month, 5), _month_end(month)),
        "last_6_months": (months_back(today, 6), today),
        "year": year,
        "12_months": year,
        "last_12_months": (months_back(today, 12), today),
        "last_year": (months_back(today, 12), today),
        "any": (dt.date(1970, 1, 1), today),
        "all_time": (dt.date(1970, 1, 1), today),
    }
    return known.get(name, (today, today))


def named_dates(name, today):
    """WakaTime's ranges, a year (2025) or a month (2025-06): first and last local date."""
    if name[:1].isdigit():
        year, _, month = name.partition("-")
        first = dt.date(int(year), int(month or 1), 1)
        return first, _month_end(first) if month else first.replace(month=12, day=31)
    monday, month = today - today.weekday() * DAY, today.replace(day=1)
    last_month = months_back(month, 1)
    return {
        "today": (today, today),
        "yesterday": (today - DAY, today - DAY),
        "last_7_days": (today - 6 * DAY, today),
        "last_7_days_from_yesterday": (today - 7 * DAY, today - DAY),
        "last_14_days": (today - 13 * DAY, today),
        "last_30_days": (today - 29 * DAY, today),
        "this_week": (monday, monday + 6 * DAY),
        "last_week": (monday - 7 * DAY, monday - DAY),
        "this_month": (month, _month_end(month)),
        "last_month": (last_month, _month_end(last_month)),
        "last_6_months": (months_back(today, 6) + DAY, today),
        "last_year": (months_back(today, 12) + DAY, today),
    }[name]


def months_back(date, months):
    """The same day of an earlier month, or that month's last."""
    number = date.year * 12 + date.month - 1 - months
    year, month = number // 12, number % 12 + 1
    return dt.date(year, month, min(date.day, calendar.monthrange(year, month)[1]))


def _month_end(date):
    return date.replace(day=calendar.monthrange(date.year, date.month)[1])


def _all_time(heartbeats, zone, today):
    """From the first heartbeat's day to today, or to the day of what is dated later."""
    days = {*oracle.days(heartbeats, zone), today}
    return min(days), max(days)


def _best(active):
    if not active:
        return None
    date = min(active, key=lambda day: (-active[day], day))
    return {"date": str(date), "total_seconds": active[date], "text": oracle_answers.long_text(active[date])}


def _shown(value, field, shown):
    return oracle_ranges.shown_name(value, field, shown) if value else "Other"
