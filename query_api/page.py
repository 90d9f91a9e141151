"""The frame of the few HTML pages: no scripts, nothing from other sites."""

from typing import Final

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2.5rem auto; padding: 0 1rem; }}
h1 {{ margin-bottom: .25rem; }}
h2 {{ margin-top: 2.5rem; }}
pre, code {{ font-family: ui-monospace, monospace; font-size: .9em; }}
pre {{ padding: .8rem 1rem; overflow-x: auto; border: 1px solid; border-radius: .4rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; }}
details {{ margin: .8rem 0; }}
summary {{ cursor: pointer; font-family: ui-monospace, monospace; }}
.method {{ font-weight: 700; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """Give a whole page; both arguments are HTML already."""
    return _PAGE.format(title=title, body=body)
