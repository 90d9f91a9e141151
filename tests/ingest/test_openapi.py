import json

import pytest

from ingest.app import IngestApp, Limits
from ingest.openapi import INGEST_PATHS
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
    assert statuses == set(operation["responses"])


def test_operations_have_names_of_their_own():
    assert len({operation["operationId"] for _, operation in OPERATIONS}) == len(OPERATIONS) == 6


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_the_description_has_every_field_and_needs_no_other_document(lab, path, operation):
    forms = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    listed = next(form for form in forms if form["type"] == "array")
    assert set(listed["items"]["properties"]) == set(Wire.__struct_fields__)
    described = json.dumps(operation)
    assert "$ref" not in described
    assert all(f'"{name}"' in described for name in HeartbeatAnswer.__struct_fields__)
    answered = lab.post(path.replace("{id}", "my"), [BEAT], headers=BEARER).json()
    row = answered["responses"][0][0] if path.endswith(".bulk") else answered
    assert all(f'"{name}"' in described for name in row)
