"""The README's examples do what it says."""

import re

import pytest

from tests.docs import examples

EXAMPLES = examples.session_examples()
TARGETS = re.findall(r"^([a-z]+):", (examples.ROOT / "Makefile").read_text(), re.MULTILINE)
ANSWER = '{"id":1,"time":2.0,"created_at":"2026-11-24T00:45:23.052Z"}\n'


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_prints_what_the_readme_shows(session, example):
    printed, exit_code = session[example.line]
    assert exit_code == 0, printed
    shown, expected = examples.normalised(printed), examples.normalised(example.expected)
    assert examples.agrees(printed, example.expected), f"README.md, {example}\nprinted:\n{shown}\nshown:\n{expected}"


def test_every_block_of_the_readme_is_of_a_kind_that_is_tested():
    run = [block for block in examples.blocks() if block.language in {"console", "python", "text"}]
    others = [block for block in examples.blocks() if block not in run]
    assert len(run) > len(others)
    for block in others:
        assert block.language == "sh", f"line {block.line}: what checks a block of {block.language!r}?"
        assert block.text.startswith("export "), f"line {block.line}: a command to run belongs into a console block"


def test_every_make_target_that_the_readme_names_exists_and_the_other_way_round():
    text = examples.README.read_text()
    assert set(re.findall(r"(?:^\$ |`)make ([a-z]+)", text, re.MULTILINE)) == set(TARGETS)


@pytest.mark.parametrize(
    "shown",
    [
        ANSWER,
        '{"id":1,"time":2.0,"created_at":"2031-01-01T00:00:00.000Z"}\n',
        '{"id":…,"created_at":"2026-11-24T00:45:23.052Z"}\n',
        '{"id":1,…}',
    ],
)
def test_an_answer_agrees_with_what_differs_by_its_instant_or_leaves_something_out(shown):
    assert examples.agrees(ANSWER, shown)


@pytest.mark.parametrize(
    "shown",
    [
        "",
        ANSWER.replace("2.0", "2.5"),
        ANSWER.replace("1", "2", 1),
        ANSWER.replace('"created_at":"2026-11-24T00:45:23.052Z"', '"created_at":null'),
        '{"id":…,"time":3.0,…}',
        f"{ANSWER}{ANSWER}",
    ],
)
def test_an_answer_does_not_agree_with_another_one(shown):
    assert not examples.agrees(ANSWER, shown)
