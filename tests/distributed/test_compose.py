"""compose.yaml: valid by the specification, and all that it runs of ours runs here as plain processes, unchanged.

Only addresses differ: what is a host there is a port of 127.0.0.1 here.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest
import yaml

from tests.server import HACKATIME, HEARTLINE, eventually, free_port

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "heartline"}
LASTING = [name for name in OURS if re.fullmatch(r"(ingest|aggregate|query)-\d", name)]
T = 1_700_000_000


def test_it_is_valid_by_the_specification():
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_image_has_a_version_and_every_dependency_is_there():
    for name, service in SERVICES.items():
        assert re.search(r":v?\d", service["image"]) or name in OURS, name
        for needed, condition in dict(service.get("depends_on", {}) or {}).items() if name != "grafana" else ():
            if condition["condition"] == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"], needed


def test_the_proxy_and_prometheus_name_the_services_that_there_are():
    proxied = re.findall(r"reverse_proxy (\S+) (\S+)", (ROOT / "compose/Caddyfile").read_text())
    assert proxied == [("ingest-1:8000", "ingest-2:8000"), ("query-1:8000", "query-2:8000")]
    scraped = yaml.safe_load((ROOT / "compose/prometheus.yaml").read_text())["scrape_configs"]
    targets = [target for job in scraped for part in job["static_configs"] for target in part["targets"]]
    assert sorted(targets) == sorted(f"{name}:8000" for name in LASTING)


class Here:
    """The services of ours, each on a port of its own."""

    def __init__(self, folder, replaced):
        self.folder = folder
        self.replaced = replaced
        self.ports = {name: free_port() for name in LASTING}
        self.processes = {}

    def command(self, name):
        words = [str(self.ports[name]) if word == "8000" else word for word in OURS[name]["command"]]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTLINE_", "AWS_"))}
        for variable, value in OURS[name]["environment"].items():
            environment[variable] = self.replaced.get(value, value)
        environment["HEARTLINE_DATA"] = str(self.folder / name)
        environment["HEARTLINE_PORT"] = str(self.ports.get(name, 8000))
        return [HEARTLINE, *words], environment

    def run(self, name, *arguments):
        """Run a service that ends, or another command in its place."""
        words, environment = self.command(name)
        words = [HEARTLINE, *arguments] if arguments else words
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name):
        words, environment = self.command(name)
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(words, env=environment, stdout=log, stderr=log)

    def is_healthy(self, name):
        test = [word.replace(":8000/", f":{self.ports[name]}/") for word in OURS[name]["healthcheck"]["test"]]
        assert test[:2] == ["CMD", "python"]
        return subprocess.run([sys.executable, *test[2:]], capture_output=True, check=False).returncode == 0

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def kill(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def here(tmp_path, kafka_broker, postgres, bucket):
    stats_url = postgres.new_url(empty=True)
    variables = OURS["ingest-1"]["environment"]
    replaced = {
        variables["HEARTLINE_LOG_URL"]: kafka_broker.url(f"compose-{uuid.uuid4().hex[:8]}"),
        variables["HEARTLINE_STATS_URL"]: stats_url,
        variables["HEARTLINE_LAKE_URL"]: bucket.url,
        variables["HEARTLINE_HOST"]: "127.0.0.1",
    } | {variables[name]: value for name, value in bucket.environment().items() if name in variables}
    made = Here(tmp_path, replaced)
    yield made
    made.kill()
    postgres.drop(stats_url)


def test_all_that_it_runs_of_ours_works_together(here):
    for name in ("topic", "topic", "migrate"):  # again, as after `docker compose up` on what is there
        here.run(name)
    for name in LASTING:
        here.start(name)
    for name in LASTING:
        assert eventually(lambda name=name: here.is_healthy(name), True, within_s=60), name
    user = json.loads(here.run("migrate", *shlex.split("users add ann --timezone Asia/Kolkata")))
    headers = {"Authorization": f"Bearer {user['api_key']}"}
    for minute in range(11):
        url = f"{here.url(f'ingest-{1 + minute % 2}')}{HACKATIME}/users/current/heartbeats"
        beat = {"entity": "/a.py", "type": "file", "time": T + 60 * minute}
        taken = eventually(lambda url=url, beat=beat: httpx.post(url, json=beat, headers=headers).status_code, 202)
        assert taken == 202
    for name in ("query-1", "query-2"):
        url = f"{here.url(name)}/api/v1/users/ann/stats?total_seconds=true&start_date=2023-01-01"
        assert eventually(lambda url=url: httpx.get(url).json().get("total_seconds"), 600, within_s=30) == 600
    here.run("migrate", "flush")
    here.run("migrate", "verify")
    for name in LASTING:
        assert "heartline_" in httpx.get(f"{here.url(name)}/metrics").text, name
