"""What commands print: results on stdout for programs, progress on stderr for people."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


def print_json(value: object, *, indent: int | None = None) -> None:
    """Print one JSON value, on one line unless `indent` is given."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent))


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something is under way and for how long, to a person at a terminal alone."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield
