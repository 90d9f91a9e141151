"""A log that is older than the stats, as from a backup of its own: what it took next would never be counted."""

import shutil
import subprocess

from tests.e2e.history import beat
from tests.server import HEARTLINE, Server, eventually

T = 1_700_000_000


def put_back(backup, data):
    for file in data.glob("log.db*"):
        file.unlink()
    shutil.copy(backup, data / "log.db")


def test_no_heartbeat_is_taken_into_a_log_that_ends_before_what_is_counted(tmp_path):
    with Server(tmp_path) as server:
        account = server.new_account()
        account.send(beat(T), settle=False)
        listed = eventually(lambda: len(account.heartbeats(start=T, end=T + 9)["heartbeats"]), 1)
        assert server.stop() == 0
        shutil.copy(server.data / "log.db", tmp_path / "backup")
        server.start()
        account.send(beat(T + 1), beat(T + 2), settle=False)
        listed = eventually(lambda: len(account.heartbeats(start=T, end=T + 9)["heartbeats"]), 3)
        assert listed == 3
        assert server.stop() == 0
        put_back(tmp_path / "backup", server.data)
        ingest = subprocess.run(
            [HEARTLINE, "ingest", "--port", str(server.port)],
            env=server.environment,
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ingest.returncode == 2
        assert "it is older than the stats database. Put the newer log back" in ingest.stderr
