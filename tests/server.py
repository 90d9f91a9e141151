"""A real `heartline up` on a free port, a folder and places of its own, and accounts that talk to it over HTTP."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from heartline.adapters import log_of
from storage.stats import Database
from tests.faults.processes import processes_below
from tests.places import lake_of, parquet, settings_of
from tests.today import NOT_UTC, UTC_OR_FAR

HEARTLINE = Path(sys.executable).with_name("heartline")
HACKATIME = "/api/hackatime/v1"
PREFIXES = (HACKATIME, "/api/v1", "/api/compat/wakatime/v1")
OPERATOR_KEY = "operator-key-of-the-tests"
READY_WITHIN_S = 180
STOPPED_WITHIN_S = 10
SETTLED_WITHIN_S = 60  # an aggregator that was killed starts again meanwhile, on a machine that has more to do
_SENTINEL_BASE_S = 1_500_000_000
_LASTING_PORTS = range(20_000, 32_000)
_POOLED = dict.fromkeys((*UTC_OR_FAR, *NOT_UTC), 60) | {"UTC": 300}  # zone -> users


def eventually(read, expected, within_s=10.0, every_s=0.005):
    """Call `read` until it gives `expected` or time is up; return what it gave last."""
    deadline = time.monotonic() + within_s
    while True:
        value = read()
        if value == expected or time.monotonic() > deadline:
            return value
        time.sleep(every_s)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lasting_port():
    """Give a free port below those that the system gives to connections, so that a server finds it when it restarts."""
    for port in random.SystemRandom().sample(_LASTING_PORTS, len(_LASTING_PORTS)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


def children_of(pid):
    """Give the processes of a running `heartline up` by role."""
    roles = ((re.search(r'"role":"(\w+)"', command), child) for child, command in processes_below(pid))
    return {role[1]: child for role, child in roles if role}


@dataclass
class Account:
    """A user with a key; every request carries it as Bearer unless `auth` says otherwise."""

    server: "Server"
    user_id: int
    username: str
    key: str
    timezone: str = "UTC"
    email: str | None = None
    slack_uid: str | None = None
    trust_level: str = "blue"
    trust_value: int = 0
    headers: dict = field(default_factory=dict)

    def __post_init__(self):
        self.headers = {"Authorization": f"Bearer {self.key}"}

    def get(self, path, **params):
        return self.server.http.get(path, params=params or None, headers=self.headers)

    def post(self, path, json=None, *, content=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.http.post(path, json=json, content=content, headers=self.headers | named)

    def single(self, heartbeat, **headers):
        return self.post(f"{HACKATIME}/users/current/heartbeats", heartbeat, **headers)

    def bulk(self, heartbeats, **headers):
        return self.post(f"{HACKATIME}/users/current/heartbeats.bulk", heartbeats, **headers)

    def send(self, *heartbeats, settle=True, **headers):
        """Send in one bulk; every one must be taken. Return the stored heartbeats, which are counted by then."""
        response = self.bulk(list(heartbeats), **headers)
        assert response.status_code == 201, response.text
        pairs = response.json()["responses"]
        assert [status for _, status in pairs] == [201] * len(heartbeats), pairs
        if settle:
            self.server.settle()
        return [stored for stored, _ in pairs]

    def stats(self, username="current", **params):
        response = self.get(f"/api/v1/users/{username}/stats", **params)
        assert response.status_code == 200, response.text
        return response.json()

    def total(self, **params):
        """Whole seconds of a range."""
        return self.stats(total_seconds="true", **params)["total_seconds"]

    def statusbar(self, prefix=HACKATIME):
        response = self.get(f"{prefix}/users/current/statusbar/today")
        assert response.status_code == 200, response.text
        return response.json()["data"]["grand_total"]

    def heartbeats(self, **params):
        response = self.get("/api/v1/my/heartbeats", **params)
        assert response.status_code == 200, response.text
        return response.json()


class Server:
    """Starts on entry; on leaving ends its own process group, whatever state it is in."""

    def __init__(self, folder, port=None, **environment):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.port = port or free_port()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("HEARTLINE_")}
        self.environment |= {"HEARTLINE_DATA": str(self.data), "HEARTLINE_STATS_API_KEY": OPERATOR_KEY, **environment}
        self.process = None
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self._pool = {}
        self._sentinels = []
        self._sent = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self):
        return self.folder / "heartline.log"

    def output(self):
        """Give everything that the processes have written so far, standard output and error."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self):
        self._import_pool()
        self.start()
        return self

    def __exit__(self, *_):
        self.http.close()
        self.kill()

    def start(self, *options):
        """Return when everything answers. Raises RuntimeError with the output when it does not."""
        already = len(self.output())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [HEARTLINE, "up", "--port", str(self.port), *options],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while f"Heartline is at {self.url}" not in self.output()[already:]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"heartline up is not ready:\n{self.output()[already:]}")
            time.sleep(0.02)

    def stop(self):
        """Send SIGTERM and return the exit code; None when it has not ended in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        """End the whole process group at once, if anything of it is left."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # all of it has ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def cli(self, *arguments, check=True, timeout_s=60):
        """Run a command of `heartline` on this data folder."""
        done = subprocess.run(
            [HEARTLINE, *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def sql(self, statement):
        """Run `heartline sql`; the rows as dicts."""
        return [json.loads(line) for line in self.cli("sql", "--json", statement).stdout.splitlines()]

    def add_user(self, username=None, **fields):
        """Run `heartline users add`; the account may not be known to a running server yet."""
        username = username or f"user-{uuid.uuid4().hex[:12]}"
        options = []
        for name, value in fields.items():
            options += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        answer = json.loads(self.cli("users", "add", username, *options).stdout)
        known = {name: value for name, value in fields.items() if name in Account.__dataclass_fields__}
        known.pop("user_id", None)
        return Account(self, answer["user_id"], answer["username"], answer["api_key"], **known)

    def new_account(self, **fields):
        """Give a user of their own whom the server knows: one imported at the start where only a zone is asked for."""
        pooled = self._pool.get(fields.get("timezone", "UTC"))
        if not fields.keys() - {"timezone"} and pooled:
            return pooled.pop()
        account = self.add_user(**fields)
        seen = eventually(lambda: account.get(f"{HACKATIME}/users/current").status_code, 200, within_s=2)
        assert seen == 200, "a new user is unknown after 2 s"
        return account

    def settle(self):
        """Return when all that was acknowledged is counted: a shard is in order, a sentinel sent to each comes last."""
        if not self._sentinels:
            self._sentinels = self._one_of_each_shard()
            self._send_sentinels()  # the first ones alone add no time
        self._send_sentinels()
        seconds = 60 * (self._sent - 1)
        for sentinel in self._sentinels:
            counted = eventually(lambda s=sentinel: s.total(start_date="2017-01-01"), seconds, SETTLED_WITHIN_S)
            assert counted == seconds, f"not counted within {SETTLED_WITHIN_S} s\n{self.output()[-4000:]}"

    def _one_of_each_shard(self):
        shards = len(log_of(settings_of(self.environment)).ends())
        found = {}
        while len(found) < shards:
            account = self.new_account()
            found.setdefault(account.user_id % shards, account)
        return list(found.values())

    def _send_sentinels(self):
        for sentinel in self._sentinels:
            sentinel.send({"entity": "sentinel", "time": _SENTINEL_BASE_S + 60 * self._sent}, settle=False)
        self._sent += 1

    def append(self, record):
        """Append a record that no ingest would write."""
        log_of(settings_of(self.environment)).append(record)

    def database(self):
        """Open the stats database, past the services. Close it after use."""
        return Database(settings_of(self.environment).stats_url)

    def lake(self):
        """Open the lake, past the services."""
        return lake_of(self.environment)

    def parquet(self, query, *parameters):
        """Ask an ordinary DuckDB over a plain glob of the Parquet files, `lake`; the rows."""
        with parquet(self.environment) as connection:
            return connection.execute(query, parameters).fetchall()

    def import_users(self, wanted):
        """Run `heartline users import`; one account for each, in order."""
        users = self.folder / "users.json"
        users.write_text(json.dumps(wanted))
        answers = [json.loads(line) for line in self.cli("users", "import", users).stdout.splitlines()]
        return [
            Account(self, a["user_id"], a["username"], a["api_key"], timezone=w.get("timezone", "UTC"))
            for w, a in zip(wanted, answers, strict=True)
        ]

    def _import_pool(self):
        wanted = [
            {"username": f"pooled-{zone.lower().replace('/', '-')}-{number}", "timezone": zone}
            for zone, size in _POOLED.items()
            for number in range(size)
        ]
        for account in self.import_users(wanted):
            self._pool.setdefault(account.timezone, []).append(account)
