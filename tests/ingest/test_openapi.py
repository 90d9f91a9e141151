import json
import re

import pytest

from ingest.app import IngestApp, Limits
from ingest.openapi import INGEST_PATHS, INGEST_SCHEMAS
from schemas.heartbeat import HeartbeatAnswer, Wire
from tests.ingest.lab import BEARER, OneKey

BEAT = {"time": 1_700_000_000}
OPERATIONS = [(path, item["post"]) for path, item in INGEST_PATHS.items()]


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_every_described_path_is_served_and_gives_described_statuses(lab, path, operation):
    served = path.replace("{id}", "current")
    assert IngestApp(None, OneKey(), Limits(), int).matches("POST", served)
    requests = [
        {"json": [BEAT]},
        {"json": BEAT},
        {"json": [{}]},
        {"content": b"x"},
        {"json": BEAT, "headers": {}},
        {"json": [BEAT], "limits": Limits(max_body_bytes=1)},
        {"json": [BEAT], "limits": Limits(ready=lambda: "full")},
    ]
    statuses = {str(lab.post(served, **request).status_code) for request in requests}
    of_the_server_around_it = {"408", "429", "500"}
    assert statuses == set(operation["responses"]) - of_the_server_around_it


def test_operations_have_names_of_their_own():
    assert len({operation["operationId"] for _, operation in OPERATIONS}) == len(OPERATIONS) == 8


def test_every_field_that_is_read_is_described_with_its_bounds():
    described = INGEST_SCHEMAS["Heartbeat"]["properties"]
    assert set(described) == set(Wire.__struct_fields__)
    bounds = {"string": {"maxLength"}, "integer": {"minimum", "maximum"}, "array": {"maxItems", "items"}}
    for name, schema in described.items():
        for choice in schema.get("anyOf", [schema]):
            assert bounds.get(choice["type"], set()) <= set(choice), name


@pytest.mark.parametrize("path", INGEST_PATHS)
def test_an_answer_has_the_described_fields_and_no_others(lab, path):
    described = INGEST_SCHEMAS["HeartbeatAnswer"]
    answered = lab.post(path.replace("{id}", "my"), [BEAT], headers=BEARER).json()
    row = answered["responses"][0][0] if path.endswith(".bulk") else answered
    assert (
        set(row) == set(described["properties"]) == set(described["required"]) == set(HeartbeatAnswer.__struct_fields__)
    )


def test_the_description_needs_no_other_document():
    referred = set(re.findall(r'"\$ref": "#/components/schemas/([^"]*)"', json.dumps([INGEST_PATHS, INGEST_SCHEMAS])))
    assert referred
    assert referred <= set(INGEST_SCHEMAS)
