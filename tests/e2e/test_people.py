"""Finding users, their trust factor and profile (semantics.md, sections 5 and 7)."""

import datetime as dt
from urllib.parse import quote

import pytest

from tests.server import OPERATOR_KEY, PREFIXES

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


@pytest.fixture(scope="module")
def ann(server):
    return server.new_account(
        email="Ann+tag@example.com", slack_uid="U123ANN", trust_level="yellow", trust_value=0, timezone="Asia/Kolkata"
    )


def test_any_key_finds_a_user_by_email_exactly(server, account, ann):
    for headers in (account.headers, OPERATOR):
        for email in ("Ann+tag@example.com", quote("Ann+tag@example.com", safe="")):
            response = server.http.get(f"/api/v1/users/lookup_email/{email}", headers=headers)
            assert (response.status_code, response.json()) == (200, {"user_id": ann.user_id, "email": ann.email})
        response = server.http.get("/api/v1/users/lookup_email/ann+tag@example.com", headers=headers)
        assert response.status_code == 404
        assert response.json() == {"error": "User not found", "email": "ann+tag@example.com"}


def test_any_key_finds_a_user_by_slack_uid_exactly(server, account, ann):
    for headers in (account.headers, OPERATOR):
        response = server.http.get("/api/v1/users/lookup_slack_uid/U123ANN", headers=headers)
        assert (response.status_code, response.json()) == (200, {"user_id": ann.user_id, "slack_uid": "U123ANN"})
        response = server.http.get("/api/v1/users/lookup_slack_uid/u123ann", headers=headers)
        assert response.status_code == 404
        assert response.json() == {"error": "User not found", "slack_uid": "u123ann"}


def test_the_trust_factor_is_public_and_as_stored(server, ann):
    for username in (ann.username, ann.user_id, ann.slack_uid):
        response = server.http.get(f"/api/v1/users/{username}/trust_factor")
        assert (response.status_code, response.json()) == (200, {"trust_level": "yellow", "trust_value": 0})


def test_everybody_begins_blue(server, account):
    response = server.http.get(f"/api/v1/users/{account.username}/trust_factor")
    assert response.json() == {"trust_level": "blue", "trust_value": 0}


def test_nobody_has_no_trust_factor(server):
    response = server.http.get("/api/v1/users/nobody/trust_factor")
    assert (response.status_code, response.json()) == (404, {"error": "User not found"})


@pytest.mark.parametrize("user", ["current", "1", "somebody%20else"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_profile_is_the_keys_owner_whatever_the_id(ann, prefix, user):
    response = ann.get(f"{prefix}/users/{user}")
    assert response.status_code == 200
    data = response.json()["data"]
    fields = {"id", "username", "display_name", "full_name", "photo", "timezone", "created_at", "modified_at", "plan"}
    assert fields <= set(data)
    assert (data["id"], data["username"], data["timezone"]) == (str(ann.user_id), ann.username, "Asia/Kolkata")
    assert data["plan"] == "free"
    for name in ("created_at", "modified_at"):
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(data[name])
        assert dt.timedelta(0) <= age < dt.timedelta(hours=1)
