from xml.etree import ElementTree as ET

import pytest

from query_api.badge_picture import fill_of
from tests.query_api.world import DAY, NOON, beat, beats

SVG = "{http://www.w3.org/2000/svg}"
BADGE = "/api/v1/badge/ada"


def drawn(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/svg+xml"
    return ET.fromstring(answer.text)  # noqa: S314 - the text is our own


def texts(answer):
    return [element.text for element in drawn(answer).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1, "0m"), (59, "0m"), (60, "1m"), (1200, "20m"), (3900, "1h 5m"), (7200, "2h 0m")]
)
def test_the_time_is_one_text_beside_the_label(world, ada, seconds, shown):
    world.send(ada[0], beats(NOON, *range(0, seconds, 100), seconds, project="app"))
    assert texts(world.get(f"{BADGE}/app")) == ["hackatime", shown]


def test_label_and_colour_are_as_asked_and_do_no_harm(world, ada):
    world.send(ada[0], beats(NOON, 0, 60, project="app"))
    for label in ("My <b>&amp;\"'", "日本語", "]]>", "a\x00\x0bb", "x" * 100):
        first = texts(world.get(f"{BADGE}/app", params={"label": label}))[0]
        assert first == label.replace("\x00", "\ufffd").replace("\x0b", "\ufffd")
    assert texts(world.get(f"{BADGE}/app", params={"label": ""})) == ["1m"]
    for colour, fill in (("green", "#97ca00"), ("ff00AA", "#ff00AA"), ('"/><script>', "#007ec6"), ("", "#007ec6")):
        rects = drawn(world.get(f"{BADGE}/app", params={"color": colour})).iter(f"{SVG}rect")
        assert [rect.get("fill") for rect in rects][-1] == fill
    assert world.get(f"{BADGE}/app", params={"label": "x" * 101}).status_code == 422


@pytest.mark.parametrize(
    ("colour", "fill"),
    [
        ("Blue", "#007ec6"),
        ("#abc", "#abc"),
        ("abcd", "#abcd"),
        ("12345", "#007ec6"),
        ("Tomato", "tomato"),
        ("a;b", "#007ec6"),
    ],
)
def test_colours_are_names_or_hexadecimal(colour, fill):
    assert fill_of(colour) == fill


def test_aliases_add_their_time_measured_together(world, ada):
    world.send(
        ada[0],
        beats(NOON, 0, 60, project="app"),
        beats(NOON + DAY, 0, 100, 200, 300, project="old"),
        beats(NOON + DAY, 50, 150, 250, 350, project="older"),
    )
    assert texts(world.get(f"{BADGE}/app", params={"aliases": "old"})) == ["hackatime", "6m"]
    # old and older interleave: 350 s of one sequence, not 600 s of two
    assert texts(world.get(f"{BADGE}/app", params={"aliases": " old,older ,app,gone,"})) == ["hackatime", "6m"]


def test_a_repositorys_name_stands_for_the_project(world, ada):
    world.send(ada[0], beats(NOON, 0, 60, project="app"), beats(NOON, 0, 120, project="team/site"))
    assert texts(world.get(f"{BADGE}/team/app"))[1] == "1m"
    assert texts(world.get(f"{BADGE}/team/site"))[1] == "2m"
    assert texts(world.get(f"{BADGE}/team%2Fsite"))[1] == "2m"


def test_a_project_without_time_is_a_400_and_an_unknown_one_a_404(world, ada):
    world.send(ada[0], beat(NOON, project="app"))
    empty = world.get(f"{BADGE}/app")
    assert (empty.status_code, list(empty.json())) == (400, ["error"])
    unknown = world.get(f"{BADGE}/ap")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "Project not found"})
    nobody = world.get("/api/v1/badge/nobody/app")
    assert (nobody.status_code, nobody.json()) == (404, {"error": "User not found"})
