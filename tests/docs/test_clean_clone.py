"""The README's two commands, from a clean clone of what is committed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import httpx
import pytest

from tests.docs import examples
from tests.server import HACKATIME, eventually, free_port

SET_UP_AND_READY_WITHIN_S = 240  # downloads all packages where nothing is cached
STOPPED_WITHIN_S = 15
KEY = re.compile(r"^api_key = ([0-9a-f-]{36})$", re.MULTILINE)


def environment_of(folder):
    """Give the environment of a user called ann, with nothing of the test run's own in it."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("HEARTLINE_", "MAKE", "MFLAGS", "VIRTUAL_ENV"))}
    return kept | {"USER": examples.USERNAME, "HEARTLINE_DATA": str(folder / "data")}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of HEAD, and the folder that it is in."""
    folder = tmp_path_factory.mktemp("clone")
    subprocess.run(["git", "clone", "--quiet", examples.ROOT, folder / "heartline"], check=True, timeout=60)
    yield folder / "heartline"
    shutil.rmtree(folder / "heartline" / ".venv", ignore_errors=True)  # half a gigabyte


@contextlib.contextmanager
def made(clone, port, data):
    """Run `make run`; give its process and the file of its output once it is ready. Ends whatever is left of it."""
    data.mkdir()
    printed = data / "output.txt"
    with printed.open("w") as output, (data / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            ["make", "run", f"ARGS=--port {port}"],
            cwd=clone,
            env=environment_of(data),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + SET_UP_AND_READY_WITHIN_S
            while f"Heartline is at http://127.0.0.1:{port}" not in printed.read_text():
                assert process.poll() is None, (data / "errors.txt").read_text()
                assert time.monotonic() < deadline, (data / "errors.txt").read_text()
                time.sleep(0.05)
            yield process, printed
        finally:
            with contextlib.suppress(ProcessLookupError):  # all of it has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def group_of(leader):
    """Give {pid: command line} of every process in a process group."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,pgid=,args="], capture_output=True, text=True, check=True
    ).stdout
    found = (line.split(maxsplit=2) for line in listed.splitlines())
    return {int(pid): command for pid, group, command in found if int(group) == leader and "<defunct>" not in command}


def heartline_of(leader):
    """Find the supervisor of `heartline up` in a process group."""
    (pid,) = (pid for pid, command in group_of(leader).items() if re.search(r"^\S*python\S* \S*heartline up ", command))
    return pid


@pytest.mark.timeout(400)
def test_make_run_sets_up_a_clean_clone_and_serves_the_user_whose_key_it_prints(clone, tmp_path):
    port = free_port()
    with made(clone, port, tmp_path / "first") as (process, output):
        printed = output.read_text()
        (key,) = KEY.findall(printed)
        address = f"http://127.0.0.1:{port}"

        (shown,) = (example.expected for example in examples.examples() if example.command == "make run")
        (shown_key,) = KEY.findall(shown)
        as_shown = printed.replace(address, f"http://{examples.SHOWN_ADDRESS}").replace(key, shown_key)
        assert examples.agrees(as_shown, shown), printed

        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as http:
            now = int(time.time())
            sent = http.post(f"{HACKATIME}/users/current/heartbeats", json={"entity": "a.py", "time": now})
            assert sent.status_code == 202, sent.text

            def newest():
                return http.get("/api/v1/my/heartbeats/most_recent").json().get("heartbeat") or {}

            assert eventually(lambda: newest().get("id"), sent.json()["id"]) == sent.json()["id"]
            bar = http.get(f"{HACKATIME}/users/current/statusbar/today")
            assert bar.json() == {"data": {"grand_total": {"total_seconds": 0.0, "text": "0 secs"}}}
        os.kill(heartline_of(process.pid), signal.SIGTERM)
        assert process.wait(STOPPED_WITHIN_S) == 0
    assert [*(tmp_path / "first" / "data" / "lake" / "heartbeats").glob("*/*.parquet")], "not flushed at the end"


@pytest.mark.timeout(400)
def test_stopping_make_stops_everything(clone, tmp_path):
    with made(clone, free_port(), tmp_path / "second") as (process, _):
        assert heartline_of(process.pid)
        process.terminate()
        process.wait(STOPPED_WITHIN_S)
        assert eventually(lambda: group_of(process.pid), {}, STOPPED_WITHIN_S) == {}


def test_make_test_calls_linter_types_and_tests(clone):
    planned = subprocess.run(
        ["make", "-n", "test"],
        cwd=clone,
        env=environment_of(clone),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    steps = [line for line in planned.splitlines() if line.startswith(".venv/bin/")]
    assert [line.split()[0].removeprefix(".venv/bin/") for line in steps] == ["ruff", "ruff", "mypy", "pytest"]
