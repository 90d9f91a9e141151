"""wakatime 13.1.0, the last WakaTime client in pure Python, on real files of a real git project."""

import contextlib
import datetime as dt
import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).with_name("wakatime_launcher.py")
PLUGIN = "vim/9.0 vim-wakatime/7.1.0"
MACHINE = "Dev's MacBook"
BRANCH = "feature/x"
FILES = {
    "src/app.py": ("Python", "import requests\nimport os\n\n\ndef run():\n    return requests.get('x')\n"),
    "src/main.go": ("Go", 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("x") }\n'),
    "lib/tool.rb": ("Ruby", "require 'json'\nputs 1\n"),
    "web/site.js": ("JavaScript", "import React from 'react'\nexport default 1\n"),
    "web/page.css": ("CSS", "body { color: red }\n"),
}
SENT, OFFLINE = 0, 102  # its exit codes


class Client:
    """The client as an editor plugin runs it: a HOME with a .wakatime.cfg, one process for each call."""

    def __init__(self, python, home, server, key):
        self.python = python
        self.home = home
        home.mkdir()
        url = f"{server.url}/api/hackatime/v1/users/current/heartbeats.bulk"
        settings = f"[settings]\napi_key = {key}\napi_url = {url}\nhostname = {MACHINE}\n"
        (home / ".wakatime.cfg").write_text(settings)

    def run(self, *arguments, extra=None):
        """Run it and return its exit code; `extra` goes to its standard input as --extra-heartbeats."""
        options = ["--plugin", PLUGIN, *(["--extra-heartbeats"] if extra else [])]
        done = subprocess.run(
            [self.python, "-W", "ignore", LAUNCHER, *options, *map(str, arguments)],
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"},
            cwd=self.home,
            input=json.dumps(extra) + "\n" if extra else "",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr + self.log(), done.stdout + done.stderr + self.log()
        return done.returncode

    def log(self):
        path = self.home / ".wakatime.log"
        return path.read_text() if path.exists() else ""

    def queued(self):
        """How many heartbeats wait in its offline queue."""
        with contextlib.closing(sqlite3.connect(self.home / ".wakatime.db")) as queue:
            return queue.execute("SELECT count(*) FROM heartbeat_2").fetchone()[0]


@pytest.fixture
def project(tmp_path):
    """A git project on a branch, with files in five languages."""
    root = tmp_path / "harbor-tools"
    for name, (_, text) in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", "-b", BRANCH, root], check=True)
    return root


@pytest.fixture
def developer(server):
    """A user in whose zone it is about noon, so that the last hours are all of today."""
    ahead = (12 - dt.datetime.now(dt.UTC).hour) % 24
    ahead = ahead - 24 if ahead > 12 else ahead
    return server.new_account(timezone=f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT")


@pytest.fixture
def client(client_python, server, developer, tmp_path):
    return Client(client_python, tmp_path / "home", server, developer.key)


def steps(project, start_s, count, step_s=30):
    """Heartbeats as --extra-heartbeats has them, on each file in turn."""
    names = list(FILES)
    return [
        {"entity": str(project / names[n % len(names)]), "timestamp": start_s + step_s * n, "lineno": 1 + n}
        for n in range(count)
    ]


def listed(account, start_s, end_s):
    return account.heartbeats(start_time=start_s, end_time=end_s)


def test_heartbeats_of_real_files_show_in_the_status_bar_stats_and_list(server, developer, client, project):
    start_s = int(time.time()) - 3600
    one = ("--entity", project / "src/app.py", "--time", start_s, "--write", "--lineno", 5, "--cursorpos", 7)
    assert client.run(*one) == SENT
    assert client.run(*one[:2], "--time", start_s + 30, extra=steps(project, start_s + 60, 6)) == SENT
    server.settle()

    bar = developer.statusbar()
    assert (bar["total_seconds"], bar["text"]) == (210, "3 mins")
    stats = developer.stats(features="languages,projects")
    assert stats["total_seconds"] == 210
    assert [(p["name"], p["total_seconds"]) for p in stats["data"]["projects"]] == [("harbor-tools", 210)]
    # app.py at 0, 30, 60 and 210, the others once each
    languages = {entry["name"]: entry["total_seconds"] for entry in stats["data"]["languages"]}
    assert languages == {"Python": 180, "Go": 0, "Ruby": 0, "JavaScript": 0, "CSS": 0}

    answer = listed(developer, start_s, start_s + 600)
    assert answer["total_seconds"] == 210
    rows = answer["heartbeats"]
    assert [row["time"] for row in rows] == [float(start_s + 30 * n) for n in range(8)]
    order = ["src/app.py", "src/app.py", *FILES, "src/app.py"]
    assert [row["entity"] for row in rows] == [str(project / name) for name in order]
    assert [row["language"] for row in rows] == [FILES[name][0] for name in order]
    for row in rows:
        assert row["project"] == "harbor-tools"
        assert row["branch"] == BRANCH
        assert (row["editor"], row["operating_system"], row["machine"]) == ("vim", "linux", MACHINE)
        assert (row["category"], row["type"], row["user_id"]) == ("coding", "file", developer.user_id)
        assert row["user_agent"].startswith("wakatime/13.1.0 (")
        assert row["user_agent"].endswith(PLUGIN)
    assert (rows[0]["is_write"], rows[0]["lineno"], rows[0]["cursorpos"]) == (True, 5, 7)
    assert (rows[0]["lines"], rows[0]["dependencies"]) == (6, ["requests"])


def test_a_queue_filled_while_the_server_is_down_is_synced_after(server, developer, client, project):
    start_s = int(time.time()) - 7200
    assert server.stop() == 0
    now = ("--entity", project / "src/main.go", "--time")
    assert client.run(*now, start_s, extra=steps(project, start_s + 30, 40)) == OFFLINE
    assert client.queued() == 41

    server.start()
    assert client.run(*now, start_s + 30 * 41) == SENT  # this one, and the queue after it
    assert client.queued() == 0
    server.settle()
    answer = listed(developer, start_s, start_s + 7200)
    assert [row["time"] for row in answer["heartbeats"]] == [float(start_s + 30 * n) for n in range(42)]
    assert {row["project"] for row in answer["heartbeats"]} == {"harbor-tools"}
    assert developer.statusbar()["total_seconds"] == 41 * 30
    assert developer.stats()["total_seconds"] == 41 * 30


def test_thirty_heartbeats_of_one_call_all_arrive(server, developer, client, project):
    start_s = int(time.time()) - 3600
    extra = steps(project, start_s + 10, 29, step_s=10)
    assert client.run("--entity", project / "lib/tool.rb", "--time", start_s, extra=extra) == SENT
    assert client.queued() == 0
    server.settle()
    rows = listed(developer, start_s, start_s + 600)["heartbeats"]
    assert [row["time"] for row in rows] == [float(start_s + 10 * n) for n in range(30)]
    assert len({row["id"] for row in rows}) == 30


def test_heartbeats_that_come_again_are_counted_once(server, developer, client, project):
    start_s = int(time.time()) - 3600
    call = ("--entity", project / "src/app.py", "--time", start_s)
    for _ in range(2):
        assert client.run(*call, extra=steps(project, start_s + 30, 3)) == SENT
    server.settle()
    answer = listed(developer, start_s, start_s + 600)
    assert [row["time"] for row in answer["heartbeats"]] == [float(start_s + 30 * n) for n in range(4)]
    assert answer["total_seconds"] == 90


def test_a_file_outside_any_project_is_taken_without_one(server, developer, client, tmp_path):
    start_s = int(time.time()) - 3600
    loose = tmp_path / "loose.py"
    loose.write_text("x = 1\n")
    assert client.run("--entity", loose, "--time", start_s) == SENT
    server.settle()
    (row,) = listed(developer, start_s, start_s + 10)["heartbeats"]
    assert (row["project"], row["branch"], row["language"]) == (None, None, "Python")


def test_a_wrong_key_keeps_the_heartbeat_offline(server, client_python, project, tmp_path):
    stranger = Client(client_python, tmp_path / "other", server, "33333333-3333-4333-8333-333333333333")
    auth_error = 104
    assert stranger.run("--entity", project / "src/app.py", "--time", int(time.time())) == auth_error
    assert stranger.queued() == 1
