"""`heartline ingest`, `aggregate` and `query` as processes of their own on one log, one database and one lake."""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from functools import partial

import httpx

from tests.server import HACKATIME, HEARTLINE, eventually, lasting_port

T = 1_700_000_000
BULK = f"{HACKATIME}/users/current/heartbeats.bulk"
WITHIN_S = 600  # for whatever starts or ends by itself: a shared machine takes its time
RANGE = {"start_date": "2023-11-01", "end_date": "2023-12-01"}


def spawn(arguments, environment, log, program=(HEARTLINE,)):
    """Start `heartline`, or what runs in its place, with its output at the end of the file `log`."""
    with log.open("ab") as output:
        return subprocess.Popen([*program, *arguments], env=environment, stdout=output, stderr=output)


class Service:
    """One `heartline ingest`, `aggregate` or `query`, started as `spawn` does."""

    def __init__(self, role, environment, folder, spawn=spawn):
        self.role = role
        self.url = f"http://127.0.0.1:{lasting_port()}"
        self.log = folder / f"{role}-{uuid.uuid4().hex[:6]}.log"
        options = [] if role == "aggregate" else ["--port", self.url.rpartition(":")[2]]
        self._arguments = [role, *options]
        self._environment = environment
        self._spawn = spawn
        self.process = None
        self._already = 0

    def start_again(self, within_s):
        """Return when it is ready; what ends before, since a place is away, is launched again, as compose.yaml does."""
        deadline = time.monotonic() + within_s
        self.launch()
        while not self._is_ready():
            assert time.monotonic() < deadline, self.output()[self._already :]
            time.sleep(0.1)
            if self.process.poll() is not None:
                self.launch()

    def launch(self):
        """Return at once."""
        self._already = len(self.output())
        self.process = self._spawn(self._arguments, self._environment, self.log)

    def wait_until_ready(self):
        """It may have ended before, which is an error."""
        eventually(lambda: self._is_ready() or self.process.poll() is not None, True, WITHIN_S)
        assert self._is_ready(), self.output()[self._already :]

    def _is_ready(self):
        ready = "follows the log" if self.role == "aggregate" else "is at http"
        return ready in self.output()[self._already :]

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def end(self, number=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(WITHIN_S)

    @contextlib.contextmanager
    def frozen(self):
        """Freeze it (SIGSTOP): connections and transactions stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


class Cluster:
    """What runs on one topic, one database and one lake: a folder of its own, unless HEARTLINE_LAKE_URL is given."""

    def __init__(self, folder, log_url, stats_url, **environment):
        self.folder = folder
        others = {k: v for k, v in os.environ.items() if not k.startswith("HEARTLINE_")}
        places = {"DATA": folder / "data", "LOG_URL": log_url, "STATS_URL": stats_url}
        self.environment = others | {f"HEARTLINE_{name}": str(value) for name, value in places.items()} | environment
        self.services = []

    def start(self, role, *program, **environment):
        service = self.launch(role, *program, **environment)
        service.wait_until_ready()
        return service

    def launch(self, role, *program, **environment):
        """Start one without waiting until it is ready."""
        self.services.append(self.new_service(role, *program, **environment))
        self.services[-1].launch()
        return self.services[-1]

    def new_service(self, role, *program, **environment):
        """Give one that is to be started, and ended, by who asks."""
        start = partial(spawn, program=program or (HEARTLINE,))
        return Service(role, self.environment | environment, self.folder, start)

    def cli(self, *arguments):
        done = subprocess.run(
            [HEARTLINE, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=WITHIN_S
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def close(self):
        for service in self.services:
            service.end(signal.SIGKILL)


def add_users(cluster, number):
    """{user id: key}"""
    added = [json.loads(cluster.cli("users", "add", f"user-{n}")) for n in range(number)]
    return {user["user_id"]: user["api_key"] for user in added}


def send(ingest, key, seconds):
    """Send as a plugin does: again until it is acknowledged."""
    beats = [{"entity": "/a.py", "type": "file", "project": "p", "time": T + s} for s in seconds]
    headers = {"Authorization": f"Bearer {key}"}

    def accepted():
        with contextlib.suppress(httpx.TransportError):
            response = httpx.post(ingest.url + BULK, json=beats, headers=headers, timeout=30)
            return response.status_code == 201 and [status for _, status in response.json()["responses"]]
        return None

    assert eventually(accepted, [201] * len(beats), within_s=60) == [201] * len(beats)


def total(query, key):
    answer = httpx.get(
        f"{query.url}/api/v1/users/current/stats",
        params={"total_seconds": "true", **RANGE},
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
    )
    return answer.json().get("total_seconds") if answer.status_code == 200 else answer.status_code


def assert_exact(cluster, query, users, seconds):
    """Every user has all heartbeats, each once, in the stats and in Parquet."""
    for key in users.values():
        assert eventually(lambda key=key: total(query, key), seconds, within_s=60) == seconds
    cluster.cli("flush")
    rows = cluster.cli(
        "sql", "--json", "SELECT user_id, count(*) AS n, count(DISTINCT id) AS d FROM heartbeats GROUP BY 1"
    )
    counts = {row["user_id"]: (row["n"], row["d"]) for row in map(json.loads, rows.splitlines())}
    assert counts == dict.fromkeys(users, (seconds // 60 + 1, seconds // 60 + 1))
    cluster.cli("verify")
