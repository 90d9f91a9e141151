"""Requests as clients sent them, replayed over a raw socket; the answers judged as wakatime-cli judges them.

`recorded/*.http` hold heads byte for byte as recorded (clients.md, sections 1, 4 and 5), with a fixed key.
"""

import http.client
import json
import socket
from pathlib import Path

import pytest

from tests.clients.judge import DROPPED, TAKEN, fates, printed_status
from tests.server import HACKATIME, PREFIXES

PLUGINS_PREFIXES = (*PREFIXES, "/api")  # the last one: as Wakapi's users have it
RECORDED = Path(__file__).with_name("recorded")
KEY = "11111111-1111-4111-8111-111111111111"
BULKS = [
    "one_heartbeat",
    "no_project_empty_strings",
    "domain_and_app",
    "hidden_file_name",
    "time_with_seven_decimals",
    "sync_batch_1",
    "sync_batch_2",
    "sync_batch_3",
    "thirty_first_25",
    "thirty_last_5",
    "v2_ai",
    "python_client_nulls",
    "wakapi_anyide",
]


@pytest.fixture(scope="module")
def recorded_user(server):
    """The user whose key is in the recordings."""
    return server.new_account(username="recorded", api_key=KEY)


def request(name, prefix=HACKATIME):
    raw = (RECORDED / f"{name}.http").read_bytes()
    return raw.replace(HACKATIME.encode(), prefix.encode(), 1)


def sent_in(name):
    return json.loads(request(name).partition(b"\r\n\r\n")[2])


def exchange(connection, raw):
    """Send bytes as they are; return status, headers and body."""
    connection.sendall(raw)
    response = http.client.HTTPResponse(connection, method=raw.split(b" ", 1)[0].decode())
    response.begin()
    return response.status, response.headers, response.read()


def replay(server, *names, prefix=HACKATIME):
    """Replay recordings over one connection, as a client that syncs its queue does; return (status, body) of each."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        return [exchange(connection, request(name, prefix))[::2] for name in names]


def stored(account, sent):
    """The listed heartbeats at the times that were sent, in order."""
    account.server.settle()
    times = sorted(h["time"] for h in sent)
    return account.heartbeats(start_time=times[0] - 0.001, end_time=times[-1] + 0.001)["heartbeats"]


@pytest.mark.parametrize("prefix", PLUGINS_PREFIXES)
@pytest.mark.parametrize("name", BULKS)
def test_every_recorded_bulk_is_taken(server, recorded_user, name, prefix):
    sent = sent_in(name)
    ((status, body),) = replay(server, name, prefix=prefix)
    assert status == 201
    assert fates(status, body, len(sent)) == [TAKEN] * len(sent)
    pairs = json.loads(body)["responses"]
    assert [(item["entity"], item["lineno"]) for item, _ in pairs] == [(h["entity"], h.get("lineno")) for h in sent]


def test_a_heartbeat_of_wakatime_cli_is_stored_as_sent(server, recorded_user):
    replay(server, "one_heartbeat")
    (row,) = stored(recorded_user, sent_in("one_heartbeat"))
    (sent,) = sent_in("one_heartbeat")
    assert {field: row[field] for field in sent} == sent
    assert (row["editor"], row["operating_system"], row["machine"]) == ("vscode", "linux", "lab-machine")
    assert row["source_type"] == "direct_entry"


def test_the_same_request_again_gives_the_same_ids_and_stores_nothing(server, recorded_user):
    first, second = replay(server, "thirty_last_5", "thirty_last_5")
    ids = [[item["id"] for item, _ in json.loads(body)["responses"]] for _, body in (first, second)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 5
    assert [row["id"] for row in stored(recorded_user, sent_in("thirty_last_5"))] == ids[0]


def test_thirty_heartbeats_come_as_25_and_5_and_are_listed_in_order(server, recorded_user):
    names = ("thirty_first_25", "thirty_last_5")
    assert [status for status, _ in replay(server, *names)] == [201, 201]
    sent = [h for name in names for h in sent_in(name)]
    assert [row["time"] for row in stored(recorded_user, sent)] == [h["time"] for h in sent]


def test_a_machine_name_escaped_again_for_each_request_stays_one_machine(server, recorded_user):
    names = ("sync_batch_1", "sync_batch_2", "sync_batch_3")
    replay(server, *names)
    rows = stored(recorded_user, [h for name in names for h in sent_in(name)])
    assert len(rows) == 9
    assert {row["machine"] for row in rows} == {"Dev's MacBook.local"}


def test_a_machine_name_in_utf_8_is_stored_as_it_is(server, recorded_user):
    replay(server, "python_client_nulls")
    (row,) = stored(recorded_user, sent_in("python_client_nulls"))
    assert row["machine"] == "Zoë's MacBook"
    assert (row["editor"], row["category"], row["lineno"], row["cursorpos"]) == ("vim", "coding", None, None)


def test_empty_project_and_branch_stay_empty_strings(server, recorded_user):
    replay(server, "no_project_empty_strings")
    (row,) = stored(recorded_user, sent_in("no_project_empty_strings"))
    assert (row["project"], row["branch"], row["language"]) == ("", "", None)
    assert (row["lineno"], row["cursorpos"]) == (0, 0)


def test_a_domain_and_an_app_have_no_language(server, recorded_user):
    replay(server, "domain_and_app")
    rows = stored(recorded_user, sent_in("domain_and_app"))
    assert [(row["entity"], row["type"], row["language"]) for row in rows] == [
        ("github.com", "domain", None),
        ("Slack", "app", None),
    ]
    assert [row["category"] for row in rows] == ["coding", "meeting"]


def test_seven_decimals_are_rounded_to_the_microsecond(server, recorded_user):
    ((_, body),) = replay(server, "time_with_seven_decimals")
    assert json.loads(body)["responses"][0][0]["time"] == 1795469428.729015


def test_v2s_ai_fields_are_kept_and_a_missing_category_is_coding(server, recorded_user):
    replay(server, "v2_ai")
    ai, plain = stored(recorded_user, sent_in("v2_ai"))
    sent = sent_in("v2_ai")[0]
    assert {field: ai[field] for field in sent} == sent
    assert (ai["editor"], ai["operating_system"], ai["ai_model"]) == ("claude-code", "macos", "opus/4-8")
    assert (plain["category"], plain["ai_line_changes"]) == ("coding", None)


def test_wakapi_anyide_is_answered_201_and_its_machine_kept(server, recorded_user):
    ((status, _),) = replay(server, "wakapi_anyide")
    assert status == 201
    (row,) = stored(recorded_user, sent_in("wakapi_anyide"))
    assert (row["editor"], row["operating_system"], row["machine"]) == ("wakapi-anyide", "linux", "lab-anyide")


@pytest.mark.parametrize("prefix", PLUGINS_PREFIXES)
def test_a_heartbeat_that_can_never_be_taken_is_dropped_and_its_neighbours_taken(server, recorded_user, prefix):
    ((status, body),) = replay(server, "clock_far_ahead_in_the_middle", prefix=prefix)
    assert fates(status, body, 3) == [TAKEN, DROPPED, TAKEN]
    sent = sent_in("clock_far_ahead_in_the_middle")
    assert len(stored(recorded_user, [sent[0], sent[2]])) == 2


@pytest.mark.parametrize("prefix", PLUGINS_PREFIXES)
def test_manualwakatimes_single_heartbeat_is_answered_202_with_the_heartbeat(server, recorded_user, prefix):
    ((status, body),) = replay(server, "manualwakatime", prefix=prefix)
    answer = json.loads(body)
    assert status == 202
    assert (answer["project"], answer["type"], answer["time"]) == ("p", "app", 1700070000.123456)


@pytest.mark.parametrize("prefix", PLUGINS_PREFIXES)
def test_the_status_bar_prints_its_text(server, recorded_user, prefix):
    ((status, body),) = replay(server, "statusbar_today", prefix=prefix)
    printed = printed_status(status, body)
    assert printed
    assert printed == json.loads(body)["data"]["grand_total"]["text"]


@pytest.mark.parametrize("name", ["goal", "file_experts", "diagnostics"])
def test_what_is_not_here_is_404_with_an_error_and_the_connection_goes_on(server, recorded_user, name):
    missing, bar = replay(server, name, "statusbar_today")
    assert missing[0] == 404
    assert json.loads(missing[1])["error"]
    assert bar[0] == 200


def test_an_unknown_key_is_401_for_writing_and_reading(server, recorded_user):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for name in ("one_heartbeat", "statusbar_today"):
            raw = request(name).replace(b"MTExMTExMTEt", b"MzMzMzMzMzMt")
            status, _, body = exchange(connection, raw)
            assert (status, json.loads(body)) == (401, {"error": "Invalid API key"})
