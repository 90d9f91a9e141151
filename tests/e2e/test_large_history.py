"""What reads many heartbeats: memory stays bounded, and whoever asks for little meanwhile does not wait."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.history import beat
from tests.server import HACKATIME, children_of

DAYS = 40
A_DAY = 500
FIRST_DAY = 1_700_006_400  # 2023-11-15
MEMORY_KIB = 12 * 1024
"""Of an answer of more than 16 MB; held whole, it would take twice its size and more."""


@pytest.fixture(scope="module")
def heavy(server):
    """A user with 20,000 heartbeats, half of them in Parquet files."""
    account = server.new_account(timezone="America/St_Johns")
    beats = [
        beat(FIRST_DAY + 86_400 * day + 60 * i, project=f"p{i % 3}", entity="/home/ann/work/" + "d" * 60, lineno=i)
        for day in range(DAYS)
        for i in range(A_DAY)
    ]
    parts = [beats[start : start + 100] for start in range(0, len(beats), 100)]
    for half in (parts[: len(parts) // 2], parts[len(parts) // 2 :]):
        if half[0] is not parts[0]:
            server.cli("flush")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda part: account.send(*part, settle=False), half))
        server.settle()
    return account


def resident_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def read(account, first_day, last_day, processes):
    """Stream whole days, reading nothing ahead; the bytes, and the most memory that each process had meanwhile."""
    window = {"start": FIRST_DAY + 86_400 * first_day, "end": FIRST_DAY + 86_400 * (last_day + 1) - 1}
    size, most = 0, dict.fromkeys(processes, 0)
    path = "/api/v1/my/heartbeats"
    with account.server.http.stream("GET", path, params=window, headers=account.headers, timeout=120) as response:
        assert response.status_code == 200
        for chunk in response.iter_raw():
            size += len(chunk)
            most = {pid: max(kib, resident_kib(pid)) for pid, kib in most.items()}
    return size, most


def test_a_large_answer_takes_no_more_memory_than_a_small_one(server, heavy):
    children = children_of(server.process.pid)
    processes = [children["front"], children["query"]]
    for day in (0, 1, 2, DAYS - 2, DAYS - 1):  # what each reader loads and keeps at its first use
        read(heavy, day, day, processes)
    before = {pid: resident_kib(pid) for pid in processes}
    size, most = read(heavy, 0, DAYS - 1, processes)
    assert size > 16_000_000
    growth = {pid: most[pid] - before[pid] for pid in processes}
    assert max(growth.values()) < MEMORY_KIB, growth


def test_while_many_heartbeats_are_scanned_a_status_bar_is_answered_at_once(server, heavy, account):
    """Days in a zone that is not the user's need each heartbeat: more scans than have a place, all the time."""
    scan = {"start": "2023-11-15", "end": "2023-12-25", "timezone": "Asia/Tokyo"}
    enough = threading.Event()

    def keep_scanning(_):
        statuses = []
        while not enough.is_set():
            statuses.append(heavy.get("/api/v1/users/current/summaries", **scan).status_code)
        return statuses

    def seconds_of_a_status_bar():
        began = time.monotonic()
        assert account.get(f"{HACKATIME}/users/current/statusbar/today").status_code == 200
        return time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        scans = [pool.submit(keep_scanning, number) for number in range(4)]
        taken = [seconds_of_a_status_bar() for _ in range(300)]
        under_way = [future.running() for future in scans]
        enough.set()
        statuses = [status for future in scans for status in future.result()]
    assert all(under_way)
    assert 200 in statuses
    assert set(statuses) <= {200, 503}
    # Alone it takes a millisecond; a scan of these takes a hundred times as long. The machine may be busy.
    assert statistics.median(taken) < 0.05, sorted(taken)[-10:]
