"""A real PostgreSQL of the tests' own: its data in a temporary folder, on a free port of 127.0.0.1."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from storage.stats import Database
from tests.server import lasting_port

_WITHIN_S = 60  # a shared machine takes its time
_USER = "heartline"
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
_TEMPLATE = "heartline_template"

# No fsync: what the tests kill are processes, and the machine's page cache outlives those.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
}

# Not the order of code points, as on most machines: what relies on that order has to say so.
_INITDB = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--encoding=UTF8", "--no-sync")


class Postgres:
    """Starts on entry; on leaving ends its own processes and deletes its folder."""

    def __init__(self, **options):
        self.port = lasting_port()
        self._options = _OPTIONS | options
        self._bin = find_binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="heartline-postgres-"))
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        self._process = None
        self._names = (f"test_{number}" for number in itertools.count(1))

    def __enter__(self):
        self._identity = _identity(self._folder)
        command = [self._bin / "initdb", "-D", self._data, "-U", _USER, "-A", "trust", *_INITDB]
        made = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False, **self._identity)
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{made.stdout}\n{made.stderr}")
        self.start()
        self._make(_TEMPLATE)
        Database(self.url(_TEMPLATE)).close()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self._folder)

    @property
    def pid(self):
        """The server's first process, whose children the others are."""
        return self._process.pid

    def url(self, name):
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"

    def new_url(self, *, empty=False):
        """Make a database with our tables, or without any; return its URL."""
        name = next(self._names)
        self._make(name, "template0" if empty else _TEMPLATE)
        return self.url(name)

    def drop(self, url):
        """Delete a database, whoever is connected to it."""
        self._run(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def cut_off(self, url):
        """End every connection to a database and take no new one, until `let_in`."""
        self._run(f"ALTER DATABASE {_name(url)} ALLOW_CONNECTIONS false")
        self._run(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{_name(url)}'")

    def let_in(self, url):
        """Take connections to a database again."""
        self._run(f"ALTER DATABASE {_name(url)} ALLOW_CONNECTIONS true")

    def start(self):
        """Return when connections are taken."""
        options = [f"-c{name}={value}" for name, value in self._options.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-p", str(self.port), *options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._identity,
            )
        deadline = time.monotonic() + _WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)

    def stop(self):
        """Stop as `pg_ctl stop` does: connections are cut, what was committed is on disk."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_WITHIN_S)

    def kill(self):
        """End the server and every process of its connections with SIGKILL, as a crash would."""
        if self._process is None:
            return
        doomed = [self._process.pid, *_children(self._process.pid)]
        for pid in doomed:
            _kill(pid)
        self._process.wait()
        deadline = time.monotonic() + _WITHIN_S
        while any(_is_alive(pid) for pid in doomed[1:]) and time.monotonic() < deadline:
            time.sleep(0.005)  # until they let go of the shared memory, nothing can start again

    def restart(self):
        """Stop and start again, at the same port."""
        self.stop()
        self.start()

    def _make(self, name, template="template0"):
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")

    def _run(self, statement):
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=_WITHIN_S) as connection:
            connection.execute(statement)

    def _answers(self):
        try:
            self._run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def find_binaries():
    """Find the newest server's programs, where Debian has them or in the PATH. Raises RuntimeError."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: float(place.parent.name))
    in_path = shutil.which("initdb")
    places = places or ([Path(in_path).parent] if in_path else [])
    if not places:
        raise RuntimeError("PostgreSQL is missing, which the tests need: install it (Debian: apt install postgresql).")
    return places[-1]


def _name(url):
    return url.rpartition("/")[2]


def _identity(folder):
    """Say as whom to run; where that is not who we are, the folder becomes theirs."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, _UNPRIVILEGED)
    return {"user": _UNPRIVILEGED, "group": pwd.getpwnam(_UNPRIVILEGED).pw_gid, "extra_groups": []}


def _children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.kill(pid, signal.SIGKILL)


def _is_alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
