"""What a mutant is."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """`rule`: what is broken, in words; `tests`: the quickest files of which some test should fail."""

    rule: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]


PROPERTY = "tests/aggregator/test_property.py"
