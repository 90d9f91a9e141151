"""wakatime-client 2.7.0 from npm: profile, summaries, stats and the rest of what it asks (clients.md, section 5)."""

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.history import beat
from tests.today import UTC_OR_FAR, midnight_s, quiet_zone

HERE = Path(__file__).with_name("npm")
KEPT = Path(__file__).parents[2] / ".clients"


@pytest.fixture(scope="session")
def npm_client():
    """The folder where the client is installed, once. Fails where node or the client cannot be had: never skips."""
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(HERE.iterdir()))).hexdigest()[:12]
    folder = KEPT / f"npm-{version}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE, folder)
        command = [shutil.which("npm") or "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "complete").touch()
    return folder


@pytest.fixture
def ask(server, npm_client):
    def run(account, prefix, method, argument=None):
        url = f"{server.url}{prefix}/"
        arguments = [] if argument is None else [json.dumps(argument)]
        command = [shutil.which("node") or "node", "launcher.js", url, account.key, method, *arguments]
        done = subprocess.run(command, cwd=npm_client, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["data"]

    return run


@pytest.fixture
def someone(server):
    account = server.new_account(timezone=quiet_zone(*UTC_OR_FAR))
    start = midnight_s(account.timezone)
    account.send(*(beat(start + 60 * i, project="app", language="Python", branch="main") for i in range(11)))
    return account


@pytest.mark.parametrize("prefix", ["/api/hackatime/v1", "/api/v1", "/api/compat/wakatime/v1"])
def test_its_profile_summaries_and_week_are_answered(someone, ask, prefix):
    assert ask(someone, prefix, "getMe")["username"] == someone.username
    today = time.strftime("%Y-%m-%d", time.gmtime(midnight_s(someone.timezone) + 12 * 3600))
    dates = {"dateRange": {"startDate": today, "endDate": today}}
    (day,) = ask(someone, prefix, "getMySummary", dates)
    assert day["grand_total"]["total_seconds"] == 600
    assert [(p["name"], p["total_seconds"]) for p in day["projects"]] == [("app", 600)]
    (of_branch,) = ask(someone, prefix, "getMySummary", dates | {"projectName": "app", "branchNames": ["other"]})
    assert of_branch["grand_total"]["total_seconds"] == 0
    week = ask(someone, prefix, "getMyStats", {"range": "LAST_7_DAYS"})
    assert (week["total_seconds"], week["languages"][0]["name"]) == (600, "Python")
