"""Every read route with parameters of any kind, and what the oracle answers to it (the table of `tests.oracle`)."""

import datetime as dt
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests import oracle, oracle_answers, oracle_ranges, oracle_wakatime
from tests.server import HACKATIME, OPERATOR_KEY, PREFIXES

EVER_US = (1_000_000_000_000_000, 2_000_000_000_000_000)
_ENDS = ("start", "end"), ("start_date", "end_date")
_ENDS_OF_NAMES = (("since", "until"), ("start", "end_date"), ("start_date", "end"), ("since", "until_date"))
_OF_SUMMARY = ("user_id", "interval", "start", "end")
"""What the ends of a range are called, and how /api/summary names a user, an interval and its ends."""


class Question(NamedTuple):
    """A request, and `answer(now_us)`: its status and JSON."""

    path: str
    params: dict
    answer: Callable[[int], tuple[int, Any]]
    headers: dict | None = None
    shown: Callable[[Any], Any] = lambda body: body
    dated: dict[str, tuple[int, int | None]] | None = None
    """Fields that tell when something was done, at any depth: the time before that and after it (None: by now)."""


def instant(time_us):
    """An instant as a parameter, to the microsecond."""
    return f"{oracle.EPOCH + dt.timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%S.%f}Z"


class Questions:
    """All questions about one person; `person` has an account, heartbeats, who they are, and when that was sent."""

    def __init__(self, person, asked):
        self.person = person
        self.asked = asked
        self.heartbeats = oracle.accepted(person.heartbeats)
        self.zone = person.account.timezone
        self.start_us, self.end_us = sorted(self._end(*end) for end in asked.ends)
        self.named = self._name()
        self.now = time.time_ns() // 1_000_000_000 * 1_000_000, None  # answers tell whole seconds

    def _name(self):
        """How the path names the user; a key is sent in any case."""
        own = self.asked.named in {"current", "my"}
        return self.asked.named if own else getattr(self.person.account, self.asked.named) or "current"

    def _end(self, index, distance_us):
        around = [h["time_us"] for h in self.heartbeats] or [1_700_000_000_000_000]
        return around[index % len(around)] + distance_us

    def _bounds(self, first, last):
        is_given = zip((first, last), (self.start_us, self.end_us), self.asked.is_bounded, strict=True)
        return {name: instant(time_us) for name, time_us, given in is_given if given}

    def _stats_span(self, now_us):
        starts, ends = self.asked.is_bounded
        today_us = now_us // oracle.DAY_US * oracle.DAY_US
        start_us = self.start_us if starts else years_before(now_us, 10)
        return start_us, self.end_us if ends else today_us + oracle.DAY_US - 1_000_000

    def all(self):
        yield from self._of_statusbar()
        yield from self._of_stats()
        yield from self._of_local_days()
        yield from self._of_wakatime()
        yield from self._of_projects()
        yield from self._of_heartbeats()
        yield from self._of_people()

    def _of_statusbar(self):
        def short(now_us):
            total = oracle.today_seconds(self.heartbeats, self.zone, now_us)
            return 200, {"data": {"grand_total": {"total_seconds": total, "text": oracle_answers.long_text(total)}}}

        def full(now_us):
            return 200, oracle_wakatime.statusbar(self.heartbeats, self.zone, now_us)

        yield Question(f"{HACKATIME}/users/current/statusbar/today", {}, short)

        def with_lists(now_us):
            return 200, oracle_wakatime.status_bar(self.heartbeats, self.zone, now_us)

        dated = {"cached_at": self.now}
        for prefix in (*PREFIXES[1:], "/api"):
            yield Question(f"{prefix}/users/current/statusbar/today", {}, full, dated=dated)
        for prefix in PREFIXES[1:]:
            yield Question(f"{prefix}/users/current/status_bar/today", {}, with_lists, dated=dated)

    def _of_stats(self):
        asked, user = self.asked, self.person.user
        projects = None if asked.filter is None else set(asked.filter.split(","))
        categories = None if asked.categories is None else set(asked.categories.split(","))
        aware, no_ai, test = asked.flags
        flags = {"boundary_aware": aware, "no_ai_coding": no_ai, "test_param": test}
        params = self._bounds("start_date", "end_date") | {name: "true" for name, on in flags.items() if on}
        params |= _given(filter_by_project=asked.filter, filter_by_category=asked.categories)
        path = f"/api/v1/users/{self.named}/stats"

        def total(now_us):
            span = self._stats_span(now_us)
            return 200, oracle_answers.total_alone(self.heartbeats, *span, projects, categories, aware, no_ai, test)

        def whole(now_us):
            features = {"languages"} if asked.features is None else set(asked.features.split(","))
            limit = int(asked.listed) if (asked.listed or "").isdigit() else 0
            streak = oracle.streak(self.heartbeats, self.zone, now_us)
            span = self._stats_span(now_us)
            return 200, oracle_answers.stats(
                self.heartbeats, user, *span, features, limit, projects, no_ai, test, streak
            )

        def own(now_us):
            start_us, end_us = (us // 1_000_000 * 1_000_000 for us in self._stats_span(now_us))
            return 200, oracle_answers.own_stats(oracle.between(self.heartbeats, start_us, end_us), user)

        def operators(now_us):
            return 200, str(oracle_answers.operators_seconds(self.heartbeats, *self._operators_dates(now_us)))

        yield Question(path, params | {"total_seconds": "true"}, total)
        yield Question(path, params | _given(features=asked.features, limit=asked.listed), whole)
        yield Question("/api/v1/stats", self._bounds("start_date", "end_date"), own)
        account = self.person.account
        named = {"user_email": account.email} if asked.flags[0] and account.email else {"username": account.username}
        named |= self._bounds("start_date", "end_date")
        yield Question("/api/v1/stats", named, operators, {"Authorization": f"Bearer {OPERATOR_KEY}"})

    def _operators_dates(self, now_us):
        starts, ends = self.asked.is_bounded
        start_us = self.start_us if starts else years_before(now_us, 10)
        return oracle.utc_day(start_us), oracle.utc_day(self.end_us if ends else now_us)

    def _of_local_days(self):
        asked, zone = self.asked, self.asked.zone or self.zone
        first = oracle.local_day(zone, self.start_us)
        last = first + dt.timedelta(days=asked.days - 1)
        project = asked.project if asked.filter else None
        params = {"start": str(first), "end": str(last)}
        params |= _given(timezone=asked.zone, project=project, branches=asked.branches)
        branches = set((asked.branches or "").split(",")) - {""}
        chosen = [h for h in self.heartbeats if project is None or h["project"] == project]
        chosen = [h for h in chosen if not branches or h["branch"] in branches]

        def days(now_us):
            return 200, oracle_ranges.summaries(chosen, zone, first, last, oracle.local_day(zone, now_us))

        def wakatime_days(now_us):
            return 200, oracle_wakatime.summaries(chosen, zone, first, last, oracle.local_day(zone, now_us))

        def wakatime_range(now_us):
            return oracle_wakatime.summaries_of_range(chosen, zone, asked.range_of_days, now_us)

        def week(now_us):
            user = self.person.account
            answer = oracle_ranges.last_7_days(self.heartbeats, self.zone, now_us)
            answer |= {"username": user.slack_uid or user.username, "user_id": user.slack_uid or str(user.user_id)}
            return 200, {"data": answer | oracle_ranges.week_bounds(self.zone, now_us)}

        yield Question(f"{HACKATIME}/users/current/summaries", params, days)
        yield Question(f"{HACKATIME}/users/current/stats/last_7_days", {}, week)
        for prefix in PREFIXES[1:]:
            yield Question(f"{prefix}/users/{self.named}/summaries", params, wakatime_days)
        ranged = {n: v for n, v in params.items() if n not in {"start", "end"}} | {"range": asked.range_of_days}
        yield Question(f"{PREFIXES[1 + asked.other_names]}/users/{self.named}/summaries", ranged, wakatime_range)

    def _of_wakatime(self):
        asked, user = self.asked, self.person.user
        project = asked.project if asked.filter else None
        params = _given(project=project)

        def stats(now_us):
            return 200, {"data": oracle_wakatime.stats(self.heartbeats, user, self.zone, asked.range, now_us, project)}

        def ever(now_us):
            return 200, {"data": oracle_wakatime.all_time(self.heartbeats, self.zone, now_us, project)}

        def projects(now_us):
            return 200, oracle_wakatime.projects(self.heartbeats, now_us, asked.project[:2])

        date = oracle.local_day(self.zone, self.start_us)

        def of_day(now_us):
            today = oracle.local_day(self.zone, now_us)
            return 200, oracle_wakatime.heartbeats_of_day(self.heartbeats, self.zone, date, today)

        def interval(now_us):
            dates = oracle_wakatime.interval_dates(asked.interval or "all_time", oracle.utc_day(now_us))
            if all(asked.is_bounded):
                dates = oracle.utc_day(self.start_us), oracle.utc_day(self.end_us)
            return 200, oracle_wakatime.summary(self.heartbeats, *dates) | {"user_id": self.person.account.username}

        dated = {"created_at": self.person.account.added_us, "modified_at": self.now}
        for prefix in PREFIXES[1:]:
            users = f"{prefix}/users/{self.named}"
            yield Question(f"{users}/stats/{asked.range}", params, stats, dated=dated)
            yield Question(f"{users}/all_time_since_today", params, ever)
            accepted = {"created_at": self.person.accepted_us}
            yield Question(f"{users}/heartbeats", {"date": str(date)}, of_day, dated=accepted)
        compatible = f"{PREFIXES[2]}/users/{self.named}"
        yield Question(f"{compatible}/stats", params | {"range": asked.range}, stats, dated=dated)
        yield Question(f"{compatible}/projects", {"q": asked.project[:2]}, projects)
        named, ranged, *called = ("user", "range", "from", "to") if asked.other_names else _OF_SUMMARY
        params = {named: self.person.account.username} | _given(**{ranged: asked.interval})
        params |= self._bounds(*called) if all(asked.is_bounded) else {}
        yield Question("/api/summary", params, interval)

    def _of_projects(self):
        asked = self.asked
        starts, ends = asked.is_bounded
        users = f"/api/v1/users/{self.named}"

        def details(now_us):
            return oracle_ranges.project_details(
                self.heartbeats,
                self.start_us if starts else years_before(now_us, 1),
                self.end_us if ends else now_us,
            )

        def several(now_us):
            wanted = set((asked.filter or "").split(",")) - {""}
            return 200, {"projects": [p for p in details(now_us) if not wanted or p["name"] in wanted]}

        def one(now_us):
            found = [p for p in details(now_us) if p["name"] == asked.project]
            return (200, found[0]) if found else (404, {"error": "found nuthin"})

        def names(now_us):
            start_us = self.start_us if starts else (now_us // oracle.DAY_US - 30) * oracle.DAY_US
            inside = oracle.between(self.heartbeats, start_us, (self.end_us if ends else now_us) + 1)
            return 200, {"projects": sorted(name for name in oracle.grouped(inside, "project") if name)}

        def spans(now_us):
            chosen = None if asked.filter is None else set(asked.filter.split(","))
            return 200, {"spans": oracle_ranges.spans(self.heartbeats, *self._stats_span(now_us), chosen)}

        label = "spent, ü & <b>" if asked.other_names else None

        def badge(_now_us):
            aliases = (asked.filter or "").split(",")
            status, shown = oracle_ranges.badge(self.heartbeats, asked.project, aliases, label, asked.colour)
            return status, [escape(text) for text in shown]

        bounds = self._bounds(*_ENDS[asked.other_names])
        yield Question(f"{users}/projects/details", bounds | _given(projects=asked.filter), several)
        yield Question(f"{users}/project/{quote(asked.project)}", bounds, one)
        for called in _ENDS_OF_NAMES:
            yield Question(f"{users}/projects", self._bounds(*called), names)
        one_project = asked.filter if asked.other_names and "," not in (asked.filter or ",") else None
        params = self._bounds("start_date", "end_date") | _given(project=one_project)
        params |= _given(filter_by_project="gone" if one_project else asked.filter)
        yield Question(f"{users}/heartbeats/spans", params, spans)
        path = f"/api/v1/badge/{self.person.account.username}/{asked.project}"
        params = _given(aliases=asked.filter, label=label, color=asked.colour)
        yield Question(path, params, badge, shown=_drawn)

    def _of_heartbeats(self):
        asked, limit = self.asked, self.asked.limit
        starts, ends = asked.is_bounded

        def listed(now_us):
            today_us = now_us // oracle.DAY_US * oracle.DAY_US
            start_us = self.start_us if starts else today_us
            end_us = self.end_us if ends else today_us + oracle.DAY_US - 1
            return 200, oracle_ranges.my_heartbeats(
                self.heartbeats, start_us, end_us, limit and min(limit, 100), is_window=starts or ends
            )

        def everything(_now_us):
            return 200, oracle_ranges.my_heartbeats(self.heartbeats, *EVER_US, None, is_window=True)

        def recent(now_us):
            return 200, oracle_ranges.most_recent(self.heartbeats, now_us, asked.source, asked.editor)

        accepted = dict.fromkeys(("created_at", "updated_at"), self.person.accepted_us)
        names = ("start_time", "end_time") if asked.other_names else ("start", "end")
        params = self._bounds(*names) | _given(limit=limit)
        yield Question("/api/v1/my/heartbeats", params, listed, dated=accepted)
        ever = {"start_time": instant(EVER_US[0]), "end_time": instant(EVER_US[1])}
        yield Question("/api/v1/my/heartbeats", ever, everything, dated=accepted)
        params = _given(source_type=asked.source, editor=asked.editor)
        yield Question("/api/v1/my/heartbeats/most_recent", params, recent, dated=accepted)

    def _of_people(self):
        account = self.person.account
        profile = {"id": str(account.user_id), "username": account.username, "display_name": account.username}
        profile |= {"full_name": None, "photo": None, "timezone": self.zone, "plan": "free"}
        added_us = account.added_us
        dated = {"created_at": added_us, "modified_at": (added_us[0], None)}
        for prefix in PREFIXES:
            yield Question(f"{prefix}/users/current", {}, lambda _: (200, {"data": profile}), dated=dated)
        trust = {"trust_level": account.trust_level, "trust_value": account.trust_value}
        yield Question(f"/api/v1/users/{account.username}/trust_factor", {}, lambda _: (200, trust))
        for what in ("email", "slack_uid"):
            value = getattr(account, what)
            if value:
                found = {"user_id": account.user_id, what: value}
                yield Question(f"/api/v1/users/lookup_{what}/{value}", {}, lambda _, found=found: (200, found))


def years_before(now_us, years):
    """The same time of the same day, or of that month's last."""
    now = oracle.EPOCH + dt.timedelta(microseconds=now_us)
    date = oracle_wakatime.months_back(now.date(), 12 * years)
    return (dt.datetime.combine(date, now.timetz()) - oracle.EPOCH) // dt.timedelta(microseconds=1)


def check(person, asked, get):
    """Ask everything once; return how many questions. `get(path, params, headers)` gives status, JSON or text."""
    count = 0
    for question in Questions(person, asked).all():
        before_us = time.time_ns() // 1000
        status, body = get(question.path, question.params, question.headers or person.account.headers)
        after_us = time.time_ns() // 1000
        for name, (since_us, until_us) in (question.dated or {}).items():
            wrong = [
                text for text in _values(body, name) if not since_us <= _instant_us(text) <= (until_us or after_us)
            ]
            assert not wrong, f"{question.path} {question.params}: {name} {wrong}, not {since_us} to {until_us}"
        found = status, _without(*(question.dated or ()))(question.shown(body))
        count += 1
        # The answer's own clock was between the two.
        if found != question.answer(before_us) and found != question.answer(after_us):
            raise AssertionError(_difference(question, person, found, question.answer(after_us)))
    return count


def _difference(question, person, found, expected):
    lines = "\n".join(str(h) for h in oracle.accepted(person.heartbeats))
    return (
        f"{question.path} {question.params} of a user in {person.account.timezone}\n"
        f"answers  {found}\nexpected {expected}\ndifferent: {list(_paths(found, expected))[:20]}\nheartbeats:\n{lines}"
    )


def _paths(found, expected, at=""):
    """Where two answers differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in sorted({*found, *expected}):
            yield from _paths(found.get(name, "nothing"), expected.get(name, "nothing"), f"{at}.{name}")
    elif isinstance(found, list | tuple) and isinstance(expected, list | tuple) and len(found) == len(expected):
        for number, pair in enumerate(zip(found, expected, strict=True)):
            yield from _paths(*pair, f"{at}[{number}]")
    elif found != expected:
        yield f"{at}: {found!r} for {expected!r}"


def _given(**params):
    return {name: value for name, value in params.items() if value is not None}


def _without(*names):
    """Leave out fields, at any depth, that tell when something was done."""

    def shown(body):
        if isinstance(body, dict):
            return {name: shown(value) for name, value in body.items() if name not in names}
        return [shown(item) for item in body] if isinstance(body, list) else body

    return shown


def _instant_us(text):
    return (dt.datetime.fromisoformat(text) - oracle.EPOCH) // dt.timedelta(microseconds=1)


def _values(body, name):
    """All values of a field, at any depth."""
    if isinstance(body, list):
        return [value for item in body for value in _values(item, name)]
    if not isinstance(body, dict):
        return []
    own = [body[name]] if name in body else []
    return own + [value for item in body.values() for value in _values(item, name)]


def _drawn(body):
    """The texts and colours of a badge; the fields of an error."""
    if not isinstance(body, str):
        return list(body)
    return re.findall("<text[^>]*>([^<]*)</text>", body) + re.findall('height="20" fill="([^"]*)"', body)
