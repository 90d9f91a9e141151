"""`heartline verify` and `heartline rebuild` while the services run."""

import threading
from contextlib import closing

import pytest
import sqlalchemy as sa

from tests.e2e.history import beat, mixed
from tests.server import HACKATIME, eventually
from tests.today import midnight_s, quiet_zone

pytestmark = pytest.mark.distributed

T = 1_700_000_000
DAYS = {"start_date": "2023-11-14", "end_date": "2023-11-20"}


def damage(server, statement, **parameters):
    with closing(server.database()) as database, database.writing() as connection:
        assert connection.execute(sa.text(statement), parameters).rowcount > 0


def test_damage_is_listed_with_exit_code_1_and_gone_after_a_rebuild(server):
    account = server.new_account(timezone="Asia/Kolkata")
    account.send(*mixed(7, T, 100_000))
    before = account.stats(features="languages,projects", **DAYS)
    damage(server, "UPDATE segments SET duration_us = 1000000 WHERE user_id = :u AND dimension < 3", u=account.user_id)
    assert account.stats(features="languages,projects", **DAYS) != before
    verified = server.cli("verify", account.username, check=False)
    lines = verified.stdout.splitlines()
    assert verified.returncode == 1
    assert all(f"user {account.user_id}, " in line and "`heartline rebuild` repairs it." in line for line in lines)
    assert any(
        line.startswith(f"segments, user {account.user_id}, UTC 2023-11-14: total '': stored (") for line in lines
    )
    assert f"{len(lines)} findings" in verified.stderr
    server.cli("rebuild", account.username, "--from", "2023-11-14", "--to", "2023-11-16")
    assert server.cli("verify", account.username, check=False).returncode == 0
    assert account.stats(features="languages,projects", **DAYS) == before


class Reader(threading.Thread):
    """Reads again and again until told to stop; keeps every answer, in order."""

    def __init__(self, read):
        super().__init__()
        self.read = read
        self.answers = []
        self.error = None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.answers.append(self.read())
        except Exception as error:  # noqa: BLE001 - shown by the test's own thread
            self.error = error

    def end(self):
        self.stopping.set()
        self.join(60)
        assert self.error is None, self.error
        return self.answers


def test_every_answer_is_right_while_everything_is_rebuilt_under_load(server):
    zone = quiet_zone("Asia/Kolkata", "America/Los_Angeles")
    midnight = midnight_s(zone)
    resting = server.new_account(timezone=zone)
    resting.send(*mixed(1, T, 200_000))
    resting.send(*mixed(2, midnight, 3_000))
    sending = server.new_account(timezone=zone)
    sending.send(beat(midnight), beat(midnight + 10))

    def still():
        summaries = resting.get(f"{HACKATIME}/users/current/summaries", start="2023-11-13", end="2023-11-20")
        assert summaries.status_code == 200, summaries.text
        return resting.statusbar(), resting.stats(features="languages,projects", **DAYS), summaries.json()["data"]

    def growing():
        return sending.statusbar()["total_seconds"]

    before = still()
    readers = [Reader(still), Reader(growing)]
    sender = threading.Thread(target=keep_sending, args=(sending, midnight + 20, done := threading.Event(), sent := []))
    for thread in (*readers, sender):
        thread.start()
    for _ in range(2):
        rebuilt = server.cli("rebuild", timeout_s=120)
        assert '"users"' in rebuilt.stdout
    done.set()
    sender.join(60)
    server.settle()
    same, totals = (reader.end() for reader in readers)
    assert len(same) > 5
    assert all(answer == before for answer in same)
    assert totals == sorted(totals)
    assert set(totals) <= {float(seconds) for seconds in range(10, 10 + 10 * len(sent) + 1, 10)}
    assert eventually(growing, 10.0 + 10 * len(sent)) == 10.0 + 10 * len(sent)
    assert server.cli("verify", check=False).returncode == 0


def keep_sending(account, start_s, done, sent):
    """Send a heartbeat every 10 s of coding time, one request after the other."""
    while not done.is_set():
        assert account.single(beat(start_s + 10 * len(sent))).status_code == 202
        sent.append(start_s)
