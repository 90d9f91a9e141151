"""manualwakatime 0.2.0: the single-heartbeat endpoint, with a body of one object and a bare python-requests."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).with_name("manualwakatime_launcher.py")


@pytest.fixture
def send(client_python, tmp_path):
    def run(key, project, api_url):
        done = subprocess.run(
            [client_python, LAUNCHER, key, project, api_url],
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("prefix", ["/api/hackatime/v1", "/api/v1", "/api/compat/wakatime/v1"])
def test_its_heartbeat_is_taken_and_listed(server, account, send, prefix):
    before_s = time.time()
    status, answer = send(account.key, "manual work", server.url + prefix)
    assert status == 202
    server.settle()
    (row,) = account.heartbeats(start_time=before_s - 1, end_time=time.time() + 1)["heartbeats"]
    assert row["id"] == answer["id"]
    assert (row["project"], row["entity"], row["type"]) == ("manual work", "mwt-tracker", "app")
    assert (row["category"], row["editor"], row["machine"]) == ("coding", "python-requests", None)
    assert before_s <= row["time"] <= time.time()


def test_a_wrong_key_is_answered_with_json_it_can_read(server, send):
    answer = send("33333333-3333-4333-8333-333333333333", "p", server.url + "/api/hackatime/v1")
    assert answer == [401, {"error": "Invalid API key"}]
