"""`heartline up` as real processes: what dies comes back, what stops stops in order, nothing is left behind."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.server import STOPPED_WITHIN_S, Server, eventually

T = 1_700_000_000
ROLES = ("front", "aggregator", "query")
RESTARTED_WITHIN_S = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("supervised")) as running:
        yield running


@pytest.fixture
def own_server(tmp_path):
    with Server(tmp_path) as running:
        yield running


def children_of(pid):
    """Give the processes of a running `heartline up` by role."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            arguments = stat.with_name("cmdline").read_bytes()
        except (OSError, IndexError):
            continue  # it ended meanwhile
        role = re.search(rb'"role":"(\w+)"', arguments)
        if parent == pid and role:
            found[role[1].decode()] = int(stat.parent.name)
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def statuses(account):
    return account.get("/api/hackatime/v1/users/current").status_code


@pytest.mark.parametrize("role", ROLES)
def test_a_process_that_is_killed_comes_back_and_nothing_is_lost(server, role):
    account = server.new_account()
    account.send({"entity": "a.py", "time": T}, settle=False)
    before = children_of(server.process.pid)
    os.kill(before[role], signal.SIGKILL)
    read = eventually(lambda: children_of(server.process.pid).get(role) not in (None, before[role]), True, 10)
    assert read, server.output()
    assert eventually(lambda: statuses(account), 200, RESTARTED_WITHIN_S) == 200
    account.send({"entity": "a.py", "time": T + 60})
    assert account.total(start_date="2023-11-14", end_date="2023-11-16") == 60
    after = children_of(server.process.pid)
    assert {r: pid for r, pid in after.items() if r != role} == {r: pid for r, pid in before.items() if r != role}
    assert f"The {role} process ended" in server.output()


def test_connections_wait_while_the_front_starts_again(server):
    account = server.new_account()
    os.kill(children_of(server.process.pid)["front"], signal.SIGKILL)
    server.http.close()  # its kept connection died with the front
    server.http = type(server.http)(base_url=server.url, timeout=RESTARTED_WITHIN_S)
    account.send({"entity": "a.py", "time": T})


def test_the_settings_are_shown_at_start_without_secrets(server):
    shown = server.output()
    assert f"HEARTLINE_DATA={server.data}" in shown
    assert f"HEARTLINE_PORT={server.port}" in shown
    assert "HEARTLINE_STATS_API_KEY=(set, not shown)" in shown
    assert server.environment["HEARTLINE_STATS_API_KEY"] not in shown


def test_no_key_and_no_query_string_is_ever_logged(server):
    account = server.new_account()
    account.send({"entity": "a.py", "time": T})
    bar = "/api/hackatime/v1/users/current/statusbar/today"
    assert server.http.get(f"{bar}?api_key={account.key}").status_code == 200
    assert server.http.get(f"/api/v1/stats?api_key={account.key}").status_code == 200
    assert server.http.get(f"/nothing?api_key={account.key}").status_code == 404
    assert account.key not in server.output()
    assert "api_key=" not in server.output()


def test_a_second_one_on_the_same_data_is_refused_with_a_clear_line(server):
    refused = server.cli("up", "--port", "0", check=False)
    assert refused.returncode == 2
    assert "lock is held by process" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    assert set(children_of(server.process.pid)) == set(ROLES)


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_signal_stops_everything_in_order_while_requests_come_in(own_server, number, whole_group):
    server, account = own_server, own_server.new_account()
    children, taken, stopping = children_of(server.process.pid), [], threading.Event()

    def send():
        time_s = T
        while not stopping.is_set():
            try:
                response = account.bulk([{"entity": "a.py", "time": time_s + i} for i in range(25)])
            except Exception:  # noqa: BLE001 - the server is stopping: any refusal will do
                break
            if response.status_code == 201:
                taken.extend(stored["id"] for stored, _ in response.json()["responses"])
                time_s += 25

    sender = threading.Thread(target=send)
    sender.start()
    assert eventually(lambda: len(taken) >= 250, True)
    began = time.monotonic()
    (os.killpg if whole_group else os.kill)(server.process.pid, number)
    assert server.process.wait(STOPPED_WITHIN_S) == 0
    assert time.monotonic() - began < STOPPED_WITHIN_S
    stopping.set()
    sender.join()
    assert not [pid for pid in children.values() if is_running(pid)]
    assert "did not stop in time" not in server.output()
    status = json.loads(server.cli("status").stdout)
    assert (status["log"]["lag_records"], status["tail"]["heartbeats"]) == (0, 0)
    assert status["lake"]["heartbeats"] >= len(taken)
    assert {row["id"] for row in server.sql("SELECT id FROM heartbeats")} >= set(taken)


@pytest.fixture
def orphans_of():
    """Kill a supervisor alone; whatever is left of its children at the end of the test is ended."""
    children = {}

    def orphan(server):
        children.update(children_of(server.process.pid))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        return children

    yield orphan
    for pid in children.values():
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def test_no_process_outlives_a_supervisor_that_is_killed(own_server, orphans_of):
    account = own_server.new_account()
    account.send({"entity": "a.py", "time": T})
    children = orphans_of(own_server)
    assert set(children) == set(ROLES)
    left = eventually(lambda: [pid for pid in children.values() if is_running(pid)], [], STOPPED_WITHIN_S + 1)
    assert left == []
    assert json.loads(own_server.cli("status").stdout)["heartbeats"] == 1 + 2  # and the sentinel's


def test_a_data_folder_whose_path_is_too_long_for_a_socket_serves_all_the_same(tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with Server(folder) as server:
        assert server.http.get("/up").status_code == 200
        assert server.stop() == 0
