"""The picture of a badge: two boxes with a text each, in the manner of shields.io. Pure."""

import re
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_COLOURS: Final = {
    "brightgreen": "#4c1",
    "green": "#97ca00",
    "yellowgreen": "#a4a61d",
    "yellow": "#dfb317",
    "orange": "#fe7d37",
    "red": "#e05d44",
    "blue": "#007ec6",
    "grey": "#555",
    "gray": "#555",
    "lightgrey": "#9f9f9f",
    "lightgray": "#9f9f9f",
    "success": "#4c1",
    "important": "#fe7d37",
    "critical": "#e05d44",
    "informational": "#007ec6",
    "inactive": "#9f9f9f",
}
_HEXADECIMAL: Final = re.compile(r"#?((?:[0-9a-f]{3,4}){1,2})", re.IGNORECASE)
_CSS_NAME: Final = re.compile(r"[a-z]{3,32}", re.IGNORECASE)
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CHARACTER_PX: Final = 6.6
_WIDE_CHARACTER_PX: Final = 11.0
_PADDING_PX: Final = 10

_PICTURE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label={title}>
<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#555"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
</g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
{label_text}<text x="{right_middle}" y="14" textLength="{right_length}">{message}</text>
</g>
</svg>
"""
_LABEL: Final = '<text x="{middle}" y="14" textLength="{length}">{label}</text>\n'


def badge_svg(label: str, message: str, colour: str) -> str:
    """Draw a badge; each text is one element. An empty label leaves the right box alone."""
    label = _NOT_XML.sub("\ufffd", label)
    left, right = (_width(label) if label else 0), _width(message)
    label_text = _LABEL.format(middle=left / 2, length=left - _PADDING_PX, label=escape(label)) if label else ""
    return _PICTURE.format(
        width=left + right,
        left=left,
        right=right,
        colour=fill_of(colour),
        label_text=label_text,
        right_middle=left + right / 2,
        right_length=right - _PADDING_PX,
        message=escape(message),
        title=quoteattr(f"{label}: {message}" if label else message),
    )


def fill_of(colour: str) -> str:
    """Give a colour as SVG takes it: shields.io's names and CSS's, or hexadecimal; anything else is blue."""
    known = _COLOURS.get(colour.lower())
    if known:
        return known
    if match := _HEXADECIMAL.fullmatch(colour):
        return f"#{match[1]}"
    return colour.lower() if _CSS_NAME.fullmatch(colour) else _COLOURS["blue"]


def _width(text: str) -> int:
    """Guess a text's width; renderers then fit the text into it."""
    wide = sum(ord(character) > 0x1100 for character in text)
    return round(wide * _WIDE_CHARACTER_PX + (len(text) - wide) * _CHARACTER_PX) + _PADDING_PX
