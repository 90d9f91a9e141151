"""Languages by any of the names that editors give them: GitHub Linguist's name and colour (semantics.md, section 4)."""

from importlib import resources
from typing import Final

UNKNOWN_COLOUR: Final = "#888888"
"""Of what Linguist does not know, and of languages that it gives no colour."""


def _read() -> tuple[dict[str, str], dict[str, str]]:
    """Read the table: any name in lower case → the language's name; that name → its colour."""
    names: dict[str, str] = {}
    colours: dict[str, str] = {}
    for line in resources.files("schemas").joinpath("linguist.tsv").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, colour, others = (line + "\t\t").split("\t")[:3]
        names |= dict.fromkeys((name.lower(), *filter(None, others.split(","))), name)
        if colour:
            colours[name] = colour
    return names, colours


_NAMES, _COLOURS = _read()


def canonical_name(language: str) -> str:
    """Give Linguist's name of a language spelt in any way ("js": JavaScript); what it does not know stays as it is."""
    return _NAMES.get(language.lower(), language)


def colour_of(language: str) -> str:
    """Give the colour in which GitHub shows a language spelt in any way, as "#RRGGBB"."""
    return _COLOURS.get(canonical_name(language), UNKNOWN_COLOUR)
