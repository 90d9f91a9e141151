"""Starting, stopping and starting again; each test has a server of its own."""

import os
import socket
import time

import pytest

from tests import oracle_answers
from tests.e2e.history import beat, mixed
from tests.server import STOPPED_WITHIN_S, Server
from tests.today import UTC_OR_FAR, midnight_s, quiet_zone

T = 1_700_000_000
WINDOW = {"start": "2023-11-14", "end": "2023-11-20"}


@pytest.fixture
def server(tmp_path, places):
    """A server of the test's own, not the shared one."""
    with Server(tmp_path, **places.new()) as running:
        yield running


def ids_in_parquet(server, accounts):
    """The ids of some users' rows that a plain glob over the lake finds, by an ordinary DuckDB."""
    users = [account.user_id for account in accounts]
    return [row[0] for row in server.parquet("SELECT id FROM lake WHERE list_contains(?, user_id) ORDER BY id", users)]


def answers_of(account):
    days = {"start_date": WINDOW["start"], "end_date": WINDOW["end"]}
    return account.heartbeats(**WINDOW), account.stats(features="languages,projects", **days)


@pytest.mark.distributed
def test_sigterm_flushes_the_tail_to_parquet_and_nothing_is_lost_or_doubled_after(server):
    accounts = [server.new_account(), server.new_account(timezone="Asia/Kolkata")]
    sent, stored = {}, set()
    for number, account in enumerate(accounts):
        sent[account.key] = mixed(number, T, 250_000)
        stored |= {h["id"] for h in account.send(*sent[account.key], settle=False)}
    began = time.monotonic()
    assert server.stop() == 0, server.output()
    assert time.monotonic() - began < STOPPED_WITHIN_S
    with pytest.raises(ProcessLookupError):
        os.killpg(server.process.pid, 0)  # no process of the group is left
    assert ids_in_parquet(server, accounts) == sorted(stored)

    server.start()
    before = [answers_of(account) for account in accounts]
    assert {h["id"] for answer, _ in before for h in answer["heartbeats"]} == stored
    for account in accounts:
        account.send(*sent[account.key])
    assert [answers_of(account) for account in accounts] == before
    assert server.stop() == 0
    assert ids_in_parquet(server, accounts) == sorted(stored)


def test_what_is_acknowledged_is_there_after_everything_was_killed(server):
    account = server.new_account()
    stored = account.send(*(beat(T + i) for i in range(50)), settle=False)
    server.kill()
    server.start()
    server.settle()
    assert [h["id"] for h in account.heartbeats(**WINDOW)["heartbeats"]] == [h["id"] for h in stored]
    assert account.total(start_date="2023-11-14", end_date="2023-11-20") == 49


def test_the_short_status_bar_has_heads_wording(tmp_path, places):
    with Server(tmp_path, HEARTLINE_STATUSBAR_TEXT="short", **places.new()) as server:
        for total in (0, 59, 60, 3_600, 3_725):
            account = server.new_account(timezone=quiet_zone(*UTC_OR_FAR))
            start = midnight_s(account.timezone)
            account.send(*(beat(start + offset) for offset in {*range(0, total, 120), total}))
            expected = {"total_seconds": float(total), "text": oracle_answers.short_statusbar_text(total)}
            assert account.statusbar() == expected


def test_lookups_may_be_the_operators_alone(tmp_path, places):
    with Server(tmp_path, HEARTLINE_LOOKUPS="operator", **places.new()) as server:
        account = server.new_account()
        path = "/api/v1/users/lookup_email/nobody@example.com"
        response = account.get(path)
        assert (response.status_code, response.json()) == (401, {"error": "Invalid API key"})
        key = server.environment["HEARTLINE_STATS_API_KEY"]
        assert server.http.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 404


def test_a_port_in_use_is_one_clear_line(tmp_path, places):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(tmp_path, port=port, **places.new())
        refused = server.cli("up", "--port", port, check=False, timeout_s=30)
        server.http.close()
    assert refused.returncode == 2
    (line,) = refused.stderr.strip().splitlines()[-1:]
    assert str(port) in line
    assert "Traceback" not in refused.stderr


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path, places):
    (tmp_path / "data").write_text("a file stands where the folder should be")
    server = Server(tmp_path, **places.new())
    refused = server.cli("up", "--port", server.port, check=False, timeout_s=30)
    server.http.close()
    assert refused.returncode == 2
    assert str(tmp_path) in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_first_user_is_made_and_shown_once_with_the_lines_for_an_editor(tmp_path, places):
    server = Server(tmp_path, **places.new())
    try:
        server.start("--first-user", "ann")
        shown = server.output()
        assert f"api_url = {server.url}/api/hackatime/v1" in shown
        key = shown.split("api_key = ")[1].split()[0]
        bar = server.http.get(
            "/api/hackatime/v1/users/current/statusbar/today", headers={"Authorization": f"Bearer {key}"}
        )
        assert bar.status_code == 200
        assert server.stop() == 0
        server.start("--first-user", "ann")
        assert server.output().count("api_key = ") == 1
    finally:
        server.http.close()
        server.kill()
