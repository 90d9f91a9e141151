"""schemathesis over the served /openapi.json: what it says is what is answered, to requests good and bad."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.history import beat
from tests.server import eventually

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

# What an OpenAPI document cannot say, so that a request may be refused although each parameter is as described.
REFUSED_TOGETHER = {
    "GET /summaries$": "start and end go together, in order, 366 days at most; a zone must exist",
    "GET ^/api/summary$": "user_id or user",
    "GET /users/{id}/heartbeats$": "WakaTime's date has no default: without it there is a 400 there and here",
    "GET /badge/": "a project without time has no badge",
}
# What semantics.md lets pass although it is not what is described.
LENIENT = {
    "GET ^/api/v1/users/{username}/stats$": "section 4: no number is no limit, what is not true is false",
    "GET ^/api/summary$": "section 7: an interval that nobody knows is today",
    "POST /heartbeats": "section 2: numbers and booleans in text, a bad item of a bulk has its own 400",
}
# In the short run, one prefix stands for the three where one piece of code has a thousand cases for each.
ALIASES = {"POST ^/api/(v1|compat|users)/": "the same code as under /api/hackatime"}

CONFIG = """
seed = 20250620
continue-on-failure = true
warnings.fail-on = {fatal}  # where nothing but refusals was seen, nothing was tested

[generation]
max-examples = {examples}
no-shrink = true
database = "none"

[phases]
stateful.enabled = false  # nothing that is made here is used by another operation

[checks]
response_schema_conformance.validate-formats = true

{values}

{operations}
{auth}
"""


def values(account):
    """Half of the time, what leads somewhere: known users, a project with time, ranges that are none too long."""
    people = ["current", account.username, account.slack_uid, str(account.user_id)]
    known = {
        **dict.fromkeys(("username", "id", "user_id", "user"), people),
        "email": [account.email],
        "slack_uid": [account.slack_uid],
        **{name: ["heart"] for name in ("project", "project_name", "filter_by_project")},
        **{name: ["today"] for name in ("start", "end", "date")},
        "timezone": ["Europe/Berlin", "Asia/Kathmandu"],
    }
    return "".join(
        f"[dictionaries.{name}]\nvalues = {json.dumps(listed)}\n"
        f"[parameters.{name}]\ndictionary = '{name}'\nprobability = 0.5\n"
        for name, listed in known.items()
    )


def operations(settings):
    """Give settings to operations: {"METHOD path regex": why} by what they are given."""
    tables = []
    for setting, where in settings.items():
        for operation in where:
            method, path = operation.split()
            tables.append(f"[[operations]]\ninclude-method = '{method}'\ninclude-path-regex = '{path}'\n{setting}\n")
    return "\n".join(tables)


def strict(document):
    """Forbid fields of answers that are not described: clients may not mind them, the description must have them."""
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return document


AUTH = {
    "bearer": lambda account: f'[auth.openapi.bearer]\nbearer = "{account.key}"',
    "basic": lambda account: f'[auth.openapi.basic]\nusername = "{account.username}"\npassword = "{account.key}"',
    "api_key": lambda account: f'[auth.openapi.api_key]\napi_key = "{account.key}"',
    "none": lambda _: "",
}


@pytest.fixture(scope="module")
def known(server):
    """A user with all that can be asked for."""
    account = server.add_user("schemathesis", email="st@example.com", slack_uid="USCHEMA")
    eventually(lambda: account.get("/api/v1/users/current").status_code, 200)
    now = int(time.time())
    account.send(
        *(
            beat(now - 60 * n, project="heart", language="Python", branch="main", editor="vim", category="coding")
            for n in range(20)
        )
    )
    return account


def run(server, account, folder, auth, examples, aliases=()):
    """Run schemathesis; the description that it read, its exit code and what it printed."""
    settings = {
        "checks.positive_data_acceptance.expected-statuses = ['2xx', '400', '401', '403', '404']": REFUSED_TOGETHER,
        "checks.negative_data_rejection.enabled = false": LENIENT,
        "phases.coverage.enabled = false": aliases,
    }
    document = server.http.get("/openapi.json").json()
    description = folder / "openapi.json"
    description.write_text(json.dumps(strict(document)))
    config = folder / "schemathesis.toml"
    config.write_text(
        CONFIG.format(
            examples=examples,
            values=values(account),
            operations=operations(settings),
            auth=AUTH[auth](account),
            fatal=json.dumps([] if auth == "none" else ["missing_auth", "missing_test_data"]),
        )
    )
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", config, "run", description, "--url", server.url, "--no-color"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return document, done


def check(document, done):
    print(done.stdout[-1500:])
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4_000:]
    described = sum(len(item) for item in document["paths"].values())
    assert re.search(rf"Tested: {described}$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("auth", ["bearer", "none"])
def test_schemathesis_finds_nothing(server, known, tmp_path, auth):
    check(*run(server, known, tmp_path, auth, 10, ALIASES))


@pytest.mark.soak
@pytest.mark.parametrize("auth", AUTH)
def test_schemathesis_finds_nothing_in_a_long_run(server, known, tmp_path, auth):
    check(*run(server, known, tmp_path, auth, 300))
