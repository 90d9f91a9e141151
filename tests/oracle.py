"""A naive reading of semantics.md, section 6 and its first table, over a plain list of heartbeats.

It sorts, loops and sums, and shares no code with the packages. A heartbeat is a dict with `id`, `time_us` and the
fields of the API; instants and durations are integers, microseconds.

What answers each read route; {h}, {1}, {w} are /api/hackatime/v1, /api/v1 and /api/compat/wakatime/v1:

| route | oracle |
|---|---|
| {h}/users/{id}/statusbar/today | today_seconds, oracle_answers.long_text |
| {1}/users/{id}/statusbar/today, {w}/users/{id}/statusbar/today | oracle_wakatime.statusbar |
| /api/users/{id}/statusbar/today | the same |
| {1}/users/{id}/status_bar/today, {w}/users/{id}/status_bar/today | oracle_wakatime.status_bar |
| {1}/stats | oracle_answers.own_stats, operators_seconds |
| {1}/users/{username}/stats | oracle_answers.stats, total_alone; streak, unique_seconds |
| {h}/users/{id}/stats/last_7_days | oracle_ranges.last_7_days, week_bounds |
| {h}/users/{id}/summaries | oracle_ranges.summaries |
| {1}/users/{username}/summaries, {w}/users/{username}/summaries | oracle_wakatime.summaries |
| {1}/users/{username}/stats/{range}, {w}/users/{username}/stats/{range} | oracle_wakatime.stats |
| {w}/users/{username}/stats | oracle_wakatime.stats |
| {1}/users/{username}/all_time_since_today, {w}/users/{username}/all_time_since_today | oracle_wakatime.all_time |
| {1}/users/{id}/heartbeats, {w}/users/{id}/heartbeats | oracle_wakatime.heartbeats_of_day |
| {w}/users/{username}/projects | oracle_wakatime.projects |
| {1}/users/{username}/projects | grouped |
| {1}/users/{username}/projects/details, {1}/users/{username}/project/{project} | oracle_ranges.project_details |
| {1}/users/{username}/heartbeats/spans | oracle_ranges.spans |
| {1}/badge/{username}/{project} | oracle_ranges.badge |
| /api/summary | oracle_wakatime.summary, interval_dates |
| {1}/my/heartbeats | oracle_ranges.my_heartbeats |
| {1}/my/heartbeats/most_recent | oracle_ranges.most_recent, oracle_answers.time_ago |
| {h}/users/{id}, {1}/users/{id}, {w}/users/{id} | who they are, as they were added |
| {1}/users/{username}/trust_factor, {1}/users/lookup_email/{email}, {1}/users/lookup_slack_uid/{slack_uid} | the same |
| /up | no figures |
"""

import datetime as dt
import functools
import importlib.resources
import io
import itertools
import zoneinfo
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

CAP_US = 120_000_000
DAY_US = 86_400_000_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def accepted(heartbeats):
    """Each heartbeat once, in order of (time, id), whatever was sent again and in whatever order."""
    return [h for _, h in sorted({(h["time_us"], h["id"]): h for h in heartbeats}.items())]


def total_us(heartbeats):
    """D(T): the gaps between neighbours in time, each at most 120 s."""
    times = sorted(h["time_us"] for h in heartbeats)
    total = 0
    for i in range(1, len(times)):
        total += min(times[i] - times[i - 1], CAP_US)
    return total


def seconds(duration_us):
    """Round once, for printing; Python rounds a Fraction half to even, as HEAD does."""
    return round(Fraction(duration_us, 1_000_000))


def quotient(dividend, divisor, places):
    """Divided and rounded for printing, halves up: what Ruby's `round` makes of a quotient."""
    exact = Decimal(dividend) / Decimal(divisor)  # 28 digits: a half is seen to be one
    return float(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def percent(part, whole):
    return quotient(100 * part, whole, 2)


def total_seconds(heartbeats):
    return seconds(total_us(heartbeats))


def grouped(heartbeats, field):
    """The heartbeats of each value of `field`; null is a value of its own."""
    groups = {}
    for h in heartbeats:
        groups.setdefault(h.get(field), []).append(h)
    return groups


def group_seconds(heartbeats, field):
    """Each group measures its own sequence: the parts do not add up to the total."""
    return {value: total_seconds(group) for value, group in grouped(heartbeats, field).items()}


def followed_us(heartbeats):
    """Each gap between neighbours belongs to the project of the earlier one, in order of (time, id)."""
    ordered = accepted(heartbeats)
    gaps = {h.get("project"): 0 for h in ordered}
    for earlier, later in itertools.pairwise(ordered):
        gaps[earlier.get("project")] += min(later["time_us"] - earlier["time_us"], CAP_US)
    return gaps


def between(heartbeats, start_us, end_us):
    """Range [a, b): filters come before gaps are measured."""
    return [h for h in heartbeats if start_us <= h["time_us"] < end_us]


def utc_day(time_us):
    return (EPOCH + dt.timedelta(microseconds=time_us)).date()


def local_time(zone, time_us):
    return (EPOCH + dt.timedelta(microseconds=time_us)).astimezone(_zone(zone))


def local_date(zone, time_us):
    return local_time(zone, time_us).date()


def local_day(zone, time_us):
    """The local day that owns an instant.

    Day d starts right after the last instant whose local date is before d (design.md). So an instant belongs to the
    smallest local date that is still to come from it on: clocks that go back over midnight bring one back. No zone
    has gone back by more than 3 hours since 2001, and always at a whole minute.
    """
    return _day_at_minute(zone, time_us // 60_000_000)


def days(heartbeats, zone):
    """The heartbeats of each local day."""
    of_day = {}
    for h in heartbeats:
        of_day.setdefault(local_day(zone, h["time_us"]), []).append(h)
    return of_day


def day_seconds(heartbeats, zone):
    """Day d in zone z: its own heartbeats alone; no gap crosses its bounds."""
    return {day: total_seconds(of_day) for day, of_day in days(heartbeats, zone).items()}


def today_seconds(heartbeats, zone, now_us):
    """The status bar: the user's local day that it is now, future instants of it included."""
    return day_seconds(heartbeats, zone).get(local_day(zone, now_us), 0)


AWAY_FROM_CODE = ("browsing", "meeting", "communicating")


def selected(heartbeats, projects=None, categories=None, without=()):
    """Filters come before gaps are measured: names are exact, left out categories are meant in any case."""
    kept = []
    for h in heartbeats:
        if projects is not None and h.get("project") not in projects:
            continue
        if categories is not None and h.get("category") not in categories:
            continue
        if h.get("category", "coding").lower() in without:
            continue
        kept.append(h)
    return kept


def boundary_aware_us(heartbeats, start_us, end_us):
    """D({p} + {t: a <= t <= b}), p the newest before a; the categories away from code never count."""
    coding = selected(heartbeats, without=AWAY_FROM_CODE)
    earlier = [h for h in coding if h["time_us"] < start_us]
    newest = [max(earlier, key=lambda h: h["time_us"])] if earlier else []
    inside = [h for h in coding if start_us <= h["time_us"] <= end_us]
    return total_us(newest + inside) if inside else 0


def unique_seconds(heartbeats, projects, start_us, end_us):
    """Category coding alone, end inclusive; gaps over 120 s are dropped, not capped; cut to whole seconds."""
    inside = between(selected(accepted(heartbeats), projects, ["coding"]), start_us, end_us + 1)
    times = sorted(h["time_us"] for h in inside)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    return sum(gap for gap in gaps if gap <= CAP_US) // 1_000_000


def streak(heartbeats, zone, now_us):
    """Local days in a row of at least 900 s without browsing; only the last 31 days until now count."""
    since_us = now_us - 31 * DAY_US
    lately = [h for h in heartbeats if since_us <= h["time_us"] <= now_us]
    coded = selected(lately, without=("browsing",))
    enough = {day for day, of_day in days(coded, zone).items() if total_us(of_day) >= 900 * 1_000_000}
    day = local_day(zone, now_us)
    if day not in enough:
        day -= dt.timedelta(days=1)
    count = 0
    while day in enough:
        count += 1
        day -= dt.timedelta(days=1)
    return count


def window(heartbeats, start_us, end_us, limit=None):
    """my/heartbeats: both ends inclusive; the newest `limit`, ascending; the total of the whole window."""
    inside = between(accepted(heartbeats), start_us, end_us + 1)
    listed = inside if limit is None else inside[-limit:]
    return {"total_seconds": total_seconds(inside), "ids": [h["id"] for h in listed]}


def most_recent(heartbeats):
    """The newest by time that is no test entry; None for none."""
    own = [h for h in accepted(heartbeats) if h.get("entity") != "test.txt"]
    return own[-1] if own else None


@functools.lru_cache(maxsize=200_000)
def _day_at_minute(zone, minute):
    return min(_date_at_minute(zone, later) for later in range(minute, minute + 4 * 60))


@functools.lru_cache(maxsize=200_000)
def _date_at_minute(zone, minute):
    return local_date(zone, minute * 60_000_000)


def zone_data(name):
    """A zone's file of the pinned tzdata, whatever zones the machine has."""
    return importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


@functools.cache
def _zone(name):
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(zone_data(name)), key=name)
