"""The suite notices every rule that is broken."""

import pytest

from tests.mutations import runner
from tests.mutations.mutants import MUTANTS


def test_every_mutants_text_stands_exactly_once_in_its_file():
    assert [f"{m.file}: {m.rule}" for m in runner.not_found()] == []
    assert len({m.rule for m in MUTANTS}) == len(MUTANTS)


def test_every_package_has_mutants_and_all_their_tests_exist():
    assert {m.file.partition("/")[0] for m in MUTANTS} == {"schemas", "ingest", "aggregator", "storage", "query_api"}
    files = {argument for m in MUTANTS for argument in m.tests if argument.startswith("tests/")}
    assert [file for file in files if not (runner.ROOT / file).exists()] == []


@pytest.mark.soak
def test_no_mutant_survives():
    alive = [f"{o.verdict}: {o.mutant.rule}" for o in runner.survivors(runner.run())]
    assert alive == []
