import re

import pytest

from schemas.language_names import EXTENSIONS, FILE_NAMES
from schemas.linguist import _COLOURS, _NAMES, canonical_name, colour_of


@pytest.mark.parametrize(
    ("spelling", "name", "colour"),
    [
        ("js", "JavaScript", "#f1e05a"),
        ("JAVASCRIPT", "JavaScript", "#f1e05a"),
        ("py", "Python", "#3572A5"),
        ("python3", "Python", "#3572A5"),
        ("cpp", "C++", "#f34b7d"),
        ("c++", "C++", "#f34b7d"),
        ("golang", "Go", "#00ADD8"),
        ("bash", "Shell", "#89e051"),
        ("Ruby", "Ruby", "#701516"),
        ("text", "Text", "#888888"),
        ("Klingon", "Klingon", "#888888"),
        ("", "", "#888888"),
    ],
)
def test_any_spelling_has_linguists_name_and_colour(spelling, name, colour):
    assert (canonical_name(spelling), colour_of(spelling)) == (name, colour)


def test_the_table_knows_every_language_that_a_file_name_tells():
    assert {canonical_name(language.upper()) for language in EXTENSIONS | FILE_NAMES} == {*EXTENSIONS, *FILE_NAMES}


def test_every_colour_is_one_and_of_a_known_language():
    assert all(re.fullmatch("#[0-9A-Fa-f]{6}", colour) for colour in _COLOURS.values())
    assert set(_COLOURS) <= set(_NAMES.values())
    assert len(_COLOURS) > 600
