"""kill -9 at random moments under load: nothing acknowledged is lost, nothing counted twice (design.md)."""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from tests.faults import checks
from tests.faults.load import Team
from tests.faults.processes import is_alive, processes_below
from tests.server import HEARTLINE, Server, children_of, eventually

USERS = 3
ROLES = ("front", "aggregator", "query")
KILLS = {"embedded": 30, "distributed": 6}
"""In `make test`; what stands on Kafka takes several seconds to start again."""

# Small enough that flushes, compactions and cache misses are under way at many kills.
BUSY = {
    "HEARTLINE_FLUSH_ROWS": "1500",
    "HEARTLINE_FLUSH_INTERVAL": "1",
    "HEARTLINE_COMPACT_FILES": "2",
    "HEARTLINE_CACHE_ROWS": "1000",
}
# On PostgreSQL, reading everything again for each batch would not keep up with the editors.
ROOMY = BUSY | {"HEARTLINE_CACHE_ROWS": "100000"}


@pytest.fixture
def draw():
    seed = int(os.environ.get("HEARTLINE_KILL_SEED") or time.time_ns() % 1_000_000)
    print(f"seed: HEARTLINE_KILL_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def server(tmp_path, places):
    settings = BUSY if places.name == "embedded" else ROOMY
    with Server(tmp_path, **settings, **places.new()) as running:
        yield running


@pytest.fixture
def team(server, draw):
    with Team([server.new_account() for _ in range(USERS)], draw.random()) as editors:
        yield editors


@pytest.fixture
def commands(server):
    """Commands run beside the server; none outlives the test."""
    started = []
    yield lambda name: started.append(start_command(server, name)) or started[-1]
    for command in started:
        command.kill()
        command.communicate()


@pytest.mark.distributed
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_counted_twice_when_everything_is_killed_many_times(server, places, team, draw, commands):
    kill_many_times(server, places, team, draw, commands, kills=KILLS[places.name])


@pytest.mark.soak
def test_nothing_is_lost_or_counted_twice_when_everything_is_killed_500_times(server, places, team, draw, commands):
    kill_many_times(server, places, team, draw, commands, kills=500)


@pytest.mark.timeout(600)
def test_nothing_is_lost_when_one_process_is_killed_and_the_supervisor_starts_it_again(server, team, draw):
    for _ in range(3):
        for role in draw.sample(ROLES, len(ROLES)):
            wait_for_progress(team)
            time.sleep(draw.uniform(0, 0.5))  # a random moment is the point
            killed = children_of(server.process.pid)[role]
            os.kill(killed, signal.SIGKILL)
            assert eventually(
                lambda r=role, k=killed: children_of(server.process.pid).get(r) not in (None, k), True, 15
            ), role
            checks.reads_are_answered(team.accounts[0])
            checks.every_acknowledged_heartbeat_is_listed_once(team, draw.choice(team.accounts))
    wait_for_progress(team)
    assert server.process.poll() is None, "the supervisor must outlive its processes"
    everything_adds_up(server, team)


def kill_many_times(server, places, team, draw, commands, kills):
    for number in range(1, kills + 1):
        wait_for_progress(team)
        time.sleep(draw.uniform(0, 0.8))  # a random moment is the point
        upkeep = commands(draw.choice(["flush", "compact"])) if draw.random() < 0.4 else None
        time.sleep(draw.uniform(0, 1.5) if upkeep else 0)
        kill_everything(server, team)
        if not places.commands_wait:
            end_command(upkeep, draw)
        if draw.random() < 0.1:
            kill_while_it_starts(server, draw)
        server.start()
        if places.commands_wait:
            end_command(upkeep, draw)
        team.up.set()
        if number % 5 == 0:
            checks.every_acknowledged_heartbeat_is_listed_once(team, draw.choice(team.accounts))
    everything_adds_up(server, team)


def wait_for_progress(team):
    """Return when the server has acknowledged something new, so that every round has work to lose."""
    before = team.count()
    assert eventually(lambda: team.count() > before, True, 20), "nothing is acknowledged any more"


def kill_everything(server, team):
    team.up.clear()
    family = [pid for pid, _ in processes_below(server.process.pid)]
    server.kill()
    orphans = eventually(lambda: [pid for pid in family if is_alive(pid)], [], 5)
    assert orphans == [], "processes outlived their group"


def kill_while_it_starts(server, draw):
    """Recovery itself may be cut short."""
    starter = threading.Thread(target=start_in_vain, args=[server])
    before = server.process
    starter.start()
    eventually(lambda: server.process is not before, True, 5)
    time.sleep(draw.uniform(0, 2.5))
    os.killpg(server.process.pid, signal.SIGKILL)
    starter.join()
    server.kill()


def start_in_vain(server):
    with contextlib.suppress(RuntimeError):  # it is killed before it is ready
        server.start()


def start_command(server, command):
    return subprocess.Popen(
        [HEARTLINE, command],
        env=server.environment,
        cwd=server.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end_command(command, draw):
    """A command outlives the server: it does the aggregator's work, or waits for it. Half are killed meanwhile."""
    if command is None:
        return
    if draw.random() < 0.5:
        time.sleep(draw.uniform(0, 2))
        command.kill()
    output, _ = command.communicate(timeout=60)
    assert "Traceback" not in output, output


def everything_adds_up(server, team):
    team.finish()
    server.settle()
    print(f"{team.count()} heartbeats acknowledged, {sum(e.repeated for e in team.editors)} batches repeated")
    for account in team.accounts:
        checks.exactly_the_acknowledged_are_listed(team, account)
        checks.figures_are_the_naive_ones(team, account)
    server.cli("verify", timeout_s=120)
    assert server.stop() == 0
    checks.the_parquet_files_hold_each_once(team, server)
    server.cli("verify", timeout_s=120)
