"""WakaTime's own routes as clients in Go decode them: every field there, of the type that theirs has.

Go refuses a whole answer for one number with a fraction where it wants none, so types are checked, not values alone.
"""

import json

import pytest

from tests.query_api.world import DAY, NOON, beats

PREFIXES = ("/api/v1", "/api/compat/wakatime/v1")

PART = {
    "name": str,
    "total_seconds": float,
    "percent": float,
    "digital": str,
    "text": str,
    "hours": int,
    "minutes": int,
    "seconds": int,
}
GRAND_TOTAL = {"digital": str, "hours": int, "minutes": int, "text": str, "total_seconds": float}
RANGE = {"date": str, "start": str, "end": str, "text": str, "timezone": str}
LISTS = ("categories", "projects", "languages", "editors", "operating_systems", "machines")


def lists_of(entry, *more):
    """Every list of an answer, each of such entries."""
    return {name: [entry] for name in (*LISTS, *more)}


DAY_OF_LISTS = {**lists_of(PART, "dependencies"), "grand_total": GRAND_TOTAL, "range": RANGE}


def fits(value, shape, at="$"):
    """Raise unless `value` has every field of `shape`, of its type."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), at
        for name, inner in shape.items():
            assert name in value, f"{at}.{name}"
            fits(value[name], inner, f"{at}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), at
        for number, item in enumerate(value):
            fits(item, shape[0], f"{at}[{number}]")
    else:
        assert type(value) in ((int, float) if shape is float else (shape,)), (at, value)


@pytest.fixture
def key(world, ada):
    """Today an hour of three projects in two languages and categories; yesterday ten minutes."""
    world.send(
        ada[0],
        beats(NOON, *range(0, 1800, 60), project="app", language="Python", editor="vim", machine="desk"),
        beats(NOON, *range(1800, 3000, 60), project="site", language="js", editor="vscode", operating_system="linux"),
        beats(NOON, *range(3000, 3601, 60), project=None, language=None, category="browsing"),
        beats(NOON - DAY, *range(0, 601, 60), project="app", language="Python"),
    )
    return ada[1]


def asked(world, key, path, **parameters):
    """Ask under WakaTime's path and Wakapi's: both answer the same."""
    parameters = {"api_key": key, "cache": "false", **parameters}
    one, other = (world.get(f"{prefix}/users/current/{path}", params=parameters) for prefix in PREFIXES)
    assert one.status_code == 200, one.text
    assert one.content == other.content
    return json.loads(one.content)


def test_markscribe(world, key):
    """Repository charmbracelet/markscribe, which writes READMEs: wakatime.go, wakatimeTypes.go."""
    stats = asked(world, key, "stats/last_7_days")["data"]
    texts = ("human_readable_total", "human_readable_daily_average", "range", "human_readable_range", "status")
    texts += ("start", "end", "timezone", "user_id", "username", "created_at", "modified_at")
    numbers = ("total_seconds", "daily_average")
    counts = ("holidays", "days_including_holidays", "days_minus_holidays", "percent_calculated", "timeout")
    flags = ("is_already_updating", "is_coding_activity_visible", "is_other_usage_visible", "is_stuck")
    flags += ("is_including_today", "is_up_to_date", "writes_only")
    shape = lists_of(PART, "dependencies")
    shape |= dict.fromkeys(texts, str) | dict.fromkeys(numbers, float)
    shape |= dict.fromkeys(counts, int) | dict.fromkeys(flags, bool)
    shape |= {f"{name}_including_other_language": kind for name, kind in shape.items() if name in texts[:2] + numbers}
    fits(stats, shape | {"best_day": {"date": str, "text": str, "total_seconds": float}})
    # As its template prints them: the gap from yesterday's last to today's first counts two minutes more.
    assert (stats["human_readable_total"], stats["languages"][0]["name"]) == ("1 hr 12 mins", "Python")


def test_wakatime_exporter(world, key):
    """Repository MacroPower/wakatime_exporter, for Prometheus: collector/summary_types.go, collector/all-time_types.go.

    Its --wakatime.scrape-uri is the address up to `/users/current`.
    """
    summaries = asked(world, key, "summaries", start="today", end="today")
    fits(summaries, {"data": [DAY_OF_LISTS], "start": str, "end": str})
    (today,) = summaries["data"]
    metrics = {(name, part["name"]): part["total_seconds"] for name in LISTS for part in today[name]}
    assert metrics["projects", "site"] == 1200
    assert metrics["languages", "JavaScript"] == 1140
    assert metrics["categories", "browsing"] == 600
    ever = asked(world, key, "all_time_since_today")
    fits(ever, {"data": {"is_up_to_date": bool, "text": str, "total_seconds": float}})
    assert (ever["data"]["is_up_to_date"], ever["data"]["total_seconds"]) == (True, 3600 + 600 + 120)


def test_wakafetch(world, key):
    """Repository c1uckie/wakafetch, a terminal's card: types/types.go."""
    entry = {"name": str, "total_seconds": float, "seconds": float}
    lists = lists_of(entry, "dependencies", "branches", "entities")
    counted = dict.fromkeys(("days_including_holidays", "days_minus_holidays", "holidays"), int)
    shape = {
        "data": [lists | {"grand_total": GRAND_TOTAL, "range": RANGE}],
        "cumulative_total": {"digital": str, "seconds": float, "text": str},
        "daily_average": counted | {"seconds": float, "text": str},
    }
    fits(asked(world, key, "summaries", start="2025-06-09", end="2025-06-15"), shape)
    stats = asked(world, key, "stats/last_7_days")
    fits(stats, {"data": lists_of(entry) | {"total_seconds": float, "days_including_holidays": int}})


@pytest.mark.parametrize("path", ["statusbar/today", "status_bar/today"])
def test_wakatime_cli_reads_both_spellings(world, key, path):
    """Repository wakatime/wakatime-cli: pkg/summary/summary.go, the newer one; lists that are missing stay empty."""
    answer = asked(world, key, path)
    fits(answer, {"cached_at": str, "data": {"grand_total": GRAND_TOTAL | {"decimal": str}, "range": RANGE}})
    for name in LISTS:
        fits(answer["data"].get(name, []), [PART | {"decimal": str}])
    assert answer["data"]["grand_total"]["text"] == "1 hr"


@pytest.mark.parametrize(
    ("path", "shown"), [("statusbar/today", "1 hr"), ("status_bar/today", "49 mins coding, 10 mins browsing")]
)
def test_vscode_wakatime_in_a_browser(world, key, path, shown):
    """Repository wakatime/vscode-wakatime: src/web/wakatime.ts, which fails where no list of categories is."""
    today = asked(world, key, path)["data"]
    assert not today.get("has_team_features")
    output = today["grand_total"]["text"]
    if len(today["categories"]) > 1:
        output = ", ".join(f"{category['text']} {category['name']}" for category in today["categories"])
    assert output == shown


def test_widgets_of_status_bar_today(world, key):
    """Scripts for sketchybar and polybar take `digital` and `text`, cards the first project and all categories."""
    answer = asked(world, key, "status_bar/today")
    fits(answer, {"cached_at": str, "data": DAY_OF_LISTS, "has_team_features": bool})
    today = answer["data"]
    assert (today["grand_total"]["digital"], today["grand_total"]["text"]) == ("1:00", "1 hr")
    assert (today["projects"][0]["name"], today["range"]["text"]) == ("app", "Today")
    assert [(c["text"], c["name"]) for c in today["categories"]] == [("49 mins", "coding"), ("10 mins", "browsing")]


def test_wakapis_import(world, key):
    """Repository muety/wakapi: services/imports/wakatime_heartbeats.go, with its models of compat/wakatime/v1.

    It asks for the days from the first to the last of all time, then for each one's heartbeats.
    """
    ever = asked(world, key, "all_time_since_today")["data"]["range"]
    assert (ever["start_date"], ever["end_date"]) == ("2025-06-14", "2025-06-15")
    for date, count in (("2025-06-14", 11), ("2025-06-15", 61)):
        of_day = asked(world, key, "heartbeats", date=date)["data"]
        assert len(of_day) == count
        for heartbeat in of_day:
            fits(heartbeat, {"id": str, "user_id": str, "time": float, "category": str, "created_at": str})
            texts = ("branch", "entity", "language", "project", "type", "machine_name_id", "user_agent_id")
            counts = ("lines", "lineno", "cursorpos", "line_additions", "line_deletions", "ai_line_changes")
            counts += ("human_line_changes", "ai_input_tokens", "ai_output_tokens", "ai_prompt_length")
            for name in (*texts, *counts, "ai_session", "ai_model", "is_write"):
                assert name in heartbeat
