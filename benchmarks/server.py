"""A `heartline up` of the benchmark's own: fresh folder, free port, users; and what its processes use."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from heartline.owner import ask
from heartline.settings import read_settings
from schemas.record import Flush

START_TIMEOUT_S = 60
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server: its port, its folder, and the keys of its users."""

    pid: int
    port: int
    data: pathlib.Path
    keys: list[str]

    def cpu_s(self) -> float:
        """Return the CPU seconds that its processes have used so far, together."""
        return sum(_ticks(pid) for pid in _tree(self.pid)) / TICKS_PER_S

    def flush(self) -> float:
        """Wait until everything acknowledged is counted and in Parquet; return the seconds that took."""
        start_s = time.perf_counter()
        ask(read_settings({"data": self.data}), Flush())
        return time.perf_counter() - start_s


def heartline(*arguments: str) -> str:
    """Run a command of Heartline and return what it prints."""
    command = [sys.executable, "-m", "heartline", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextlib.contextmanager
def running(data: pathlib.Path, zones: list[str]) -> Iterator[Server]:
    """Start a server with one user for each of `zones`; stop it at the end."""
    keys = _add_users(data, zones)
    port = _free_port()
    command = [sys.executable, "-m", "heartline", "up", "--data", str(data), "--port", str(port)]
    with (data / "server.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_until_ready(process, port, data / "server.out")
        yield Server(process.pid, port, data, keys)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _add_users(data: pathlib.Path, zones: list[str]) -> list[str]:
    data.mkdir(parents=True)
    users = [{"username": f"dev-{n:03d}", "timezone": zone} for n, zone in enumerate(zones)]
    (data / "users.json").write_text(json.dumps(users))
    printed = heartline("users", "import", str(data / "users.json"), "--data", str(data))
    return [json.loads(line)["api_key"] for line in printed.splitlines()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, out: pathlib.Path) -> None:
    end_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < end_s:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/up", timeout=5).close()
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not start:\n" + out.read_text())


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    tree = [root]
    for pid in tree:  # grows while it is walked
        tree.extend(children.get(pid, []))
    return tree


def _ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        return sum(map(int, _stat(pid)[11:15]))  # utime, stime, and those of children that ended
    return 0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (the name before it may hold blanks)."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
