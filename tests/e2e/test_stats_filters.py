"""Every parameter of `/users/{u}/stats` against the oracle, over HTTP (semantics.md, sections 4 and 6)."""

import datetime as dt
import itertools
import random
import time

import pytest

from tests import oracle, oracle_answers
from tests.e2e.history import beat, mixed, seen
from tests.today import NOT_UTC, quiet_zone, wait_for_a_quiet_moment

START_S = int(dt.datetime(2023, 3, 30, 21, tzinfo=dt.UTC).timestamp())
CATEGORIES = ["coding", "coding", "debugging", "browsing", "Meeting", "communicating", "ai coding", "AI Coding"]


def iso(seconds):
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


@pytest.fixture(scope="module")
def history(server):
    """A user with four days of work in many categories, the last of them far from the others, and a quiet start."""
    account = server.new_account(timezone="Asia/Kolkata")
    answered = account.send(beat(START_S - 86_400 * 400, project="alpha", category="coding"))
    for seed, day in enumerate((0, 1, 2, 40)):
        rng = random.Random(seed)
        sent = mixed(seed + 100, START_S + 86_400 * day, 20_000)
        sent = [h | {"category": rng.choice(CATEGORIES), "language": _spelt(rng, h["language"])} for h in sent]
        answered += account.send(*sent[40:], settle=False) + account.send(*sent[:40])
        if seed == 1:
            server.cli("flush")
    return account, seen(answered)


def _spelt(rng, language):
    return rng.choice(["python", "py", "js"]) if language == "python" else language


RANGES = {
    "all of it": (START_S - 86_400 * 500, START_S + 86_400 * 60),
    "whole UTC days": (START_S // 86_400 * 86_400, START_S // 86_400 * 86_400 + 2 * 86_400),
    "cut at both ends": (START_S + 3_000.25, START_S + 86_400 * 2 + 3_333.5),
    "inside one day": (START_S + 1_000, START_S + 5_000),
    "after a long break": (START_S + 86_400 * 39, START_S + 86_400 * 41),
    "nothing": (START_S - 86_400 * 3, START_S - 86_400 * 2),
    "backwards": (START_S + 5_000, START_S),
}
PROJECTS = [None, "alpha", "alpha,beta", "alpha,Beta,beta", ",alpha", "unheard of,beta", "unheard of"]
CHOICES = list(itertools.product(PROJECTS, [None, "coding", "coding,debugging", "Meeting,ai coding"]))


def _names(text):
    return None if text is None else set(text.split(","))


def _flags(**flags):
    return {name: "true" for name, is_set in flags.items() if is_set}


@pytest.mark.parametrize("bounds", RANGES.values(), ids=RANGES)
def test_the_total_alone_equals_the_oracle_with_any_filters(history, bounds):
    account, heartbeats = history
    start, end = bounds
    for (projects, categories), (aware, no_ai, test) in itertools.product(
        CHOICES, itertools.product((False, True), repeat=3)
    ):
        params = {"filter_by_project": projects, "filter_by_category": categories}
        params = {name: value for name, value in params.items() if value is not None}
        params |= _flags(boundary_aware=aware, no_ai_coding=no_ai, test_param=test)
        expected = oracle_answers.total_alone(
            heartbeats,
            round(start * 1_000_000),
            round(end * 1_000_000),
            _names(projects),
            _names(categories),
            aware,
            no_ai,
            test,
        )
        shown = account.stats(start_date=iso(start), end_date=iso(end), total_seconds="true", **params)
        assert shown == expected, params


@pytest.mark.parametrize("projects", PROJECTS)
@pytest.mark.parametrize("bounds", RANGES.values(), ids=RANGES)
def test_the_whole_answer_equals_the_oracle_with_any_filters(history, bounds, projects):
    account, heartbeats = history
    start, end = bounds
    user = {name: getattr(account, name) for name in ("user_id", "username", "trust_level", "trust_value")}
    for no_ai, test, limit in itertools.product((False, True), (False, True), (0, 2)):
        params = {} if projects is None else {"filter_by_project": projects}
        params |= _flags(no_ai_coding=no_ai, test_param=test) | {"limit": limit, "features": "languages,projects"}
        expected = oracle_answers.stats(
            heartbeats,
            user,
            round(start * 1_000_000),
            round(end * 1_000_000),
            ("languages", "projects"),
            limit,
            _names(projects),
            no_ai,
            test,
        )
        # What concerns totals alone changes nothing here.
        ignored = {"boundary_aware": "true", "filter_by_category": "coding"}
        assert account.stats(start_date=iso(start), end_date=iso(end), **params, **ignored) == expected, params


def test_worked_example_16(account):
    account.send(*(beat(START_S + offset) for offset in (0, 50, 100, 160, 400)))
    for start, end, plain, aware in ((60, 200, 60, 110), (60, 160, 0, 110), (161, 401, 0, 120), (500, 600, 0, 0)):
        bounds = {"start_date": iso(START_S + start), "end_date": iso(START_S + end)}
        assert (account.total(**bounds), account.total(**bounds, boundary_aware="true")) == (plain, aware)


def test_the_streak_is_of_the_users_own_days(server):
    zone = quiet_zone(*NOT_UTC)
    wait_for_a_quiet_moment(zone)
    account = server.new_account(timezone=zone)
    now = int(time.time())
    known = []
    for day, expected in ((0, 1), (2, 1), (1, 3), (4, 3), (3, 5)):
        known += account.send(*(beat(now - day * 86_400 - 1000 + 100 * number) for number in range(11)))
        streak = account.stats()["data"]["streak"]
        assert streak == oracle.streak(seen(known), zone, round(time.time() * 1_000_000)) == expected


def test_late_heartbeats_change_filtered_totals(account):
    two = {"filter_by_project": "a,b", "start_date": iso(START_S)}
    account.send(beat(START_S, project="a"), beat(START_S + 100, project="a"), beat(START_S + 50, project="b"))
    assert account.total(**two) == 100
    account.send(beat(START_S + 160, project="b"))
    assert account.total(**two) == 160
    account.send(beat(START_S - 30, project="b"))
    assert (account.total(**two), account.total(**two, boundary_aware="true")) == (160, 190)


def test_openapi_describes_every_parameter_and_nothing_as_missing(server):
    operation = server.http.get("/openapi.json").json()["paths"]["/api/v1/users/{username}/stats"]["get"]
    described = {p["name"]: p.get("description", "") for p in operation["parameters"] if p["in"] == "query"}
    assert described.keys() == {
        "start_date",
        "end_date",
        "features",
        "limit",
        "filter_by_project",
        "filter_by_category",
        "total_seconds",
        "boundary_aware",
        "no_ai_coding",
        "test_param",
    }
    assert all(described.values())
    assert "supported" not in str(described)
