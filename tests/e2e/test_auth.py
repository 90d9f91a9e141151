"""Where a key is accepted and where it is refused (semantics.md, first table and section 1)."""

import base64
import uuid

import pytest

from tests.e2e.history import beat
from tests.server import HACKATIME, OPERATOR_KEY, PREFIXES

T = 1_700_000_000


def b64(text):
    return base64.b64encode(text.encode()).decode()


FORMS = {
    "Bearer": lambda key: f"Bearer {key}",
    "bearer": lambda key: f"bearer {key}",
    "Bearer in base64": lambda key: f"Bearer {b64(key)}",
    "Basic of the bare key": lambda key: f"Basic {b64(key)}",
    "basic of the bare key": lambda key: f"basic {b64(key)}",
    "Basic of key:": lambda key: f"Basic {b64(key + ':')}",
    "Basic of user:key": lambda key: f"Basic {b64('ann:' + key)}",
    "Basic of echo KEY | base64": lambda key: "Basic " + b64(f"{key}\n"),
}
READS = [
    *(f"{prefix}/users/current/statusbar/today" for prefix in PREFIXES),
    *(f"{prefix}/users/current" for prefix in PREFIXES),
    "/api/v1/users/current/stats",
    "/api/v1/users/my/stats",
    "/api/v1/stats",
    "/api/v1/my/heartbeats",
    "/api/v1/my/heartbeats/most_recent",
    *(f"{prefix}/users/current/status_bar/today" for prefix in PREFIXES[1:]),
    "/api/users/current/statusbar/today",
]
LOOKUPS = ["/api/v1/users/lookup_email/nobody@example.com", "/api/v1/users/lookup_slack_uid/UNOBODY"]
WRITES = [
    f"{prefix}/users/current/{path}" for prefix in (*PREFIXES, "/api") for path in ("heartbeats", "heartbeats.bulk")
]


def ask(server, path, headers=None, **params):
    if path in WRITES:
        body = [beat(T)] if path.endswith("bulk") else beat(T)
        return server.http.post(path, json=body, headers=headers, params=params or None)
    return server.http.get(path, headers=headers, params=params or None)


def accepted(path):
    return {"heartbeats": 202, "heartbeats.bulk": 201}.get(path.rsplit("/", 1)[1], 200) if path in WRITES else 200


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_is_accepted_in_every_form_on_every_route(server, account, form):
    headers = {"Authorization": form(account.key)}
    answered = {path: ask(server, path, headers).status_code for path in READS + WRITES}
    assert answered == {path: accepted(path) for path in READS + WRITES}
    assert {ask(server, path, headers).status_code for path in LOOKUPS} == {404}


def test_a_key_is_accepted_in_the_query_on_every_route(server, account):
    answered = {path: ask(server, path, api_key=account.key).status_code for path in READS + WRITES}
    assert answered == {path: accepted(path) for path in READS + WRITES}
    assert {ask(server, path, api_key=account.key).status_code for path in LOOKUPS} == {404}


@pytest.mark.parametrize("path", READS + WRITES + LOOKUPS)
def test_without_a_key_every_route_that_needs_one_says_so(server, path):
    for response in (ask(server, path), ask(server, path, api_key=str(uuid.uuid4())), ask(server, path, api_key="")):
        assert response.status_code == 401
        assert response.json() == {"error": "Invalid API key"}


def unusable(key):
    return [
        "Bearer",
        "Basic",
        f"Bearer {uuid.uuid4()}",
        f"Bearer {key}x",
        f"Bearer {key.upper()}",
        f"Basic {b64(str(uuid.uuid4()))}",
        f"Basic {key}",
        "Basic !!!",
        f"Basic {b64(key)}!",
        f"Basic {base64.b64encode(bytes([255, 254]) + key.encode()).decode()}",
        f"Digest {key}",
        f"Token {key}",
        key,
        "Bearer " + "x" * 5_000,
        "Basic " + "A" * 5_000,
    ]


@pytest.mark.parametrize("path", ["/api/v1/my/heartbeats", READS[0], READS[6], WRITES[0], WRITES[3], *LOOKUPS])
def test_a_header_that_is_wrong_is_refused_even_beside_a_right_query(server, account, path):
    for header in unusable(account.key):
        response = ask(server, path, {"Authorization": header}, api_key=account.key)
        assert (response.status_code, response.json()) == (401, {"error": "Invalid API key"}), header[:80]


def test_a_right_header_wins_over_a_wrong_query(server, account):
    assert ask(server, READS[0], account.headers, api_key="wrong").status_code == 200


def test_the_operators_key_is_no_users(server):
    for path in [*READS[:8], *READS[9:], *WRITES]:
        response = ask(server, path, {"Authorization": f"Bearer {OPERATOR_KEY}"})
        assert response.status_code == 401, path


def test_refused_heartbeats_are_not_kept(server, account):
    body = [beat(T)]
    wrong = {"Authorization": "Bearer wrong"}
    assert server.http.post(f"{HACKATIME}/users/current/heartbeats.bulk", json=body, headers=wrong).status_code == 401
    server.settle()
    assert account.heartbeats(start="2023-11-14", end="2023-11-16")["heartbeats"] == []


def test_a_user_sees_only_their_own_heartbeats(server):
    ann, bob = server.new_account(), server.new_account()
    (of_ann,) = ann.send(beat(T, project="secret"))
    (of_bob,) = bob.send(beat(T + 1))
    window = {"start": "2023-11-14", "end": "2023-11-16"}
    assert [h["id"] for h in ann.heartbeats(**window)["heartbeats"]] == [of_ann["id"]]
    assert [h["id"] for h in bob.heartbeats(**window)["heartbeats"]] == [of_bob["id"]]
    assert [h["id"] for h in bob.heartbeats(limit=100)["heartbeats"]] == [of_bob["id"]]
    recent = bob.get("/api/v1/my/heartbeats/most_recent").json()
    assert recent["heartbeat"]["id"] == of_bob["id"]
    assert bob.stats(features="projects")["projects"] == [{"name": "Other", "seconds": 0}]


def test_a_convicted_user_may_send_and_see_the_status_bar_but_not_the_heartbeats(server):
    red = server.new_account(trust_level="red", trust_value=1)
    red.send(beat(T), beat(T + 60))
    assert red.get(READS[0]).status_code == 200
    for path in ("/api/v1/my/heartbeats", "/api/v1/my/heartbeats/most_recent"):
        response = red.get(path)
        assert (response.status_code, response.json()) == (401, {"error": "Invalid API key"})
