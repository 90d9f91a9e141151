"""compose.yaml: valid by the specification, and all that it runs of ours runs here as plain processes, unchanged.

Only addresses differ: what is a host there is a port of 127.0.0.1 here.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest
import yaml

from tests.kafka.broker import MissingToolError
from tests.server import HACKATIME, HEARTLINE, PREFIXES, eventually, free_port

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "heartline"}
LASTING = [name for name in OURS if re.fullmatch(r"(ingest|aggregate|query)-\d", name)]
T = 1_700_000_000
BULK = f"{HACKATIME}/users/current/heartbeats.bulk"


def test_it_is_valid_by_the_specification():
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_image_has_a_version_and_every_dependency_is_there():
    for name, service in SERVICES.items():
        assert re.search(r":v?\d", service["image"]) or name in OURS, name
        for needed, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"], needed


def test_whatever_lasts_has_a_health_check_and_whatever_is_waited_for_is_waited_for_until_it_is_healthy():
    lasting = {name for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"}
    assert lasting == {*LASTING, "kafka", "postgres", "s3", "proxy", "prometheus", "grafana"}
    for name, service in SERVICES.items():
        assert (name in lasting) == ("test" in service.get("healthcheck", {})), name
        for needed, condition in service.get("depends_on", {}).items():
            expected = "service_healthy" if needed in lasting else "service_completed_successfully"
            assert condition["condition"] == expected, (name, needed)


def test_the_s3_server_knows_the_key_that_the_services_have():
    (identity,) = json.loads((ROOT / "compose/s3.json").read_text())["identities"]
    variables = OURS["ingest-1"]["environment"]
    ours = {"accessKey": variables["AWS_ACCESS_KEY_ID"], "secretKey": variables["AWS_SECRET_ACCESS_KEY"]}
    assert identity["credentials"] == [ours]
    assert {"Read", "Write", "List"} <= set(identity["actions"])


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

    def start_proxy(self):
        """Run the proxy by its own file, in which only addresses differ; give its URL."""
        if shutil.which("caddy") is None:
            raise MissingToolError("The tests run compose.yaml's proxy: on Debian or Ubuntu, apt-get install caddy")
        port = free_port()
        text = (ROOT / "compose/Caddyfile").read_text().replace("\n:8000 {", f"\nhttp://127.0.0.1:{port} {{")
        for name, of_service in self.ports.items():
            text = text.replace(f"{name}:8000", f"127.0.0.1:{of_service}")
        (self.folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", self.folder / "Caddyfile"]
        with (self.folder / "proxy.log").open("wb") as log:
            environment = os.environ | {"HOME": str(self.folder)}
            self.processes["proxy"] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return f"http://127.0.0.1:{port}"

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
        assert eventually(lambda name=name: here.is_healthy(name), True, within_s=150), name
    user = json.loads(here.run("migrate", *shlex.split("users add ann --timezone Asia/Kolkata")))
    headers = {"Authorization": f"Bearer {user['api_key']}", "X-Forwarded-For": "203.0.113.9"}
    proxy = here.start_proxy()
    assert eventually(lambda: status(f"{proxy}/up"), 200, within_s=30) == 200
    with httpx.Client(base_url=proxy, headers=headers) as client:
        send_everywhere(client)
        listed = client.get("/api/v1/my/heartbeats", params={"start": "2023-11-14", "end": "2023-11-16"}).json()
        assert [beat["ip_address"] for beat in listed["heartbeats"]] == ["127.0.0.1"] * 11  # a forged header is none
        assert client.get("/metrics").status_code == 404
        here.processes["ingest-1"].kill()
        here.processes["ingest-1"].wait()
        answers = [client.post(BULK, json=[{"entity": "/a.py", "time": T}]).status_code for _ in range(8)]
        # The proxy may find out by one request that the other one must take all: plugins send that again.
        assert sorted(answers)[:7] == [201] * 7, answers
    for name in ("query-1", "query-2"):
        url = f"{here.url(name)}/api/v1/users/ann/stats?total_seconds=true&start_date=2023-01-01"
        assert eventually(lambda url=url: httpx.get(url).json().get("total_seconds"), 600, within_s=30) == 600
    here.run("migrate", "flush")
    here.run("migrate", "verify")
    shown = {name: httpx.get(f"{here.url(name)}/metrics").text for name in LASTING if name != "ingest-1"}
    assert all("heartline_" in text for text in shown.values())
    for metric in re.findall(r"heartline_\w+", (ROOT / "compose/heartline.json").read_text()):
        assert any(re.search(rf"^{metric}(_total)?[{{ ]", text, re.MULTILINE) for text in shown.values()), metric


def send_everywhere(client):
    """Eleven minutes, by every path that plugins post to, and read them until they are counted."""
    paths = [f"{prefix}/users/current/heartbeats" for prefix in PREFIXES]
    for minute in range(11):
        beat = {"entity": "/a.py", "type": "file", "time": T + 60 * minute}
        path = paths[minute % 3]
        bulk = minute % 2
        answer = client.post(path + ".bulk", json=[beat]) if bulk else client.post(path, json=beat)
        assert answer.status_code == (201 if bulk else 202), (path, answer.text)
    stats = {"total_seconds": "true", "start_date": "2023-01-01"}
    seen = eventually(
        lambda: client.get("/api/v1/users/ann/stats", params=stats).json().get("total_seconds"), 600, within_s=30
    )
    assert seen == 600


def status(url):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url).status_code
    return None
