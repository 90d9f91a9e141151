"""Dead letters from the command line: a record that cannot be counted blocks nothing and can be looked at again."""

import json
from contextlib import closing

import pytest
import sqlalchemy as sa

from schemas.record import Kind, Record, compress, heartbeat_records, pack_lines
from schemas.tables import dead_letters
from tests.aggregator.world import heartbeat, sent
from tests.server import eventually

T_US = 1_700_000_000_000_000


def letters(server):
    return [json.loads(line) for line in server.cli("dead-letters", "list").stdout.splitlines()]


def waiting(server, user_id):
    return [letter for letter in letters(server) if letter["user_id"] == user_id]


def set_aside(server, account, value):
    """Append a record that no ingest would have written; give it as listed, once it is there."""
    server.append(Record(account.user_id, Kind.HEARTBEATS, value))
    assert eventually(lambda: len(waiting(server, account.user_id)), 1, within_s=20) == 1
    return waiting(server, account.user_id)[0]


def make_readable(server, letter, value):
    log, shard, offset = letter["id"].rsplit(":", 2)
    c = dead_letters.c
    mine = sa.update(dead_letters).where(c.log == log, c.shard == int(shard), c.offset == int(offset))
    with closing(server.database()) as database, database.writing() as connection:
        assert connection.execute(mine.values(value=value)).rowcount == 1


@pytest.mark.distributed
def test_a_letter_is_listed_and_shown_and_holds_up_nothing(server):
    account = server.new_account()
    letter = set_aside(server, account, compress(b'{"id":1,"time_us":"soon"}\n'))
    account.send({"entity": "/a.py", "type": "file", "time": T_US / 1e6})
    assert len(account.heartbeats(limit=10)["heartbeats"]) == 1
    assert letter["reason"].startswith("ValidationError")
    shown = json.loads(server.cli("dead-letters", "show", letter["id"]).stdout)
    assert shown["lines"] == [{"id": 1, "time_us": "soon"}]
    assert json.loads(server.cli("status").stdout)["dead_letters"] >= 1


def test_what_is_no_zstd_is_shown_as_base64(server):
    letter = set_aside(server, server.new_account(), b"\x00garbage")
    assert json.loads(server.cli("dead-letters", "show", letter["id"]).stdout)["base64"] == "AGdhcmJhZ2U="


@pytest.mark.distributed
def test_a_letter_that_still_cannot_be_counted_stays(server):
    letter = set_aside(server, server.new_account(), b"\x00garbage")
    refused = server.cli("dead-letters", "retry", letter["id"], check=False)
    assert refused.returncode == 2
    assert "still cannot be counted" in json.loads(refused.stdout)["error"]
    assert letter in letters(server)


@pytest.mark.distributed
def test_a_letter_that_can_be_counted_now_is_counted_once_and_gone(server):
    account = server.new_account()
    letter = set_aside(server, account, b"\x00garbage")
    beats = [sent(heartbeat(T_US + n * 60_000_000, entity="/a.py", type="file", category="coding")) for n in range(3)]
    make_readable(server, letter, pack_lines(beats))  # as if a newer version could read it
    for record in heartbeat_records(account.user_id, beats[:1]):  # one of them came again since
        server.append(record)
    retried = json.loads(server.cli("dead-letters", "retry", letter["id"]).stdout)
    assert retried == {"id": letter["id"], "heartbeats": 2}
    assert waiting(server, account.user_id) == []
    assert account.stats(start_date="2023-11-01", end_date="2023-12-01")["data"]["total_seconds"] == 120
    assert len(account.heartbeats(start="2023-11-01", end="2023-12-01")["heartbeats"]) == 3
    assert server.cli("verify").returncode == 0
    again = server.cli("dead-letters", "retry", letter["id"], check=False)
    assert (again.returncode, again.stdout) == (2, "")


def test_a_dropped_letter_is_gone(server):
    letter = set_aside(server, server.new_account(), b"\x00garbage")
    assert json.loads(server.cli("dead-letters", "drop", letter["id"]).stdout) == {"id": letter["id"], "dropped": 1}
    assert letter not in letters(server)


@pytest.mark.parametrize("wrong", ["", "x", "log:0:soon", "log:0:99999999999999999999", "log:0:1"])
@pytest.mark.parametrize("command", ["show", "retry", "drop"])
def test_an_id_of_no_letter_is_refused_in_one_line(server, command, wrong):
    refused = server.cli("dead-letters", command, wrong, check=False)
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1


def test_dropping_without_naming_one_needs_all(server):
    refused = server.cli("dead-letters", "drop", check=False)
    assert (refused.returncode, "--all" in refused.stderr) == (2, True)
