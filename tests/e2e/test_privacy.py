"""Who may see whose figures: private, convicted, renamed, removed users; keys (semantics.md, sections 1, 4, 5)."""

import re
import time

import pytest

from tests.e2e.history import beat
from tests.server import HACKATIME, OPERATOR_KEY, eventually

SHOWN = [
    "/api/v1/users/{}/stats",
    "/api/v1/users/{}/heartbeats/spans",
    "/api/v1/users/{}/projects",
    "/api/v1/users/{}/projects/details",
    "/api/v1/users/{}/project/app",
    "/api/v1/users/{}/stats/last_7_days",
    "/api/v1/users/{}/summaries?range=today",
    "/api/v1/users/{}/all_time_since_today",
    "/api/compat/wakatime/v1/users/{}/stats",
    "/api/compat/wakatime/v1/users/{}/stats/all_time",
    "/api/compat/wakatime/v1/users/{}/projects",
    "/api/v1/badge/{}/app",
    "/api/summary?user_id={}",
]
"""Everything about a named user that needs no key as long as they show it."""

OWN = [
    "/api/v1/users/current/status_bar/today",
    f"{HACKATIME}/users/current/statusbar/today",
    f"{HACKATIME}/users/current/stats/last_7_days",
    f"{HACKATIME}/users/current/summaries?start=2024-05-06&end=2024-05-06",
    f"{HACKATIME}/users/current",
    "/api/v1/users/current/heartbeats?date=today",
    "/api/v1/my/heartbeats",
    "/api/v1/my/heartbeats/most_recent",
]


def with_time(account):
    now = int(time.time())
    account.send(beat(now - 200, project="app"), beat(now - 100, project="app"))
    return account


@pytest.fixture(scope="module")
def hidden(server):
    return with_time(server.new_account(private=True))


@pytest.mark.parametrize("path", SHOWN)
def test_a_private_user_is_shown_to_nobody_else(server, account, hidden, path):
    for headers in ({}, account.headers, {"Authorization": f"Bearer {OPERATOR_KEY}"}):
        for name in (hidden.username, hidden.user_id):
            response = server.http.get(path.format(name), headers=headers)
            assert (response.status_code, response.json()) == (403, {"error": "user has disabled public stats"})
    assert hidden.get(path.format(hidden.username)).status_code == 200
    wrong = server.http.get(path.format(hidden.username), headers={"Authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "Invalid API key"})


@pytest.mark.parametrize("path", SHOWN)
def test_others_are_shown_without_a_key_and_unknown_ones_are_not_found(server, path):
    account = with_time(server.new_account())
    assert server.http.get(path.format(account.username)).status_code == 200
    for name in (account.username + "x", account.username.upper(), "0", "99999999999999999999"):
        response = server.http.get(path.format(name))
        assert (response.status_code, response.json()) == (404, {"error": "User not found"})


def test_convicted_users_see_what_plugins_show_and_no_more(server):
    red = with_time(server.new_account(trust_level="red"))
    for path in OWN[:5]:
        assert red.get(path).status_code == 200, path
    for path in (
        *OWN[5:],
        "/api/v1/users/current/stats",
        "/api/v1/users/my/projects",
        "/api/v1/users/current/summaries?range=today",
    ):
        assert red.get(path).status_code == 401, path
    # their public figures stay public
    assert red.get(f"/api/v1/users/{red.username}/stats").status_code == 200
    server.cli("users", "set", red.username, "--private")
    path = f"/api/v1/users/{red.username}/stats"
    assert eventually(lambda: red.get(path).status_code, 403, 2) == 403


@pytest.mark.parametrize("path", OWN)
def test_a_revoked_key_opens_nothing(server, path):
    account = server.new_account()
    assert account.get(path).status_code == 200
    server.cli("users", "keys", "revoke", account.username, account.key)
    assert eventually(lambda: account.get(path).status_code, 401, 2) == 401
    # the user is still there for others
    stats = f"/api/v1/users/{account.username}/stats"
    assert server.http.get(stats).status_code == 200
    assert eventually(lambda: account.get(stats).status_code, 401, 2) == 401  # another process than the status bar's
    assert account.get(stats).json() == {"error": "Invalid API key"}


def test_a_renamed_user_is_found_by_the_new_name_with_all_their_time(server):
    account = with_time(server.new_account(username="before-the-wedding"))
    server.cli("users", "set", account.username, "--username", "after-the-wedding")
    for path in SHOWN:
        new, old = path.format("after-the-wedding"), path.format("before-the-wedding")
        assert eventually(lambda new=new: server.http.get(new).status_code, 200, 2) == 200
        assert server.http.get(old).status_code == 404
    assert server.http.get("/api/v1/users/after-the-wedding/stats").json()["total_seconds"] == 100
    assert eventually(
        lambda: account.get(f"{HACKATIME}/users/current").json()["data"]["username"], "after-the-wedding", 2
    )
    # whoever takes the old name is another user
    other = server.new_account(username="before-the-wedding")
    assert server.http.get("/api/v1/users/before-the-wedding/stats").json()["total_seconds"] == 0
    assert other.user_id != account.user_id


def test_a_removed_user_is_gone_everywhere(server):
    account = with_time(server.new_account())
    server.cli("users", "remove", account.username)
    for path in SHOWN:
        assert eventually(lambda path=path: server.http.get(path.format(account.username)).status_code, 404, 3) == 404
    for path in OWN:
        assert eventually(lambda path=path: account.get(path).status_code, 401, 3) == 401


def shown_of(server, name):
    """What every path shows of a user, but for what the clock and the way of asking change."""
    clocks = r'"(start|modified_at|human_readable_\w+_heartbeat_at)":"[^"]*"'
    answers = {path: server.http.get(path.format(name)) for path in SHOWN}
    return {
        path: (answer.status_code, re.sub(clocks, "", answer.text).replace(f'{{"user_id":"{name}"', "{"))
        for path, answer in answers.items()
    }


def test_a_number_is_an_id_before_it_is_a_name(server):
    first = with_time(server.new_account())
    namesake = server.new_account(username=str(first.user_id))
    alone = with_time(server.new_account(username="000123456789"))
    assert shown_of(server, first.user_id) == shown_of(server, first.username)
    assert namesake.get("/api/v1/users/current/stats").json()["user"] == str(first.user_id)
    assert shown_of(server, alone.username) == shown_of(server, alone.user_id)


def test_names_that_begin_alike_stay_apart(server):
    short, longer = server.new_account(username="prefix-a"), with_time(server.new_account(username="prefix-ab"))
    of_short, of_longer = shown_of(server, short.username), shown_of(server, longer.username)
    with_time(short)
    assert shown_of(server, longer.username) == of_longer
    changed = shown_of(server, short.username)
    unchanged = [path for path in SHOWN if changed[path] == of_short[path]]
    assert unchanged in ([], ["/api/v1/users/{}/summaries?range=today"])  # just after midnight it may be yesterday's
