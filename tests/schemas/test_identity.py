import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.heartbeat import Wire
from schemas.identity import heartbeat_id

# Never edited: an id that changes turns every repeat of a stored heartbeat into a second one. New lines may be added.
RECORDED = json.loads((Path(__file__).parent / "recorded_ids.json").read_text())


def id_of(wire, user_id=1, time_us=1_700_000_000_000_000, machine=None, user_agent=None, category="coding"):
    return heartbeat_id(user_id, wire, time_us, machine, user_agent, category)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["name"])
def test_a_recorded_heartbeat_keeps_its_id_for_ever(recorded):
    arguments = recorded["arguments"]
    assert heartbeat_id(**{**arguments, "wire": msgspec.convert(arguments["wire"], Wire)}) == recorded["id"]


def test_every_recorded_heartbeat_has_an_id_of_its_own():
    assert len({recorded["id"] for recorded in RECORDED}) == len(RECORDED) >= 25


FIELDS = {
    "branch": "b",
    "dependencies": ["d"],
    "editor": "e",
    "entity": "n",
    "language": "l",
    "operating_system": "o",
    "project": "p",
    "type": "t",
    "line_additions": 1,
    "line_deletions": 1,
    "lineno": 1,
    "lines": 1,
    "cursorpos": 1,
    "project_root_count": 1,
    "is_write": False,
    "ai_model": "m",
    "ai_session": "m",
    "ai_subscription_plan": "m",
    "ai_input_tokens": 1,
    "ai_output_tokens": 1,
    "ai_prompt_length": 1,
    "ai_line_changes": 1,
    "human_line_changes": 1,
}


def test_each_field_that_identifies_a_heartbeat_changes_its_id():
    ids = {id_of(Wire(**{name: value})) for name, value in FIELDS.items()}
    others = {"user_id": 2, "time_us": 1_700_000_000_000_001, "machine": "m", "user_agent": "u", "category": "c"}
    ids |= {id_of(Wire(), **{name: value}) for name, value in others.items()} | {id_of(Wire())}
    assert len(ids) == len(FIELDS) + len(others) + 1


def test_empty_is_not_null():
    assert id_of(Wire(project="")) != id_of(Wire())
    assert id_of(Wire(is_write=False)) != id_of(Wire())


def test_no_dependencies_are_an_empty_list():
    assert id_of(Wire(dependencies=[])) == id_of(Wire())


@pytest.mark.parametrize("name", ["time", "category", "machine", "user_agent", "plugin"])
def test_what_the_request_decides_is_not_taken_from_the_body_again(name):
    assert id_of(Wire(**{name: "x"})) == id_of(Wire())


@given(st.builds(Wire, entity=st.none() | st.text(), lines=st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_an_id_is_positive_and_fits_into_63_bits(wire):
    assert 0 < id_of(wire) < 2**63
