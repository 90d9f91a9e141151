"""A log that is older than the stats, as from a backup of its own: what it took next would never be counted."""

import json
import shutil

from tests.e2e.history import beat
from tests.server import Server, eventually

T = 1_700_000_000


def put_back(backup, data):
    for file in data.glob("log.db*"):
        file.unlink()
    shutil.copy(backup, data / "log.db")


def test_no_heartbeat_and_no_command_is_taken_into_a_log_that_ends_before_what_is_counted(tmp_path):
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
        for command in (
            ["ingest", "--port", str(server.port)],
            ["users", "set", account.username, "--timezone", "CET"],
        ):
            refused = server.cli(*command, check=False)
            assert refused.returncode == 2
            assert "it is older than the stats database. Put the newer log back" in refused.stderr
        assert json.loads(server.cli("status").stdout)["log"]["last_offset"] == 1, "the command was appended"
