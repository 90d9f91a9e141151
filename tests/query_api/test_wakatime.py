"""WakaTime's own routes: their figures against the oracle, and their answers as real clients read them."""

import base64
import datetime as dt

import msgspec
import pytest

from tests import oracle, oracle_answers, oracle_ranges
from tests.query_api.past import random_past, seen
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

PREFIXES = ("/api/v1", "/api/compat/wakatime/v1")
TODAY = dt.date(2025, 6, 15)
LISTS = {
    "languages": ("language", oracle_ranges.LANGUAGES),
    "editors": ("editor", oracle_ranges.EDITORS),
    "operating_systems": ("operating_system", oracle_ranges.SYSTEMS),
    "machines": ("machine", None),
    "projects": ("project", None),
}


def get(world, key, path, **parameters):
    answered = world.get(path, key, params=parameters or None)
    assert answered.status_code == 200, answered.text
    return answered.json()


def parts_of(heartbeats, field, shown):
    """Name and seconds of each part with any time, in order."""
    entries = [
        (
            -s,
            value or "",
            (shown or {}).get((value or "").lower(), value if not shown or field == "language" else value.capitalize())
            if value
            else "Other",
            s,
        )
        for value, s in oracle.group_seconds(heartbeats, field).items()
        if s > 0
    ]
    return [(name, float(s)) for _, _, name, s in sorted(entries)]


def shown_parts(entries):
    return [(entry["name"], entry["total_seconds"]) for entry in entries]


def past_of(world, zone):
    user, key = world.add_user("kim", timezone=zone)
    past = random_past(17, NOON - 20 * DAY)
    world.send(user, past[:120])
    world.aggregator.flush_now()
    world.send(user, past[120:])
    return key, seen(past)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns"])
@pytest.mark.parametrize(
    ("name", "days"), [("last_7_days", 7), ("last_30_days", 30), ("today", 1), ("last_year", 365), ("all_time", None)]
)
def test_stats_of_a_range_equal_the_oracle(world, prefix, zone, name, days):
    key, past = past_of(world, zone)
    today = oracle.local_day(zone, NOON)
    first = min(oracle.days(past, zone)) if days is None else today - dt.timedelta(days=days - 1)
    inside = oracle_ranges.in_dates(past, zone, first, today)
    of_day = {day: s for day, s in oracle.day_seconds(inside, zone).items() if s > 0}
    total = oracle.total_seconds(inside)
    data = get(world, key, f"{prefix}/users/current/stats/{name}")["data"]
    assert data["total_seconds"] == total
    assert data["human_readable_total"] == oracle_answers.long_text(total)
    assert data["range"] == name
    assert data["days_including_holidays"] == (today - first).days + 1
    assert data["days_minus_holidays"] == len(of_day)
    assert data["daily_average"] == (total // len(of_day) if of_day else 0)
    assert data["timezone"] == zone
    start_us, _ = oracle_ranges.day_bounds(zone, first)
    assert dt.datetime.fromisoformat(data["start"]) == oracle.EPOCH + dt.timedelta(microseconds=start_us)
    if of_day:
        best = max(of_day.values())
        assert (data["best_day"]["total_seconds"], of_day[dt.date.fromisoformat(data["best_day"]["date"])]) == (
            best,
            best,
        )
    for plural, (field, shown) in LISTS.items():
        assert shown_parts(data[plural]) == parts_of(inside, field, shown), plural
        assert not data[plural] or sum(part["percent"] for part in data[plural]) == pytest.approx(100, abs=0.05)


@pytest.mark.parametrize("name", ["last_30_days", "all_time"])
def test_stats_of_one_project_are_of_its_own_heartbeats(world, name):
    key, past = past_of(world, "Asia/Kathmandu")
    own = [h for h in past if h.get("project") == "alpha"]
    data = get(world, key, f"/api/v1/users/current/stats/{name}", project="alpha")["data"]
    assert data["total_seconds"] == oracle.total_seconds(own) > 0
    for plural, (field, shown) in LISTS.items():
        assert shown_parts(data[plural]) == parts_of(own, field, shown), plural


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("parameters", [{}, {"timezone": "Asia/Tokyo"}, {"project": "alpha"}])
def test_summaries_have_every_list_of_each_day(world, prefix, parameters):
    key, past = past_of(world, "America/St_Johns")
    zone = parameters.get("timezone", "America/St_Johns")
    chosen = [h for h in past if h.get("project") == parameters.get("project", h.get("project"))]
    first, last = TODAY - dt.timedelta(days=18), TODAY - dt.timedelta(days=3)
    shown = get(world, key, f"{prefix}/users/current/summaries", start=str(first), end=str(last), **parameters)
    expected = oracle_ranges.summaries(chosen, zone, first, last, oracle.local_day(zone, NOON))
    assert shown["cumulative_total"]["seconds"] == expected["cumulative_total"]["seconds"] > 0
    for day, wanted in zip(shown["data"], expected["data"], strict=True):
        date = dt.date.fromisoformat(wanted["range"]["date"])
        of_day = oracle_ranges.in_dates(chosen, zone, date, date)
        assert day["range"] == wanted["range"]
        assert day["grand_total"]["total_seconds"] == wanted["grand_total"]["total_seconds"]
        assert day["grand_total"]["text"] == oracle_answers.long_text(wanted["grand_total"]["total_seconds"])
        assert shown_parts(day["projects"]) == oracle_ranges.followed(of_day)
        for plural in LISTS.keys() - {"projects"}:
            assert shown_parts(day[plural]) == parts_of(of_day, *LISTS[plural]), plural


@pytest.mark.parametrize("name", ["today", "Last 7 Days", "last_30_days", "yesterday"])
def test_summaries_take_a_named_range(world, ada, name):
    world.send(ada[0], *(beats(NOON - days * DAY, 0, 60) for days in range(40)))
    shown = get(world, ada[1], "/api/v1/users/current/summaries", range=name)
    count = {"today": 1, "Last 7 Days": 7, "last_30_days": 30, "yesterday": 1}[name]
    assert len(shown["data"]) == count
    assert shown["cumulative_total"]["seconds"] == 60 * count


@pytest.mark.parametrize("prefix", PREFIXES)
def test_all_time_since_today_is_all_that_was_ever_sent(world, ada, prefix):
    world.send(
        ada[0],
        beats(NOON - 4000 * DAY, 0, 60, project="old"),
        beats(NOON, 0, 100, project="new"),
        beats(NOON + 2 * DAY, 0, 30, project="new"),
    )
    path = f"{prefix}/users/current/all_time_since_today"
    data = get(world, ada[1], path)["data"]
    assert (data["total_seconds"], data["text"], data["is_up_to_date"]) == (60 + 120 + 100 + 120 + 30, "7 mins", True)
    assert (data["range"]["start_date"], data["range"]["end_date"]) == ("2014-07-03", "2025-06-17")
    assert get(world, ada[1], path, project="new")["data"]["total_seconds"] == 100 + 120 + 30
    assert get(world, ada[1], path, project="gone")["data"]["total_seconds"] == 0


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_user_who_sent_nothing_has_empty_answers(world, ada, prefix):
    users = f"{prefix}/users/current"
    assert get(world, ada[1], f"{users}/all_time_since_today")["data"]["range"]["start_date"] == "2025-06-15"
    for name in ("all_time", "last_7_days"):
        data = get(world, ada[1], f"{users}/stats/{name}")["data"]
        assert (data["total_seconds"], data["best_day"], data["languages"]) == (0, None, [])
    assert get(world, ada[1], f"{users}/heartbeats", date="2025-06-15")["data"] == []


def test_projects_come_newest_first_and_can_be_searched(world, ada):
    path = "/api/compat/wakatime/v1/users/current/projects"
    world.send(
        ada[0], beat(NOON - 50 * DAY, project="Old one"), beat(NOON - DAY, project="new/ß"), beat(NOON, project="")
    )
    shown = get(world, ada[1], path)
    assert [p["name"] for p in shown["data"]] == ["new/ß", "Old one"]
    assert (
        shown["data"][0]
        | {
            "urlencoded_name": "new%2F%C3%9F",
            "last_heartbeat_at": "2025-06-14T12:00:00Z",
            "human_readable_last_heartbeat_at": "1 day ago",
        }
        == shown["data"][0]
    )
    assert [p["name"] for p in get(world, ada[1], path, q="OLD")["data"]] == ["Old one"]
    # the path that Hackatime has as well keeps Hackatime's answer
    assert get(world, ada[1], "/api/v1/users/current/projects") == {"projects": ["new/ß"]}
    assert "trust_factor" in get(world, ada[1], "/api/v1/users/current/stats")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_heartbeats_are_those_of_one_local_day(world, prefix):
    user, key = world.add_user("kim", timezone="Asia/Kolkata")
    midnight = NOON - DAY // 2 - 5 * 3600 * SECOND - 1800 * SECOND
    world.send(user, beat(midnight - 1), beat(midnight + DAY))
    world.aggregator.flush_now()
    first, last = beat(midnight, dependencies=["a"], machine="desk"), beat(midnight + DAY - 1)
    world.send(user, last, first)
    path = f"{prefix}/users/current/heartbeats"
    shown = get(world, key, path, date="2025-06-15")
    assert [h["id"] for h in shown["data"]] == [str(first.id), str(last.id)]
    assert (
        shown["data"][0]
        | {
            "time": midnight / SECOND,
            "user_id": str(user.user_id),
            "machine_name_id": "desk",
            "dependencies": ["a"],
            "project": "heartline",
        }
        == shown["data"][0]
    )
    assert (shown["start"], shown["end"]) == ("2025-06-14T18:30:00Z", "2025-06-15T18:29:59Z")
    for date in (None, "", "soon", "2025-02-30"):
        refused = world.get(path, key, params={"date": date} if date is not None else {})
        assert (refused.status_code, list(refused.json())) == (400, ["error"])


def test_heartbeats_are_shown_to_their_user_alone(world, ada):
    _, other = world.add_user("bob")
    for key, status in ((None, 401), (other, 403), (ada[1], 200)):
        assert world.get("/api/v1/users/ada/heartbeats", key, params={"date": "today"}).status_code == status
    # whether there is such a user is nothing to tell without a key
    for key, status in ((None, 401), (other, 404)):
        assert world.get("/api/v1/users/nobody/heartbeats", key, params={"date": "today"}).status_code == status


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_unknown_range_is_a_400(world, ada, prefix):
    for path in ("stats/soon", "stats/2025-13", "summaries?range=soon", "summaries?range=all_time", "summaries"):
        refused = world.get(f"{prefix}/users/current/{path}", ada[1])
        assert (refused.status_code, list(refused.json())) == (400, ["error"])


class TestReadmeCards:
    """Read as github-readme-stats, waka-readme-stats, waka-readme and lowlighter/metrics do, field by field."""

    @pytest.fixture
    def key(self, world, ada):
        world.send(
            ada[0],
            beats(
                NOON - DAY,
                *range(0, 5400, 90),
                project="app",
                language="Python",
                editor="vim",
                operating_system="linux",
            ),
            beats(NOON - 2 * DAY, *range(0, 660, 60), project="site", language="js", editor="vscode"),
        )
        return ada[1]

    @pytest.mark.usefixtures("key")
    @pytest.mark.parametrize("path", ["/api/v1/users/ada/stats", "/api/compat/wakatime/v1/users/ada/stats"])
    def test_github_readme_stats(self, world, path):
        """Repository anuraghazra/github-readme-stats: src/fetchers/wakatime.js, src/cards/wakatime.js."""
        stats = get(world, None, f"{path}?is_including_today=true")["data"]
        assert stats["is_coding_activity_visible"] is stats["is_other_usage_visible"] is True
        languages = stats["languages"]
        weight = round(100 / sum(language["percent"] for language in languages), 2)
        shown = [
            (language["name"], language["text"], language["percent"] * weight > 0)
            for language in languages
            if language["hours"] or language["minutes"]
        ]
        texts = ("1h 28m", "10m") if path.startswith("/api/v1") else ("1 hr 28 mins", "10 mins")
        assert shown == [("Python", texts[0], True), ("JavaScript", texts[1], True)]

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_waka_readme_stats(self, world, key, prefix):
        """Repository anmol098/waka-readme-stats: sources/main.py, sources/manager_download.py."""
        latest = get(world, None, f"{prefix}/users/current/stats/last_7_days?api_key={key}")["data"]
        assert latest["timezone"] == "UTC"
        for name, first in (
            ("languages", "Python"),
            ("editors", "Vim"),
            ("projects", "app"),
            ("operating_systems", "Linux"),
        ):
            shown = [(e["name"], e["text"], f"{e['percent']:05.2f}") for e in latest[name]]
            assert shown[0][:2] == (first, "1 hr 28 mins")
        everything = get(world, None, f"{prefix}/users/current/all_time_since_today?api_key={key}")["data"]
        assert everything["text"] == "1 hr 40 mins"

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_waka_readme(self, world, key, prefix):
        """Repository athul/waka-readme: main.py."""
        data = get(world, None, f"{prefix}/users/current/stats/last_7_days?api_key={key}")["data"]
        lines = [
            f"{e['name']:12}{e['text']:20}{'x' * int(round(e['percent']) / 4)} {e['percent']}%"
            for e in data["languages"]
        ]
        assert lines == [
            "Python      1 hr 28 mins        xxxxxxxxxxxxxxxxxxxxxx 89.85%",
            "JavaScript  10 mins             xx 10.15%",
        ]

    @pytest.mark.parametrize("range_name", ["last_7_days", "last_30_days", "last_6_months", "last_year"])
    def test_lowlighter_metrics(self, world, key, range_name):
        """Repository lowlighter/metrics: source/plugins/wakatime/index.mjs."""
        stats = get(world, None, f"/api/v1/users/current/stats/{range_name}?api_key={key}")["data"]
        for total, daily in (
            ("total_seconds", "daily_average"),
            ("total_seconds_including_other_language", "daily_average_including_other_language"),
        ):
            assert (stats[total], stats[daily]) == (6030.0, 3015.0)
        for name in ("projects", "languages", "operating_systems", "editors"):
            assert sum(part["percent"] / 100 for part in stats[name]) == pytest.approx(1)
            assert all(isinstance(part["total_seconds"], float) for part in stats[name])


class TestStatusBarsAndDesktops:
    """Read as oh-my-posh, wakapanel (GNOME) and WakaTime's browser extension do."""

    @pytest.fixture
    def key(self, world, ada):
        world.send(ada[0], beats(NOON, *range(0, 3780, 60), language="Python", editor="vim"), beats(NOON - DAY, 0, 60))
        return ada[1]

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_oh_my_posh(self, world, key, prefix):
        """Repository JanDeDobbeleer/oh-my-posh: src/segments/wakatime.go, with the address of its documentation."""

        class Totals(msgspec.Struct):
            text: str
            seconds: float

        class Answer(msgspec.Struct):
            start: str
            end: str
            cumulative_total: Totals

        answer = world.get(f"{prefix}/users/current/summaries?start=today&end=today&api_key={key}")
        assert msgspec.json.decode(answer.content, type=Answer).cumulative_total == Totals("1 hr 2 mins", 3720.0)

    @pytest.mark.parametrize(("range_name", "total"), [("today", 3720), ("last_7_days", 3780), ("last_30_days", 3780)])
    def test_wakapanel(self, world, key, range_name, total):
        """Repository Anoop130/wakapanel: wakapanel@rsim/extension.js."""
        authorization = {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"}
        answer = world.get(f"/api/v1/users/current/summaries?range={range_name}", headers=authorization)
        days = answer.json()["data"]
        assert sum(day["grand_total"]["total_seconds"] for day in days) == total
        for name in ("languages", "projects", "editors"):
            items = [item for day in days for item in day[name]]
            assert sum(item["total_seconds"] for item in items) == total
            assert all(item["name"] and item["text"] for item in items)
        assert isinstance(world.get("/api/v1/users/current", headers=authorization).json()["data"], dict)

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_browser_wakatime(self, world, key, prefix):
        """Repository wakatime/browser-wakatime: src/core/WakaTimeCore.ts."""
        today = {"api_key": key, "start": "2025-06-15", "end": "2025-06-15"}
        summaries = world.get(f"{prefix}/users/current/summaries", params=today).json()
        assert summaries["data"][0]["grand_total"]["text"] == "1 hr 2 mins"
        assert world.get(f"{prefix}/users/current", params={"api_key": key}).json()["data"]["username"] == "ada"
