"""One running pipeline for all examples: users, requests that are repeated as clients do, and what can happen to it."""

import json
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
from typer.testing import CliRunner

from heartline.cli import app
from tests.faults.processes import is_alive, processes_below
from tests.server import OPERATOR_KEY, PREFIXES, children_of, eventually

PROFILE = f"{PREFIXES[1]}/users/current"
STATUSBAR = f"{PROFILE}/statusbar/today"  # WakaTime's shows the zone
WITHIN_S = 60  # for anything that is under way: machines stall
USERS_AT_ONCE = 40
# Small enough that flushes, compactions and cache misses are under way in every example.
BUSY = {
    "HEARTLINE_FLUSH_ROWS": "120",
    "HEARTLINE_FLUSH_INTERVAL": "3",
    "HEARTLINE_COMPACT_FILES": "2",
    "HEARTLINE_CACHE_ROWS": "1000",
}


class Pipeline:
    """`server` is running between any two calls. `counts` tells what was done, for the end of the run."""

    def __init__(self, server, *, commands_wait):
        self.server = server
        self._commands_wait = commands_wait
        self.counts = Counter()
        self._fresh = []
        self._is_settled = True
        self._broken = None  # how the last request broke off

    def new_account(self):
        """Give a user whom no example has used."""
        if not self._fresh:
            number = self.counts["users imported"]
            names = [f"machine-{number + n}" for n in range(USERS_AT_ONCE)]
            wanted = [{"username": n, "email": f"{n}@example.org", "slack_uid": f"U-{n}"} for n in names]
            before_us = _now_us()
            self._fresh = self.server.import_users(wanted)
            added_us = before_us, _now_us()
            for account in self._fresh:
                account.email, account.slack_uid = f"{account.username}@example.org", f"U-{account.username}"
                account.added_us = added_us
            self.counts["users imported"] += USERS_AT_ONCE
        account = self._fresh.pop()
        self.is_known(account)
        return account

    def is_known(self, account):
        """Return when query and front know who the user is and in which zone: 2 s are promised."""
        for path, read, expected in (
            (PROFILE, _profile, (account.username, account.timezone)),
            (STATUSBAR, _statusbar_zone, account.timezone),
        ):
            seen = eventually(lambda p=path, r=read: r(self.get(p, {}, account.headers)[1]), expected, WITHIN_S)
            assert seen == expected, f"{path} shows {seen}, not {expected}"

    def is_refused(self, account):
        for path in (PROFILE, STATUSBAR):
            status = eventually(lambda p=path: self.get(p, {}, account.headers)[0], 401, WITHIN_S)
            assert status == 401, f"a removed user's key is still known to {path}"

    def get(self, path, params, headers):
        """Status, and JSON or text; asked again while a process is starting."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            answer = self._attempt(lambda: self.server.http.get(path, params=params, headers=headers))
            if answer is not None and answer.status_code != 503:
                is_json = answer.headers.get("content-type", "").startswith("application/json")
                return answer.status_code, answer.json() if is_json else answer.text
            self._wait_a_moment(deadline, path, answer)

    def post(self, account, path, body, headers):
        """Send until it is acknowledged, as plugins do: what became of an unanswered request nobody knows."""
        self._is_settled = False
        deadline = time.monotonic() + WITHIN_S
        while True:
            answer = self._attempt(lambda: account.post(path, content=body, **headers))
            if answer is not None and answer.status_code != 503:
                return answer
            self.counts["requests sent again"] += 1
            self._wait_a_moment(deadline, path, answer)

    def _attempt(self, ask):
        """The response, or None for a request that broke off; why is kept for whoever gives up."""
        try:
            return ask()
        except httpx.TransportError as error:
            self._broken = repr(error)
            return None

    def _wait_a_moment(self, deadline, path, answer):
        """Wait for a moment; fail where that has been done for too long."""
        said = answer.text if answer is not None else self._broken
        assert time.monotonic() < deadline, f"{path}: {said}\n{self.server.output()[-4000:]}"
        time.sleep(0.02)

    def settle(self):
        """Return when everything that was acknowledged is counted."""
        if self._is_settled:
            return
        lag = eventually(lambda: self.command("status")["log"]["lag_records"], 0, WITHIN_S)
        assert lag == 0, f"{lag} records are not counted\n{self.server.output()[-4000:]}"
        self._is_settled = True

    def command(self, *arguments):
        """Run a command of `heartline` in this process, where that saves its start: the same code, the same answer."""
        environment = {name: None for name in os.environ if name.startswith("HEARTLINE_")}
        environment |= {n: v for n, v in self.server.environment.items() if n.startswith(("HEARTLINE_", "AWS_"))}
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
        assert result.exit_code == 0, f"{arguments}: {result.output} {result.exception!r}"
        lines = result.stdout.strip()
        return json.loads(lines) if lines.startswith("{") else lines

    def remove(self, account):
        """Erase a user; return when nobody knows them any more and nothing of theirs is left."""
        self.command("users", "remove", account.username)
        self.is_refused(account)
        left = self.command("sql", "--json", f"SELECT count(*) AS n FROM heartbeats WHERE user_id = {account.user_id}")
        assert left == {"n": 0}
        assert self.get(f"/api/v1/users/{account.user_id}/stats", {}, {})[0] == 404

    def everybodys_seconds(self):
        """The operator's sum over all users, over all days."""
        params = {"start_date": "2001-09-09", "end_date": "2033-05-18"}
        return int(self.get("/api/v1/stats", params, {"Authorization": f"Bearer {OPERATOR_KEY}"})[1])

    def heal(self):
        """Start again whatever a failed example left behind."""
        if self.server.process.poll() is not None:
            self.server.kill()
            self.server.start()

    def restart(self):
        self.counts["restarts"] += 1
        assert self.server.stop() == 0, self.server.output()[-4000:]
        self.server.start()

    def kill_everything(self):
        family = [pid for pid, _ in processes_below(self.server.process.pid)]
        self.counts["kills"] += len(family) + 1
        self.server.kill()
        assert eventually(lambda: [pid for pid in family if is_alive(pid)], [], WITHIN_S) == []
        self.server.start()

    def kill_one(self, role):
        """The supervisor starts it again; requests wait for it."""
        self.counts["kills"] += 1
        killed = children_of(self.server.process.pid)[role]
        os.kill(killed, signal.SIGKILL)
        again = eventually(lambda: children_of(self.server.process.pid).get(role) not in (None, killed), True, WITHIN_S)
        assert again, f"{role} is not started again"

    def kill_while(self, work, after_s):
        """Kill everything while `work` goes on in another thread; return what it gives, once all is up again."""
        with ThreadPoolExecutor(1) as thread:
            worker = thread.submit(work)
            time.sleep(after_s)  # any moment of the work will do
            self.kill_everything()
            return worker.result(2 * WITHIN_S)

    def offline(self, *arguments):
        """Run a command while no service runs: it does the aggregator's work itself, or waits for an aggregator."""
        self.counts["offline commands"] += 1
        assert self.server.stop() == 0, self.server.output()[-4000:]
        with ThreadPoolExecutor(1) as thread:
            command = thread.submit(self.server.cli, *arguments)
            if not self._commands_wait:
                command.result()
            self.server.start()
            command.result()


def _now_us():
    """Cut to the second below, as answers are."""
    return time.time_ns() // 1_000_000_000 * 1_000_000


def _profile(body):
    data = body.get("data", {})
    return data.get("username"), data.get("timezone")


def _statusbar_zone(body):
    return body.get("data", {}).get("range", {}).get("timezone")
