"""`heartline verify` and `heartline rebuild` while the services run."""

import itertools
import threading
from contextlib import closing

import pytest
import sqlalchemy as sa
from pyarrow import parquet

from tests.e2e.history import beat, mixed
from tests.server import HACKATIME, eventually
from tests.today import midnight_s, quiet_zone

T = 1_700_000_000
DAYS = {"start_date": "2023-11-14", "end_date": "2023-11-20"}


def damage(server, statement, **parameters):
    with closing(server.database()) as database, database.writing() as connection:
        assert connection.execute(sa.text(statement), parameters).rowcount > 0


@pytest.mark.distributed
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


def table(lake, path):
    with lake.open(path) as file:
        return parquet.read_table(file)


def in_the_file_of_a_day_twice(server, user_id):
    """A file's rows once more, under an entry of their own: what an interrupted copy of a lake may leave."""
    near = "SELECT path FROM lake_files WHERE state = 'live' AND :u BETWEEN min_user AND max_user AND date >= :d"
    with closing(server.database()) as database, database.reading() as connection:
        paths = connection.scalars(sa.text(f"{near} ORDER BY date"), {"u": user_id, "d": T // 86_400}).all()
    lake = server.lake()
    path, rows = next((path, rows) for path in paths if user_id in (rows := table(lake, path))["user_id"].to_pylist())
    again = path.replace(".parquet", "-again.parquet")
    lake.write(again, rows.to_batches())
    damage(
        server,
        "INSERT INTO lake_files SELECT :again, state, epoch, date, log, shard, first_offset, last_offset, rows,"
        " min_user, max_user, min_us, max_us FROM lake_files WHERE path = :path",
        again=again,
        path=path,
    )


REBUILDS = {
    "one user": ["{username}"],
    "days of one user": ["{username}", "--from", "2023-11-13", "--to", "2023-11-20"],
    "days of everyone": ["--from", "2023-11-13", "--to", "2023-11-20"],
    "everyone": [],
}


@pytest.mark.parametrize("what", REBUILDS)
def test_readers_see_the_damage_or_what_is_right_and_others_what_is_right_alone(server, what):
    """Damage of every kind that readers can see: each answer changes once, from what it was to what it should be."""
    harmed, other = (server.new_account(timezone="Asia/Kolkata") for _ in range(2))
    for seed, account in enumerate((harmed, other)):
        account.send(*mixed(seed, T + seed * 40 * 86_400, 200_000))  # other dates: files of their own
    server.cli("flush")
    windows = {harmed.user_id: ("2023-11-13", "2023-11-20"), other.user_id: ("2023-12-23", "2023-12-30")}
    paths = {
        "stats": "/api/v1/users/current/stats?start_date={}&end_date={}&features=languages,projects",
        "days": f"{HACKATIME}/users/current/summaries?start={{}}&end={{}}",
        "list": "/api/v1/my/heartbeats?start={}&end={}",
    }

    def read(account, name):
        response = account.get(paths[name].format(*windows[account.user_id]))
        assert response.status_code == 200, response.text
        # A list's rows are repaired before its total: figures change once, each for itself.
        return response.json()["heartbeats"] if name == "list" else response.text

    right = {(account.user_id, name): read(account, name) for account in (harmed, other) for name in paths}
    damage(server, "UPDATE segments SET duration_us = 7000000 WHERE user_id = :u", u=harmed.user_id)
    in_the_file_of_a_day_twice(server, harmed.user_id)
    wrong = {name: read(harmed, name) for name in paths}
    assert [name for name in paths if wrong[name] == right[harmed.user_id, name]] == []
    readers = {
        (account.user_id, name): Reader(lambda account=account, name=name: read(account, name))
        for account in (harmed, other)
        for name in paths
    }
    for reader in readers.values():
        reader.start()
    server.cli("rebuild", *(word.format(username=harmed.username) for word in REBUILDS[what]), timeout_s=120)
    answers = {key: reader.end() for key, reader in readers.items()}
    assert {name: read(harmed, name) for name in paths} == {name: right[harmed.user_id, name] for name in paths}
    for (user_id, name), seen in answers.items():
        possible = [right[user_id, name]] if user_id == other.user_id else [wrong[name], right[user_id, name]]
        changes = [seen[0], *(later for earlier, later in itertools.pairwise(seen) if later != earlier)]
        assert changes in (possible, possible[:1], possible[1:]), f"{name} of user {user_id}: {len(changes)} answers"
    assert server.cli("verify", harmed.username, check=False).returncode == 0


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
