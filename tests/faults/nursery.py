"""Processes of `heartline` with a fault, forked from one that has imported what they need: starts cost a fifth."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.server import eventually

ROOT = str(Path(__file__).parents[2])


class Nursery:
    """Starts on entry. What it has started is ended by whoever asked for it."""

    def __enter__(self):
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.launcher"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self._server.communicate(timeout=30)

    def launch(self, arguments, environment, log):
        """Start `heartline` with its output in the file `log`."""
        ended = log.with_suffix(".ended")
        order = {"arguments": arguments, "environment": environment, "log": str(log), "ended": str(ended)}
        log.touch()
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return Child(int(self._server.stdout.readline()), ended)


class Child:
    """What `subprocess.Popen` is for other processes."""

    def __init__(self, pid, ended):
        self.pid = pid
        self._ended = ended

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self):
        """The exit code, below 0 for a signal's number; None while it runs."""
        with contextlib.suppress(FileNotFoundError):
            text = self._ended.read_text()
            return int(text) if text.endswith("\n") else None
        return None

    def wait(self, timeout_s):
        assert eventually(lambda: self.poll() is not None, True, timeout_s), f"process {self.pid} does not end"
        return self.poll()
