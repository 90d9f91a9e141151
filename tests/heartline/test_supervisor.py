"""`heartline up` as real processes: what dies comes back, what stops stops in order, nothing is left behind."""

import json
import os
import resource
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from storage.errors import LockedError
from storage.lock import FileLock
from tests.server import STOPPED_WITHIN_S, Server, children_of, eventually

pytestmark = pytest.mark.embedded("locks, log.db and processes of one data folder")

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


def take(path):
    """Hold a lock file as soon as its holder is gone."""
    found = []

    def try_it():
        try:
            found.append(FileLock(path, "the test has it."))
        except LockedError:
            return False
        return True

    assert eventually(try_it, True)
    return found[0]


@pytest.mark.parametrize(("role", "lock"), [("aggregator", "log.db-aggregate.lock"), ("front", "log.db-ingest.lock")])
def test_a_process_that_cannot_start_again_yet_is_tried_until_it_can_each_time_with_the_reason(own_server, role, lock):
    account = own_server.new_account()
    os.kill(children_of(own_server.process.pid)[role], signal.SIGKILL)
    held = take(own_server.data / lock)
    tries = f"The {role} process ended ({own_server.data}/{lock} is held by process {os.getpid()}"
    assert eventually(lambda: own_server.output().count(tries) >= 2, True, RESTARTED_WITHIN_S), own_server.output()
    held.release()
    assert eventually(lambda: role in children_of(own_server.process.pid), True, RESTARTED_WITHIN_S)
    account.send({"entity": "a.py", "time": T})
    assert own_server.stop() == 0


def test_a_read_api_that_cannot_start_again_yet_is_tried_until_it_can(own_server):
    account = own_server.new_account()
    socket_path = own_server.data / "query.sock"
    socket_path.unlink()
    socket_path.mkdir()
    os.kill(children_of(own_server.process.pid)["query"], signal.SIGKILL)
    tried = lambda: own_server.output().count("The query process ended ([Errno") >= 2  # noqa: E731 - read again and again
    assert eventually(tried, True, RESTARTED_WITHIN_S), own_server.output()
    account.send({"entity": "a.py", "time": T}, settle=False)  # heartbeats are taken meanwhile
    socket_path.rmdir()
    assert eventually(lambda: statuses(account), 200, RESTARTED_WITHIN_S) == 200


def test_a_machine_without_a_file_or_process_left_delays_a_restart_and_no_more(own_server):
    pid = own_server.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(children_of(pid)["aggregator"], signal.SIGKILL)
    tried = "The aggregator process ended ([Errno 24] Too many open files)"
    assert eventually(lambda: own_server.output().count(tried) >= 2, True, RESTARTED_WITHIN_S), own_server.output()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    own_server.new_account().send({"entity": "a.py", "time": T})


def test_a_start_waits_for_a_command_that_has_the_log_and_says_so(tmp_path):
    server = Server(tmp_path)
    server.data.mkdir()
    command = FileLock(server.data / "log.db-aggregate.lock", "a test's.", for_a_command=True)
    says = f"waits for a command to end: {server.data}/log.db-aggregate.lock is held by process {os.getpid()}"
    threading.Thread(
        target=lambda: (eventually(lambda: says in server.output(), True, 60), time.sleep(4), command.release())
    ).start()  # longer than another holder would be waited for
    with server:
        assert server.output().count(says) == 1
        server.new_account().send({"entity": "a.py", "time": T})


def start_in_vain(server):
    with pytest.raises(RuntimeError):
        server.start()


def test_a_start_that_waits_for_a_command_can_be_stopped(tmp_path):
    server = Server(tmp_path)
    server.data.mkdir()
    command = FileLock(server.data / "log.db-aggregate.lock", "a test's.", for_a_command=True)
    starting = threading.Thread(target=start_in_vain, args=(server,))
    starting.start()
    assert eventually(lambda: "waits for a command to end" in server.output(), True, 60)
    assert server.stop() == 0
    starting.join()
    command.release()
    server.http.close()


def test_records_that_are_gone_stop_counting_until_the_command_says_to_go_on(own_server):
    account = own_server.new_account()
    own_server.settle()
    assert own_server.stop() == 0
    with closing(sqlite3.connect(own_server.data / "log.db", isolation_level=None)) as log:
        log.execute("UPDATE sqlite_sequence SET seq = seq + 2")  # as if two had been appended and deleted
    assert "No gap" in own_server.cli("log", "accept-gap", check=False).stderr
    own_server.start()
    account.send({"entity": "a.py", "time": T}, settle=False)
    read_alarm = lambda: json.loads(own_server.cli("status").stdout)["alarm"]  # noqa: E731 - read again and again
    assert eventually(lambda: "are gone" in (read_alarm() or ""), True)
    waits = own_server.cli("flush", check=False)
    assert waits.returncode == 2
    assert "accept-gap" in waits.stderr
    assert account.total(start_date="2017-01-01") == 0
    assert "are gone" in own_server.cli("log", "accept-gap").stdout
    account.send({"entity": "a.py", "time": T + 60})
    assert account.total(start_date="2017-01-01") == 60
    assert read_alarm() is None


def test_a_lost_file_that_a_late_heartbeat_needs_is_given_up_by_the_rebuild_that_accepts_its_loss(own_server):
    account = own_server.new_account()
    total = lambda: account.total(start_date="2017-01-01")  # noqa: E731 - read again and again
    account.send({"entity": "a.py", "time": T}, {"entity": "a.py", "time": T + 60}, settle=False)
    assert eventually(total, 60) == 60
    assert own_server.stop() == 0
    for file in own_server.data.rglob("*.parquet"):
        file.unlink()
    own_server.start()
    account.send({"entity": "late.py", "time": T + 30}, settle=False)
    read_alarm = lambda: json.loads(own_server.cli("status").stdout)["alarm"]  # noqa: E731 - read again and again
    assert eventually(lambda: "--accept-loss" in (read_alarm() or ""), True)
    assert "--accept-loss" in own_server.cli("rebuild", check=False).stderr
    own_server.cli("rebuild", "--accept-loss")
    account.send({"entity": "a.py", "time": T + 50}, settle=False)
    assert eventually(total, 20) == 20
    assert read_alarm() is None


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
