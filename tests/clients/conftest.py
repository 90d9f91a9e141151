"""The real clients, unmodified, in an environment of their own that is made once and kept in `.clients/`."""

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements-clients.txt"
NEWEST = (3, 11)  # wakatime 13.1.0 does not run on a newer Python (clients.md, section 4)


@pytest.fixture(scope="session")
def client_python():
    """The Python that has wakatime 13.1.0 and manualwakatime 0.2.0. Fails where they cannot be had: never skips."""
    version = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    environment = ROOT / ".clients" / version
    with _alone():
        if not (environment / "complete").exists():
            _make(environment)
    return environment / "bin/python"


@contextlib.contextmanager
def _alone():
    """Wait for the other processes of this test run: one makes the environment for all."""
    with (ROOT / ".clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(environment):
    shutil.rmtree(environment, ignore_errors=True)
    python = sys.executable if sys.version_info[:2] <= NEWEST else "<3.12"
    _uv("venv", "--quiet", "--python", python, environment)
    install = ("pip", "install", "--quiet", "--require-hashes", "--python", environment / "bin/python")
    _uv(*install, "-r", REQUIREMENTS)
    (environment / "complete").touch()


def _uv(*arguments):
    uv = ROOT / ".tools/bin/uv"
    command = [uv if uv.exists() else shutil.which("uv") or "uv", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
