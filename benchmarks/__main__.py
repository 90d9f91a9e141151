"""`python -m benchmarks`: measure this checkout and print the tables of the README.

`cases`: `heartline up` and services apart side by side, in turns. `scaling`: one and two ingests, one and two
aggregators. `costs`: what a user's day costs and leaves, for docs/scale.md.
"""

import argparse
import contextlib
import pathlib
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial

from benchmarks import cases, costs, scale, scaling
from benchmarks.report import PARTS, Figures, markdown
from benchmarks.server import EMBEDDED, SERVICES_APART, Servers, Start, embedded

WARM_UP_S = 2.0  # a Java program's first seconds are not its later ones


def main() -> None:
    """Run what is asked for, several times over, and print min / median / max of each figure."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # not without ending the servers
    options = _options()
    with tempfile.TemporaryDirectory(prefix="heartline-bench-") as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        starts: dict[str, Start] = {}
        if EMBEDDED in options.places and options.what == "cases":
            starts[EMBEDDED] = partial(embedded, folder=folder)
        if SERVICES_APART in options.places or options.what != "cases":
            servers = running.enter_context(Servers(folder))
            starts[SERVICES_APART] = servers.apart
            cases.ingest(servers.apart, "warm-up", cases.BULK, WARM_UP_S)
        match options.what:
            case "cases":
                runs = _repeat(options.runs, lambda: _side_by_side(starts, options.seconds))
                print("\n" + markdown(runs) + "\n\n" + markdown(runs, PARTS))
            case "scaling":
                runs = _repeat(options.runs, lambda: scaling.measure(servers, options.seconds))
                print("\n" + markdown(runs, scaling.COLUMNS))
            case "costs":
                costs.save(_repeat(options.runs, lambda: costs.measure(servers, options.seconds)), options.note)
                scale.main()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", default="cases", choices=("cases", "scaling", "costs"))
    parser.add_argument("--places", nargs="+", default=["embedded", "apart"], choices=("embedded", "apart"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each closed loop")
    parser.add_argument("--note", default="", help="what a reader of the costs has to know of these runs")
    options = parser.parse_args()
    options.places = [{"embedded": EMBEDDED, "apart": SERVICES_APART}[place] for place in options.places]
    return options


def _repeat(runs: int, run: Callable[[], Figures]) -> list[Figures]:
    figures = []
    for number in range(1, runs + 1):
        print(f"run {number} of {runs}", flush=True)
        figures.append(run())
    return figures


def _side_by_side(starts: dict[str, Start], seconds: float) -> Figures:
    """Measure each case in each kind of places, one right after the other: a shared machine changes by the hour."""
    figures: Figures = {}
    for measure in (
        partial(cases.ingest, name="single heartbeats", batch=1, seconds=seconds),
        partial(cases.ingest, name=f"heartbeats in bulks of {cases.BULK}", batch=cases.BULK, seconds=seconds),
        partial(cases.reads, seconds=seconds / 2),
    ):
        by_place = {}
        for place, start in starts.items():
            by_place[place] = measure(start)
            print(f"{', '.join(by_place[place])}: {place}", flush=True)
        for name in next(iter(by_place.values())):
            figures |= {f"{name}: {place}": measured[name] for place, measured in by_place.items()}
    return figures


if __name__ == "__main__":
    main()
