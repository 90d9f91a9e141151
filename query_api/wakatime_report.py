"""Stats, all time, projects and heartbeats in WakaTime's own form, for widgets and cards made for it. Pure."""

from urllib.parse import quote

from query_api import wording
from query_api.models_wakatime import (
    AllTimeData,
    AllTimeRange,
    BestDay,
    WakaHeartbeat,
    WakaProject,
    WakaStatsData,
)
from query_api.ranges import Measured
from query_api.summaries_report import day_range
from query_api.totals import full_total
from query_api.wakatime_forms import all_parts, total_of
from schemas.calendars import date_of
from schemas.dimensions import Dimension
from schemas.heartbeat import Heartbeat, iso_utc
from schemas.users import User
from storage.stats.reader import LocalDays


def stats(user: User, measured: Measured, local: LocalDays, range_name: str, now_us: int, today: int) -> WakaStatsData:
    """Write what a range measures as one sequence; `local`: its days' totals, `today` the day that it is there."""
    total = total_of(measured)
    active = sum(total_of(of_day) > 0 for of_day in local.measured.values())
    average = total // active if active else 0
    lists = all_parts(measured)
    total_text, average_text = wording.status_text(total), wording.status_text(average)
    return WakaStatsData(
        id=f"{user.user_id}-{range_name}",
        user_id=str(user.user_id),
        username=user.username,
        range=range_name,
        human_readable_range=range_name.replace("_", " ").title(),
        start=day_range(local.timezone, local.days.start, today).start,
        end=day_range(local.timezone, local.days.stop - 1, today).end,
        timezone=local.timezone,
        is_including_today=today in local.days,
        holidays=len(local.days) - active,
        days_including_holidays=len(local.days),
        days_minus_holidays=active,
        total_seconds=float(total),
        total_seconds_including_other_language=float(total),
        human_readable_total=total_text,
        human_readable_total_including_other_language=total_text,
        daily_average=float(average),
        daily_average_including_other_language=float(average),
        human_readable_daily_average=average_text,
        human_readable_daily_average_including_other_language=average_text,
        best_day=_best_day(local),
        created_at=wording.whole_second(user.created_at_us),
        modified_at=wording.whole_second(now_us),
        categories=lists["categories"],
        projects=lists["projects"],
        languages=lists["languages"],
        editors=lists["editors"],
        operating_systems=lists["operating_systems"],
        machines=lists["machines"],
    )


def all_time(measured: Measured, local: LocalDays, today: int) -> AllTimeData:
    """Write the total of `measured`; `local`: totals of the days since the first heartbeat, `today` as in `stats`."""
    seconds = total_of(measured)
    total = full_total(seconds, wording.status_text(seconds))
    active = sum(total_of(of_day) > 0 for of_day in local.measured.values())
    first, last = (day_range(local.timezone, day, today) for day in (local.days.start, local.days.stop - 1))
    return AllTimeData(
        total_seconds=total.total_seconds,
        text=total.text,
        decimal=total.decimal,
        digital=total.digital,
        daily_average=float(seconds // active if active else 0),
        range=AllTimeRange(
            start=first.start,
            start_date=first.date,
            start_text=first.text,
            end=last.end,
            end_date=last.date,
            end_text=last.text,
            timezone=local.timezone,
        ),
    )


def projects(measured: Measured, now_us: int) -> list[WakaProject]:
    """List the projects that have a name, the newest first."""
    named = [
        (value, segment)
        for (dimension, value), segment in measured.items()
        if dimension == Dimension.PROJECT and isinstance(value, str) and value
    ]
    return [
        _project(name, segment.first_us, segment.last_us, now_us)
        for name, segment in sorted(named, key=lambda entry: (-entry[1].last_us, entry[0]))
    ]


def heartbeat(h: Heartbeat, user_id: int) -> WakaHeartbeat:
    """Show a heartbeat as WakaTime does."""
    return WakaHeartbeat(
        id=str(h.id),
        user_id=str(user_id),
        time=h.time_us / 1_000_000,
        entity=h.entity,
        type=h.type,
        category=h.category,
        project=h.project,
        project_root_count=h.project_root_count,
        branch=h.branch,
        language=h.language,
        dependencies=h.dependencies,
        is_write=h.is_write,
        lines=h.lines,
        lineno=h.lineno,
        cursorpos=h.cursorpos,
        line_additions=h.line_additions,
        line_deletions=h.line_deletions,
        ai_model=h.ai_model,
        ai_session=h.ai_session,
        ai_subscription_plan=h.ai_subscription_plan,
        ai_input_tokens=h.ai_input_tokens,
        ai_output_tokens=h.ai_output_tokens,
        ai_prompt_length=h.ai_prompt_length,
        ai_line_changes=h.ai_line_changes,
        human_line_changes=h.human_line_changes,
        machine_name_id=h.machine,
        user_agent_id=h.user_agent,
        created_at=iso_utc(h.created_at_us),
    )


def _best_day(local: LocalDays) -> BestDay | None:
    timed = [(total_of(of_day), -day) for day, of_day in local.measured.items()]
    seconds, negative_day = max(timed, default=(0, 0))
    if not seconds:
        return None
    return BestDay(date_of(-negative_day).isoformat(), float(seconds), wording.status_text(seconds))


def _project(name: str, first_us: int, last_us: int, now_us: int) -> WakaProject:
    quoted = quote(name, safe="")
    first = wording.whole_second(first_us)
    return WakaProject(
        id=name,
        name=name,
        urlencoded_name=quoted,
        url=f"/projects/{quoted}",
        created_at=first,
        first_heartbeat_at=first,
        last_heartbeat_at=wording.whole_second(last_us),
        human_readable_first_heartbeat_at=wording.time_ago(first_us, now_us),
        human_readable_last_heartbeat_at=wording.time_ago(last_us, now_us),
    )
