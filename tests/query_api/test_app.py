import asyncio
import logging

import pytest
import sqlalchemy as sa

from tests.query_api.world import NOON, beats


def send(world, method, path, **options):
    return asyncio.run(world.request(method, path, **options))


def test_up_tells_that_the_database_answers(world):
    assert world.get("/up").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/api/v1/users/a/b/c", "/api/v1/stats/"])
def test_unknown_paths_are_404_in_the_one_error_shape(world, path):
    answer = world.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})


def test_other_methods_are_405_and_name_the_allowed_one(world):
    for path in ("/up", "/api/v1/stats", "/api/v1/my/heartbeats", "/api/v1/users/current"):
        answer = send(world, "PUT", path)
        assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})
        assert answer.headers["allow"] == "GET, HEAD"


def test_overlong_values_are_refused_in_one_sentence(world, ada):
    for path in (f"/api/v1/users/{'x' * 321}/stats", f"/api/v1/users/ada/stats?filter_by_project={'x' * 2049}"):
        answer = world.get(path)
        assert answer.status_code == 422
        assert list(answer.json()) == ["error"]
        assert "characters" in answer.json()["error"]


def test_what_breaks_is_a_500_in_the_one_error_shape(world, ada, monkeypatch):
    def explode(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world.app.state.services.directory, "by_username", explode)
    answer = world.get("/api/v1/users/ada/stats")
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal server error"})
    assert answer.headers["cache-control"] == "no-store"


def test_a_database_that_is_away_is_503_with_retry_after_and_no_names_in_the_log(world, ada, caplog):
    with world.database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE segments RENAME TO elsewhere"))
    with caplog.at_level(logging.INFO):
        answer = world.get("/api/v1/users/ada/stats", ada[1])
    assert answer.status_code == 503
    assert list(answer.json()) == ["error"]
    assert int(answer.headers["retry-after"]) >= 1
    assert ada[1] not in caplog.text
    assert "no such table" in caplog.text


def test_a_stream_whose_first_files_are_unreadable_still_gets_a_status(world, ada, tmp_path):
    user, key = ada
    world.send(user, beats(NOON, 0, 10))
    world.aggregator.flush_now()
    for file in (tmp_path / "lake").rglob("*.parquet"):
        file.unlink()
    answer = world.get("/api/v1/my/heartbeats", key)
    assert answer.status_code == 503
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pages_of_any_site_may_call_the_api(world, ada, method):
    preflight = send(
        world,
        "OPTIONS",
        "/api/v1/my/heartbeats",
        headers={
            "Origin": "https://example.org",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-max-age"] == "600"
    assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, POST, OPTIONS"
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    for key in (ada[1], None):
        answer = world.get("/api/v1/my/heartbeats", key, headers={"Origin": "https://example.org"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "no-store"


def test_pages_outside_of_the_api_are_not_shared(world):
    assert "access-control-allow-origin" not in world.get("/", headers={"Origin": "https://example.org"}).headers


def test_the_home_page_shows_the_address_under_which_it_was_asked(world):
    for headers, shown in (
        ({}, "http://heartline.test/api/hackatime/v1"),
        ({"Host": "10.0.0.7:8000"}, "http://10.0.0.7:8000/api/hackatime/v1"),
        ({"X-Forwarded-Host": "time.example.org", "X-Forwarded-Proto": "https"}, "https://time.example.org/api/"),
        ({"Host": "<script>alert(1)</script>"}, "http://127.0.0.1:8000/api/hackatime/v1"),
    ):
        page = world.get("/", headers=headers)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f"api_url = {shown}" in page.text
        assert "<script" not in page.text
    assert 'href="/docs"' in page.text
    assert "/openapi.json" in page.text


class TestDescription:
    @pytest.fixture
    def openapi(self, world):
        return world.get("/openapi.json").json()

    def test_covers_every_route(self, openapi):
        for path in (
            "/api/hackatime/v1/users/{user_id}/statusbar/today",
            "/api/v1/users/{user_id}/statusbar/today",
            "/api/compat/wakatime/v1/users/{user_id}/statusbar/today",
            "/api/v1/stats",
            "/api/v1/users/{username}/stats",
            "/api/v1/my/heartbeats",
            "/api/v1/my/heartbeats/most_recent",
            "/api/v1/users/lookup_email/{email}",
            "/api/v1/users/lookup_slack_uid/{slack_uid}",
            "/api/v1/users/{username}/trust_factor",
            "/api/hackatime/v1/users/{user_id}",
            "/up",
        ):
            assert "get" in openapi["paths"][path], path

    def test_names_ingests_routes_too(self, openapi):
        posts = [path for path, operations in openapi["paths"].items() if "post" in operations]
        assert any(path.endswith("/heartbeats.bulk") for path in posts)

    def test_refers_only_to_schemas_that_it_holds(self, openapi):
        def references(node):
            if isinstance(node, dict):
                for key, value in node.items():
                    if key == "$ref":
                        yield value
                    yield from references(value)
            elif isinstance(node, list):
                for item in node:
                    yield from references(item)

        held = {f"#/components/schemas/{name}" for name in openapi["components"]["schemas"]}
        used = set(references(openapi))
        assert used <= held
        assert "#/components/schemas/HTTPValidationError" not in used

    def test_gives_every_operation_an_id_of_its_own_and_its_errors(self, openapi):
        operations = [op for ops in openapi["paths"].values() for method, op in ops.items() if method == "get"]
        assert len({op["operationId"] for op in operations}) == len(operations)
        for operation in operations:
            assert {"200", "400", "500", "503"} <= operation["responses"].keys()
            assert operation["summary"]
            for parameter in operation.get("parameters", []):
                assert "422" in operation["responses"], parameter

    def test_is_rendered_as_a_page_that_fetches_nothing(self, world, openapi):
        page = world.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for path in openapi["paths"]:
            assert path in page.text
        assert "<script" not in page.text
        assert "http://" not in page.text.replace("http://heartline.test", "")
        assert "src=" not in page.text


def test_no_key_reaches_the_logs(world, ada, caplog):
    user, key = ada
    world.send(user, beats(NOON, 0, 10))
    with caplog.at_level(logging.DEBUG):
        for path in (
            "/api/v1/stats",
            "/api/v1/my/heartbeats",
            "/api/v1/users/nobody/stats",
            "/api/v1/my/heartbeats?limit=x",
        ):
            world.get(path, key)
            separator = "&" if "?" in path else "?"
            # httpx itself logs the address that it asks; the server's loggers are what matters.
            world.get(f"{path}{separator}api_key={key}")
    assert not [record for record in caplog.records if key in record.getMessage() and record.name != "httpx"]
