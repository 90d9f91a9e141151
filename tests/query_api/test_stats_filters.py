"""Filters, boundary-aware totals and the names of languages in `/users/{u}/stats` (semantics.md, sections 4 and 6)."""

import dataclasses

import pytest

from query_api.scans import ScanLimits, Scans
from tests.query_api.test_stats import stats
from tests.query_api.world import DAY, NOON, SECOND, beat, beats

ALONE = {"total_seconds": "true"}
AWARE = ALONE | {"boundary_aware": "true"}
YESTERDAY = NOON - DAY


def total(world, **parameters):
    return stats(world, "ada", **ALONE, **parameters)["total_seconds"]


def at(offset_s):
    """A time of the day before, as a parameter."""
    return f"2025-06-14T12:{offset_s // 60:02d}:{offset_s % 60:02d}Z"


@pytest.fixture
def refuse_scans(world, monkeypatch):
    def refuse(*_):
        raise AssertionError("the tables answer this")

    for name in ("read", "newest", "stream", "stream_measured"):
        monkeypatch.setattr(world.history, name, refuse)


class TestSeveralProjects:
    @pytest.fixture(autouse=True)
    def sent(self, world, ada):
        user, _ = ada
        world.send(
            user,
            beat(YESTERDAY, project="a", language="Go"),
            beat(YESTERDAY + 50 * SECOND, project="b", language="Go"),
            beat(YESTERDAY + 60 * SECOND, project="c", language="C"),
            beat(YESTERDAY + 100 * SECOND, project="a", language=None),
            beat(YESTERDAY + 150 * SECOND, project="b", language="C"),
        )

    def test_are_measured_as_one_sequence_and_listed_each_by_itself(self, world):
        shown = stats(world, "ada", filter_by_project="a,b", features="languages,projects")
        assert shown["total_seconds"] == 150
        assert shown["projects"] == [{"name": "a", "seconds": 100}, {"name": "b", "seconds": 100}]
        assert shown["languages"] == [
            {"name": "Go", "seconds": 50},
            {"name": "C", "seconds": 0},
            {"name": "Other", "seconds": 0},
        ]
        assert total(world, filter_by_project="a,b") == 150

    def test_are_the_same_from_parquet_and_tail_together(self, world, ada):
        world.aggregator.flush_now()
        world.send(ada[0], beat(YESTERDAY + 130 * SECOND, project="a"), beat(NOON, project="b"))
        assert total(world, filter_by_project="a,b", end_date="2025-06-15") == 150
        assert total(world, filter_by_project="a,b") == 150 + 120

    def test_names_are_exact_and_empty_ones_at_the_end_are_none(self, world):
        assert total(world, filter_by_project="A,B") == total(world, filter_by_project="a ,b ") == 0
        assert total(world, filter_by_project="a,") == total(world, filter_by_project="a,nobody") == 100
        assert total(world, filter_by_project=",") == 0
        assert total(world, filter_by_project="") == total(world, filter_by_project=" ") == 150

    def test_an_empty_name_is_the_project_without_a_name_and_not_null(self, world, ada):
        world.send(ada[0], beats(NOON, 0, 10, project=""), beats(NOON, 20, 50, project=None))
        assert total(world, filter_by_project=",unheard") == 10

    @pytest.mark.usefixtures("refuse_scans")
    def test_that_never_interleave_need_no_scan(self, world, ada):
        world.send(ada[0], beats(NOON - 40 * DAY, 0, 30, project="old"))
        assert total(world, filter_by_project="old,c") == 30 + 120


class TestCategories:
    @pytest.fixture(autouse=True)
    def sent(self, world, ada):
        user, _ = ada
        for offset_s, category in enumerate(("coding", "debugging", "browsing", "Meeting", "ai coding", "coding")):
            world.send(user, beat(YESTERDAY + offset_s * 40 * SECOND, category=category))

    def test_are_exact_names_of_which_all_are_measured_together(self, world):
        assert total(world, filter_by_category="coding") == 120
        assert total(world, filter_by_category="coding,debugging") == 40 + 120
        assert total(world, filter_by_category="CODING") == total(world, filter_by_category="meeting") == 0
        assert total(world, filter_by_category="") == 200

    def test_apply_to_totals_alone(self, world):
        assert stats(world, "ada", filter_by_category="coding")["total_seconds"] == 200
        assert total(world, filter_by_category="Meeting,browsing", test_param="true") == 200

    def test_combine_with_projects(self, world, ada):
        world.send(ada[0], beat(YESTERDAY + 20 * SECOND, project="x", category="coding"))
        assert total(world, filter_by_category="coding", filter_by_project="heartline") == 120
        assert total(world, filter_by_category="coding", filter_by_project="heartline,x") == 20 + 120
        assert total(world, filter_by_category="testing", filter_by_project="heartline") == 0

    def test_ai_coding_can_be_left_out_everywhere(self, world):
        assert total(world, no_ai_coding="true") == stats(world, "ada", no_ai_coding="true")["total_seconds"] == 200
        shown = stats(world, "ada", no_ai_coding="true", start_date=at(100), features="projects")
        assert (shown["total_seconds"], shown["projects"]) == (80, [{"name": "heartline", "seconds": 80}])
        assert total(world, no_ai_coding="true", start_date=at(150)) == 0
        assert total(world, start_date=at(150)) == 40
        assert total(world, no_ai_coding="yes", start_date=at(150)) == 40

    def test_nothing_left_is_nothing(self, world):
        range_ = {"start_date": at(155), "end_date": at(165)}
        shown = stats(world, "ada", no_ai_coding="true", features="languages,projects", **range_)
        assert (shown["total_seconds"], shown["languages"], shown["projects"]) == (0, [], [])


@pytest.mark.usefixtures("refuse_scans")
def test_one_category_alone_or_all_but_browsing_need_no_scan(world, ada):
    user, _ = ada
    world.send(user, beats(YESTERDAY, 0, 50, category="coding"), beats(YESTERDAY, 20, 90, category="browsing"))
    assert total(world, filter_by_category="coding") == 50
    assert total(world, boundary_aware="true") == 50
    world.send(user, beats(YESTERDAY, 60, category="debugging"))
    assert total(world, boundary_aware="true") == 60


class TestBoundaryAware:
    @pytest.mark.parametrize(
        ("start_s", "end_s", "seconds"), [(60, 200, 110), (60, 160, 110), (60, 159, 50), (161, 401, 120), (500, 600, 0)]
    )
    def test_the_first_inside_counts_from_the_one_before_and_the_end_is_inside(
        self, world, ada, start_s, end_s, seconds
    ):
        world.send(ada[0], beats(YESTERDAY, 0, 50, 100, 160, 400))
        range_ = {"start_date": at(start_s), "end_date": at(end_s)}
        assert total(world, **range_, boundary_aware="true") == seconds
        assert total(world, **range_, test_param="true") == seconds
        assert stats(world, "ada", **range_, test_param="true")["total_seconds"] == seconds

    @pytest.mark.usefixtures("refuse_scans")
    def test_the_one_before_may_be_years_older(self, world, ada):
        world.send(ada[0], beats(NOON - 2000 * DAY, 0), beats(YESTERDAY, 0, 10))
        assert total(world, boundary_aware="true", start_date="2025-06-14") == 130
        assert total(world, start_date="2025-06-14") == 10

    def test_nothing_before_adds_nothing(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 10))
        assert total(world, boundary_aware="true", start_date=at(0)) == 10

    def test_the_one_before_is_of_the_same_projects_and_categories(self, world, ada):
        user, _ = ada
        world.send(
            user,
            beat(YESTERDAY, project="a", category="debugging"),
            beat(YESTERDAY + 10 * SECOND, project="a", category="coding"),
            beat(YESTERDAY + 30 * SECOND, project="b", category="coding"),
            beat(YESTERDAY + 50 * SECOND, project="a", category="communicating"),
            beat(YESTERDAY + 60 * SECOND, project="a", category="coding"),
        )
        range_ = {"start_date": at(55), "boundary_aware": "true"}
        assert total(world, **range_) == 30
        assert total(world, **range_, filter_by_project="a") == 50
        assert total(world, **range_, filter_by_project="a", filter_by_category="debugging,coding") == 50
        assert total(world, **range_, filter_by_project="b") == 0
        assert total(world, start_date=at(5), filter_by_project="a", filter_by_category="coding") == 50
        assert total(world, start_date=at(5), boundary_aware="true", filter_by_project="a") == 10 + 50

    def test_the_one_before_is_found_behind_many_days_of_other_things(self, world, ada):
        user, _ = ada
        world.send(user, beat(NOON - 30 * DAY, project="a", category="coding"))
        world.send(user, [beat(NOON - day * DAY, project="a", category="browsing") for day in range(29, 0, -1)])
        world.send(user, beat(NOON, project="a", category="coding"))
        assert total(world, boundary_aware="true", start_date="2025-06-15", filter_by_project="a") == 120
        assert total(world, boundary_aware="true", start_date="2025-05-10", filter_by_project="a") == 120
        world.send(user, beat(NOON - 40 * DAY, project="a", category="browsing"))
        assert total(world, boundary_aware="true", start_date="2025-05-16T12:00:00Z", filter_by_project="a") == 120

    def test_it_concerns_totals_alone(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 50, 100))
        assert stats(world, "ada", boundary_aware="true", start_date=at(60))["total_seconds"] == 0

    def test_ai_coding_can_be_left_out_as_well(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 40, category="AI Coding"), beats(YESTERDAY, 20, 60))
        assert total(world, boundary_aware="true", start_date=at(30)) == 40
        assert total(world, boundary_aware="true", start_date=at(30), no_ai_coding="true") == 40
        assert total(world, boundary_aware="true", start_date=at(50), no_ai_coding="true") == 40
        assert total(world, boundary_aware="true", start_date=at(50)) == 20


class TestTestParam:
    def test_lists_are_not_boundary_aware_and_end_before_the_end(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 50, 100, 150), beats(YESTERDAY, 60, category="Browsing", project="web"))
        shown = stats(
            world, "ada", test_param="true", start_date=at(20), end_date=at(150), features="languages,projects"
        )
        assert shown["total_seconds"] == shown["data"]["total_seconds"] == 150
        assert shown["projects"] == [{"name": "heartline", "seconds": 50}]
        assert shown["data"]["projects"][0]["percent"] == 33.33

    def test_names_are_as_sent_and_colours_as_ever(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 10, language="js"), beats(YESTERDAY, 20, language=None))
        shown = stats(world, "ada", test_param="true")
        assert [(entry["name"], entry["color"]) for entry in shown["data"]["languages"]] == [
            ("js", "#f1e05a"),
            ("Other", "#888888"),
        ]
        assert [entry["name"] for entry in shown["languages"]] == ["js", "Other"]

    def test_the_range_is_cut_to_seconds_even_for_the_total_alone(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 60.2))
        half = {"end_date": "2025-06-14T12:01:00.5Z"}
        assert total(world, **half, test_param="true") == stats(world, "ada", **half)["total_seconds"] == 0
        assert total(world, **half) == total(world, **half, boundary_aware="true") == 60


class TestNamesOfLanguages:
    def test_are_linguists_and_spellings_stay_apart(self, world, ada):
        world.send(
            ada[0],
            beats(YESTERDAY, 0, 30, language="python"),
            beats(YESTERDAY, 40, 60, language="Python"),
            beats(YESTERDAY, 70, 80, language="cpp"),
            beats(YESTERDAY, 90, 95, language="Klingon"),
        )
        shown = stats(world, "ada", limit="3")
        assert shown["languages"] == [
            {"name": "Python", "seconds": 30},
            {"name": "Python", "seconds": 20},
            {"name": "C++", "seconds": 10},
        ]
        everything = stats(world, "ada")["data"]["languages"]
        assert [(entry["name"], entry["color"]) for entry in everything] == [
            ("Python", "#3572A5"),
            ("Python", "#3572A5"),
            ("C++", "#f34b7d"),
            ("Klingon", "#888888"),
        ]

    def test_stand_in_overall_stats_too(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 30, language="js"))
        assert world.get("/api/v1/stats", ada[1]).json()["languages"] == [{"name": "JavaScript", "seconds": 30}]

    def test_ties_are_in_the_order_of_the_names_shown(self, world, ada):
        for number, language in enumerate(("zsh", "js", "go", "ada")):
            world.send(ada[0], beats(YESTERDAY + number * 1000 * SECOND, 0, 10, language=language))
        assert [e["name"] for e in stats(world, "ada")["languages"]] == ["Ada", "Go", "JavaScript", "Shell"]


class TestUniqueTotalSeconds:
    def test_drops_long_gaps_and_everything_but_coding_and_takes_the_end_in(self, world, ada):
        world.send(
            ada[0],
            beats(YESTERDAY, 0, 30, 150, 271, 280.9, project="a"),
            beats(YESTERDAY, 40, project="b"),
            beats(YESTERDAY, 50, project="a", category="debugging"),
            beats(YESTERDAY, 60, project="c"),
            beats(YESTERDAY, 300, project="a"),
        )
        asked = {"features": "projects", "filter_by_project": "a,b"}
        assert stats(world, "ada", **asked)["data"]["unique_total_seconds"] == 30 + 10 + 110 + 29
        ended = stats(world, "ada", **asked, end_date=at(150), start_date=at(30))
        assert ended["data"]["unique_total_seconds"] == 10 + 110
        cut = stats(world, "ada", **asked, start_date=at(275), end_date=at(299))
        assert cut["data"]["unique_total_seconds"] == 0
        fraction = stats(world, "ada", **asked, start_date=at(270), end_date=at(299))
        assert fraction["data"]["unique_total_seconds"] == 9

    def test_spans_chunks_of_a_scan(self, world, ada, monkeypatch):
        monkeypatch.setattr("storage.history._ROWS_AT_ONCE", 1)
        midnight = NOON - DAY // 2
        world.send(ada[0], beats(midnight, -30, 30, 200, project="a"), beats(midnight - 2 * DAY, 0, 10, project="a"))
        world.aggregator.flush_now()
        shown = stats(world, "ada", features="projects", filter_by_project="a")
        assert shown["data"]["unique_total_seconds"] == 10 + 60

    def test_is_there_only_with_projects_asked_for_and_filtered_by(self, world, ada):
        world.send(ada[0], beats(YESTERDAY, 0, 30, project="a"))
        assert "unique_total_seconds" not in stats(world, "ada", features="projects")["data"]
        assert "unique_total_seconds" not in stats(world, "ada", filter_by_project="a")["data"]
        none = stats(world, "ada", features="languages,projects", filter_by_project="nobody")
        assert none["data"]["unique_total_seconds"] == 0


def test_every_answer_has_the_streak_but_the_total_alone(world, ada):
    world.send(ada[0], *(beats(NOON - day * DAY, *range(0, 960, 60)) for day in range(3)))
    for parameters in ({}, {"end_date": "2020-01-01"}, {"test_param": "true"}, {"filter_by_project": "x"}):
        assert stats(world, "ada", **parameters)["data"]["streak"] == 2
    assert stats(world, "ada", **ALONE).keys() == {"total_seconds"}


def test_a_streak_is_of_all_coding_whatever_is_left_out_of_the_lists(world, ada):
    coding = [beats(NOON - day * DAY, *range(0, 960, 60), category="coding") for day in (1, 3)]
    by_ai = beats(NOON - 2 * DAY, *range(0, 960, 60), category="AI Coding", project="agent", language="Go")
    world.send(ada[0], *coding, by_ai)
    everything = {"features": "languages,projects"}
    whole = stats(world, "ada", **everything)
    assert (whole["total_seconds"], whole["data"]["streak"]) == (3 * 900 + 2 * 120, 3)
    without = stats(world, "ada", **everything, no_ai_coding="true")
    assert (without["total_seconds"], without["data"]["streak"]) == (2 * 900 + 120, 3)
    assert without["projects"] == [{"name": "heartline", "seconds": 2 * 900 + 120}]
    assert [entry["name"] for entry in without["data"]["languages"]] == ["Python"]
    limited = stats(world, "ada", **everything, no_ai_coding="true", filter_by_project="agent,heartline", limit="1")
    assert (limited["projects"], limited["data"]["streak"]) == (without["projects"], 3)


def test_too_many_long_computations_at_once_are_503_and_others_go_on(world, ada):
    world.send(ada[0], beats(YESTERDAY, 0, 60, project="a"), beats(YESTERDAY, 30, project="b"))
    services = world.app.state.services
    world.app.state.services = dataclasses.replace(services, scans=Scans(ScanLimits(at_once=1, waiting=0)))
    with world.app.state.services.scans.place():
        busy = world.get("/api/v1/users/ada/stats", params={"filter_by_project": "a,b"})
        assert (busy.status_code, list(busy.json())) == (503, ["error"])
        assert int(busy.headers["retry-after"]) >= 1
        assert stats(world, "ada")["total_seconds"] == 60
    assert stats(world, "ada", filter_by_project="a,b")["total_seconds"] == 60


def test_a_project_filter_of_two_thousand_characters_is_answered(world, ada):
    world.send(ada[0], beats(YESTERDAY, 0, 60, project="a"), beats(YESTERDAY, 30, project="b"))
    names = ",".join(["a", "b", *(f"{number:03d}" for number in range(500))])
    assert total(world, filter_by_project=names) == 60
