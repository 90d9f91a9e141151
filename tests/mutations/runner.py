"""Break the rules one by one in a copy of the project and see that tests fail.

Run by `make soak`, or alone: `python -m tests.mutations.runner [WORDS OF A RULE]`. Exits with 1 if a mutant survives.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.mutations.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "ingest", "aggregator", "query_api", "storage", "heartline", "tests", "benchmarks")
TIMEOUT_S = 900  # a mutant may make a test wait for ever
TESTS_FAILED, ALL_PASSED = 1, 0  # exit codes of pytest; any other says nothing about the rule


class Outcome(NamedTuple):
    mutant: object
    verdict: str
    seconds: float
    output: str


def not_found(root=ROOT, mutants=MUTANTS):
    """Mutants whose text does not stand exactly once in their file."""
    return [m for m in mutants if (root / m.file).read_text().count(m.text) != 1]


def copy_to(folder):
    """Copy what the tests need."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("*.*"):
        if file.is_file():
            shutil.copy(file, folder)


def run_tests(folder, tests):
    """Run some tests of the copy on the copy's packages; the exit code and the output."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        return None, str(error)
    return done.returncode, done.stdout + done.stderr


def judge(folder, mutant):
    """Break one rule, run its tests, mend it."""
    file = folder / mutant.file
    sound = file.read_text()
    file.write_text(sound.replace(mutant.text, mutant.replacement))
    began = time.monotonic()
    try:
        code, output = run_tests(folder, mutant.tests)
    finally:
        file.write_text(sound)
    verdict = {TESTS_FAILED: "killed", ALL_PASSED: "SURVIVED", None: "killed (timeout)"}.get(code, f"BROKEN ({code})")
    return Outcome(mutant, verdict, time.monotonic() - began, output)


def run(mutants=MUTANTS):
    """Judge all; print a line for each and the counts. Raises AssertionError where the copy is not sound at first."""
    missing = not_found(mutants=mutants)
    assert not missing, "text not found exactly once: " + "; ".join(f"{m.rule} ({m.file})" for m in missing)
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_to(folder)
        code, output = run_tests(folder, sorted({test for m in mutants for test in m.tests}))
        assert code == ALL_PASSED, f"without any mutant the tests end with {code}:\n{output[-4000:]}"
        for mutant in mutants:
            outcomes.append(judge(folder, mutant))
            print(
                f"{outcomes[-1].verdict:10} {outcomes[-1].seconds:5.0f} s  {mutant.file:28} {mutant.rule}", flush=True
            )
    killed = sum(o.verdict.startswith("killed") for o in outcomes)
    print(f"{killed} of {len(outcomes)} mutants are killed")
    return outcomes


def survivors(outcomes):
    return [o for o in outcomes if not o.verdict.startswith("killed")]


if __name__ == "__main__":
    wanted = " ".join(sys.argv[1:])
    alive = survivors(run([m for m in MUTANTS if wanted in m.rule]))
    for outcome in alive:
        print(f"\n{outcome.verdict}: {outcome.mutant.rule}\n{outcome.output[-2000:]}")
    sys.exit(bool(alive))
