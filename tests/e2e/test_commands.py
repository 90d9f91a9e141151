"""The commands, while the services run (issue: each takes effect within 2 s)."""

import re
import uuid

import pytest

from tests.e2e.history import beat, mixed
from tests.server import HACKATIME, eventually
from tests.today import midnight_s, quiet_zone

pytestmark = pytest.mark.distributed

T = 1_700_000_000
PROFILE = f"{HACKATIME}/users/current"


def status_of(account):
    return account.get(PROFILE).status_code


def test_a_new_user_is_known_within_2_s_and_the_key_is_one_that_clients_accept(server):
    account = server.add_user(email="new@example.com")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", account.key)
    assert status_of(account) in {200, 401}  # a refusal now must not be remembered
    assert eventually(lambda: status_of(account), 200, within_s=2) == 200
    assert account.single(beat(T)).status_code == 202


def test_a_revoked_key_is_refused_within_2_s_and_the_other_one_is_not(server):
    account = server.new_account(email="revoked@example.com")
    more = server.cli("users", "keys", "add", account.username)
    second = re.search(r'"api_key": ?"([^"]+)"', more.stdout).group(1)
    other = {"Authorization": f"Bearer {second}"}
    assert eventually(lambda: server.http.get(PROFILE, headers=other).status_code, 200, within_s=2) == 200
    server.cli("users", "keys", "revoke", account.username, account.key)
    assert eventually(lambda: status_of(account), 401, within_s=2) == 401
    assert eventually(lambda: account.single(beat(T)).status_code, 401, within_s=2) == 401
    bar = f"{HACKATIME}/users/current/statusbar/today"
    assert eventually(lambda: account.get(bar).status_code, 401, within_s=2) == 401
    assert server.http.get(PROFILE, headers=other).status_code == 200


def test_imported_users_keep_their_ids_and_keys(server):
    key, user_id = str(uuid.uuid4()), 700_000 + uuid.uuid4().int % 100_000
    (account,) = server.import_users([{"username": f"moved-{user_id}", "user_id": user_id, "api_key": key}])
    assert (account.user_id, account.key) == (user_id, key)
    assert eventually(lambda: status_of(account), 200, within_s=2) == 200
    assert account.single(beat(T)).json()["user_id"] == user_id


def test_an_import_with_one_bad_user_imports_none(server):
    names = [f"half-{uuid.uuid4().hex[:8]}", f"half-{uuid.uuid4().hex[:8]}"]
    users = server.folder / "half.json"
    users.write_text(f'[{{"username":"{names[0]}"}},{{"username":"{names[1]}","timezone":"Mars/Olympus"}}]')
    refused = server.cli("users", "import", users, check=False)
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    for name in names:
        assert server.http.get(f"/api/v1/users/{name}/trust_factor").status_code == 404


def test_another_zone_moves_the_users_days(server):
    zone = quiet_zone("Asia/Kolkata", "America/Los_Angeles")
    account = server.new_account(email="mover@example.com")
    midnight = midnight_s(zone)
    account.send(*(beat(midnight + offset) for offset in (-60, -1, 0, 30, 100)))
    server.cli("users", "set", account.username, "--timezone", zone)
    assert eventually(lambda: account.statusbar()["total_seconds"], 100.0, within_s=2) == 100.0
    profile_zone = eventually(lambda: account.get(PROFILE).json()["data"]["timezone"], zone, within_s=2)
    assert profile_zone == zone
    account.send(beat(midnight + 130), beat(midnight - 30))
    assert account.statusbar()["total_seconds"] == 130


def test_a_removed_user_is_unknown_and_what_they_sent_is_gone(server):
    account = server.new_account(email="gone@example.com")
    account.send(beat(T), beat(T + 60))
    server.cli("flush")
    account.send(beat(T + 120))
    server.cli("users", "remove", account.username)
    assert eventually(lambda: status_of(account), 401, within_s=2) == 401
    assert eventually(lambda: account.single(beat(T)).status_code, 401, within_s=2) == 401
    assert server.http.get(f"/api/v1/users/{account.username}/stats").status_code == 404
    counted = f"SELECT count(*) AS n FROM heartbeats WHERE user_id = {account.user_id}"
    assert server.sql(counted) == [{"n": 0}]
    assert server.add_user().user_id > account.user_id


def test_answers_stay_the_same_when_the_tail_becomes_parquet_and_files_are_compacted_and_rebuilt(server):
    account = server.new_account(timezone="Asia/Kolkata")
    for seed in range(3):
        account.send(*mixed(seed, T + 40_000 * seed, 40_000))
    window = {"start": "2023-11-14", "end": "2023-11-20"}

    def everything():
        days = {"start_date": "2023-11-14", "end_date": "2023-11-20"}
        cut = {"start_date": "2023-11-15T03:00:00Z", "end_date": "2023-11-15T09:00:00Z"}
        return (
            account.heartbeats(**window),
            account.heartbeats(limit=7),
            account.stats(features="languages,projects", **days),
            account.stats(features="languages,projects", **cut),
        )

    before = everything()
    assert before[0]["heartbeats"]
    for command in ("flush", "compact", "rebuild"):
        server.cli(command)
        assert everything() == before, command
    first = before[0]["heartbeats"][0]
    repeat = {name: first[name] for name in ("entity", "type", "time", "project", "language", "category")}
    (again,) = account.send(repeat)  # found in Parquet now
    assert again["id"] == first["id"]
    assert everything() == before


def test_verify_finds_no_difference_while_the_services_run(server):
    account = server.new_account(timezone="Asia/Kolkata")
    account.send(*mixed(5, T, 300_000))
    verified = server.cli("verify", check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_sql_sees_each_heartbeat_once_in_tail_and_lake(server):
    account = server.new_account(timezone="Asia/Kolkata")
    first = account.send(beat(T, project="a"), beat(T + 60, project="a"), beat(T + 60, project="a"))
    server.cli("flush")
    second = account.send(beat(T + 120, project="b"), beat(T, project="a"))
    rows = server.sql(f"SELECT id, project FROM heartbeats WHERE user_id = {account.user_id}")
    assert sorted((row["id"], row["project"]) for row in rows) == sorted(
        {(h["id"], h["project"]) for h in first + second}
    )


def test_users_are_listed_without_their_keys(server, account):
    listed = server.cli("users", "list").stdout
    assert account.username in listed
    assert account.key not in listed
