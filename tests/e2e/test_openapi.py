"""/openapi.json against the routes that are served, and as a newcomer reads it."""

import re

import pytest

from query_api.app import _ROUTERS

PAGES = {("get", path) for path in ("/", "/docs")}
ODD = [
    "",
    "%00",
    "%ff%fe",
    "%ED%A0%80",
    "-1",
    "9" * 60,
    "9" * 10_000,
    "1e308",
    "nan",
    "0000-00-00",
    "0001-01-01",
    "9999-12-31T23:59:59.999999-23:59",
    "10000-01-01",
    "%27;--",
    "%F0%9F%92%A9",
]


@pytest.fixture(scope="module")
def document(server):
    return server.http.get("/openapi.json").json()


@pytest.fixture(scope="module")
def operations(document):
    return {(method, path): o for path, item in document["paths"].items() for method, o in item.items()}


def filled(path, value="current"):
    return re.sub(r"\{[^}]*\}", value, path)


def test_every_route_is_described_and_what_is_described_is_served(server, operations):
    routes = {
        (method.lower(), route.path_format)
        for router in _ROUTERS
        for route in router.routes
        for method in route.methods
    }
    read = {operation for operation in operations if operation[0] == "get"}
    assert routes == read | PAGES
    for method, path in operations:
        response = server.http.request(method, filled(path))
        assert response.status_code != 405, path
        assert "Not found" not in response.text, path


def test_every_operation_says_what_it_is_for_and_what_it_takes(document, operations):
    tags = {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)
    for path, operation in operations.items():
        assert set(operation["tags"]) <= tags, path
        assert operation["summary"], path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (path, parameter["name"])
            assert parameter["schema"].keys() & {"type", "anyOf", "enum"}, (path, parameter["name"])
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ()), (path, parameter["name"])


def test_what_needs_a_key_says_which_ways_there_are_and_what_a_wrong_one_gives(document, operations):
    assert set(document["components"]["securitySchemes"]) == {"bearer", "basic", "api_key"}
    open_to_all = {path for (_, path), operation in operations.items() if "security" not in operation}
    assert open_to_all == {"/up"}
    for path, operation in operations.items():
        if "security" in operation:
            assert {"bearer", "basic", "api_key"} == {name for way in operation["security"] for name in way}, path
            assert operation["responses"]["401"]["headers"]["WWW-Authenticate"], path


def test_every_error_is_described_in_the_one_shape(document, operations):
    schemas = document["components"]["schemas"]
    for path, operation in operations.items():
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                continue
            name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert schemas[name]["properties"]["error"] == {"type": "string"}, (path, status)
            assert "error" in schemas[name]["required"]
        assert operation["responses"]["503"]["headers"]["Retry-After"], path


def test_every_operation_that_can_be_limited_says_so(operations):
    limited = {
        path for path, o in operations.items() if "Retry-After" in o["responses"].get("429", {}).get("headers", ())
    }
    assert limited == operations.keys() - {("get", "/up")}


def test_the_docs_page_shows_every_operation_the_ways_to_give_a_key_and_types(server, operations):
    text = server.http.get("/docs").text
    for method, path in operations:
        assert f'<span class="method">{method.upper()}</span> {path}<' in text
    for shown in ("Authorization: Bearer", "?api_key=", "date or date-time or number", "boolean", "Needs an API key"):
        assert shown in text


@pytest.mark.parametrize("value", ODD, ids=lambda value: value[:20])
def test_odd_values_are_never_a_500(server, account, operations, value):
    """In each place of an address, one at a time; what is answered is described."""
    for (method, path), operation in operations.items():
        if method != "get":
            continue
        queries = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
        addresses = [f"{filled(path)}?{name}={value}" for name in queries]
        if "{" in path and value:
            addresses.append(filled(path, value))
        for address in addresses:
            response = server.http.get(address, headers=account.headers)
            assert str(response.status_code) in operation["responses"].keys() | {"404"}, address[:200]
            assert response.status_code < 500, address[:200]
            assert response.status_code < 400 or "error" in response.json(), address[:200]
