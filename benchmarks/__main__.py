"""`python -m benchmarks`: measure this checkout's `heartline up` and print the README's table."""

import argparse
import pathlib
import tempfile

from benchmarks import cases
from benchmarks.report import Figures, markdown


def main() -> None:
    """Run every case on a fresh folder, several times over, and print a table of min/median/max."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each closed loop")
    options = parser.parse_args()
    runs = []
    for number in range(1, options.runs + 1):
        print(f"run {number} of {options.runs}", flush=True)
        runs.append(_one_run(options.seconds))
    print("\n" + markdown(runs))


def _one_run(seconds: float) -> Figures:
    with tempfile.TemporaryDirectory(prefix="heartline-bench-") as folder:
        root = pathlib.Path(folder)
        return (
            cases.ingest(root / "single", "single heartbeats", 1, seconds)
            | cases.ingest(root / "bulk", f"heartbeats in bulks of {cases.BULK}", cases.BULK, seconds)
            | cases.reads(root / "reads", seconds / 2)
        )


if __name__ == "__main__":
    main()
