import pytest

from tests.query_api.world import OPERATORS_KEY


@pytest.mark.parametrize(("kind", "value"), [("email", "ada@example.org"), ("slack_uid", "U1")])
class TestLookup:
    def test_finds_the_exact_value_with_any_valid_key(self, world, ada, kind, value):
        user, key = ada
        for asking in (key, OPERATORS_KEY):
            found = world.get(f"/api/v1/users/lookup_{kind}/{value}", asking)
            assert (found.status_code, found.json()) == (200, {"user_id": user.user_id, kind: value})

    def test_says_whom_it_did_not_find(self, world, ada, kind, value):
        for missing in (value + "x", value.swapcase()):
            answer = world.get(f"/api/v1/users/lookup_{kind}/{missing}", ada[1])
            assert (answer.status_code, answer.json()) == (404, {"error": "User not found", kind: missing})

    @pytest.mark.usefixtures("ada")
    def test_needs_a_key(self, world, kind, value):
        for key in (None, "wrong"):
            answer = world.get(f"/api/v1/users/lookup_{kind}/{value}", key)
            assert (answer.status_code, answer.json()) == (401, {"error": "Invalid API key"})

    def test_can_be_kept_to_the_operators_key(self, world, ada, kind, value):
        world.make_app(lookups="operator")
        assert world.get(f"/api/v1/users/lookup_{kind}/{value}", ada[1]).status_code == 401
        assert world.get(f"/api/v1/users/lookup_{kind}/{value}", OPERATORS_KEY).status_code == 200


def test_an_address_with_odd_characters_is_found(world, ada):
    user, _ = world.add_user("odd", email="a+b/c%d@example.org")
    found = world.get("/api/v1/users/lookup_email/a+b%2Fc%25d@example.org", ada[1])
    assert found.json() == {"user_id": user.user_id, "email": "a+b/c%d@example.org"}


def test_a_name_with_a_line_end_is_a_name_that_nobody_has(world, ada):
    _, key = ada
    missing = world.get("/api/v1/users/lookup_email/a%0Ab", key)
    assert (missing.status_code, missing.json()) == (404, {"error": "User not found", "email": "a\nb"})
    for path in ("users/a%0Ab/stats", "users/a%0Ab/trust_factor", "badge/ada/a%0Ab", "users/ada/project/a%0Ab"):
        of_nobody = world.get(f"/api/v1/{path}", key)
        like_it = world.get(f"/api/v1/{path.replace('%0A', '-')}", key)
        assert (of_nobody.status_code, of_nobody.json()) == (like_it.status_code, like_it.json())


def test_the_trust_factor_is_shown_as_stored_and_needs_no_key(world):
    world.add_user("yo", trust_level="yellow", trust_value=0)
    assert world.get("/api/v1/users/yo/trust_factor").json() == {"trust_level": "yellow", "trust_value": 0}
    missing = world.get("/api/v1/users/nobody/trust_factor")
    assert (missing.status_code, missing.json()) == (404, {"error": "User not found"})


@pytest.mark.parametrize("prefix", ["/api/hackatime/v1", "/api/v1", "/api/compat/wakatime/v1"])
def test_the_profile_is_the_key_owners_whatever_the_id(world, ada, prefix):
    user, key = world.add_user("kim", timezone="Asia/Kolkata", trust_level="red")
    for path_id in ("current", "ada", "999"):
        data = world.get(f"{prefix}/users/{path_id}", key).json()["data"]
        assert data["id"] == str(user.user_id)
        assert (data["username"], data["display_name"], data["timezone"]) == ("kim", "kim", "Asia/Kolkata")
        assert data["plan"] == "free"
        assert data["created_at"].endswith("Z")
    assert world.get(f"{prefix}/users/current").status_code == 401
