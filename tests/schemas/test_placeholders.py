import msgspec

from schemas.heartbeat import Heartbeat
from schemas.placeholders import (
    LAST_BRANCH,
    LAST_LANGUAGE,
    LAST_PROJECT,
    LastValues,
    has_placeholders,
    is_real,
    resolve,
)


def beat(project, language=None, branch=None, **fields):
    return Heartbeat(id=1, time_us=1, created_at_us=1, project=project, language=language, branch=branch, **fields)


def waiting(project, **fields):
    return beat(project, LAST_LANGUAGE, LAST_BRANCH, **fields)


def nothing(_project):
    return None


def resolved(*heartbeats, stored=nothing, infer=False):
    return [(h.language, h.branch) for h in resolve(heartbeats, stored, infer=infer)]


def test_the_latest_earlier_heartbeat_of_the_same_project_decides():
    result = resolved(
        beat("p", "Rust", "main"), beat("q", "Go", "dev"), beat("p", "Zig"), waiting("p"), waiting("q"), waiting("r")
    )
    assert result[3:] == [("Zig", "main"), ("Go", "dev"), (None, None)]


def test_later_heartbeats_lend_nothing():
    assert resolved(waiting("p"), beat("p", "Rust", "main"))[0] == (None, None)


def test_what_is_stored_is_asked_when_the_request_does_not_know():
    stored = {"p": LastValues(language="Rust", language_at_us=1, branch="main", branch_at_us=2)}.get
    assert resolved(waiting("p"), waiting("q"), stored=stored) == [("Rust", "main"), (None, None)]
    assert resolved(beat("p", "Zig"), waiting("p"), stored=stored)[1] == ("Zig", "main")
    assert resolved(waiting("p"), stored={"p": LastValues(branch="b", branch_at_us=1)}.get) == [(None, "b")]


def test_last_project_stays_and_stands_for_the_last_real_one():
    heartbeats = [beat("p", "Rust", "main"), beat("", "Go", "x"), waiting(LAST_PROJECT), waiting(LAST_PROJECT)]
    result = resolve(heartbeats, nothing, infer=False)
    assert [(h.project, h.language, h.branch) for h in result[2:]] == [(LAST_PROJECT, "Rust", "main")] * 2


def test_last_project_alone_has_no_context():
    asked = []
    assert resolved(waiting(LAST_PROJECT), stored=asked.append) == [(None, None)]
    assert asked == []


def test_without_a_project_nothing_is_lent_or_borrowed():
    for project in (None, "", "  "):
        asked = []
        assert resolved(beat(project, "Rust", "main"), waiting(project), stored=asked.append)[1] == (None, None)
        assert asked == []


def test_blank_values_do_not_lend():
    assert resolved(beat("p", "Rust", "main"), beat("p", "", " "), waiting("p"))[2] == ("Rust", "main")


def test_a_language_that_stays_open_is_told_by_the_file_only_on_demand():
    open_one = waiting("p", entity="a.py", type="file")
    assert resolved(open_one) == [(None, None)]
    assert resolved(open_one, waiting("p", entity="a.zzzz"), infer=True) == [("Python", None)] * 2
    assert resolved(waiting("p", entity="a.py", type="domain"), infer=True) == [(None, None)]


def test_the_given_heartbeats_stay_as_they_were():
    heartbeats = [beat("p", "Rust", "main"), waiting("p")]
    before = msgspec.json.encode(heartbeats)
    resolve(heartbeats, nothing, infer=True)
    assert msgspec.json.encode(heartbeats) == before


def test_without_placeholders_nothing_is_asked_or_changed():
    heartbeats = [beat("p", "Rust", "main"), beat(LAST_PROJECT, None, None)]
    asked = []
    assert not has_placeholders(heartbeats)
    assert resolve(heartbeats, asked.append, infer=True) == heartbeats
    assert asked == []


def test_real_values_are_neither_blank_nor_placeholders():
    assert is_real("main")
    assert not any(is_real(value) for value in (None, "", " \t", LAST_LANGUAGE, LAST_BRANCH, LAST_PROJECT))
