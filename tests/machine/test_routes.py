"""No read route is left out, neither of the oracle's table nor of the machine's questions."""

import re

from tests import oracle
from tests.machine.asking import NARROW, PLAIN
from tests.machine.questions import Questions
from tests.server import PREFIXES


class Nobody:
    """Has everything that routes find people by, and no heartbeats."""

    heartbeats = ()
    accepted_us = 0, 0

    def __init__(self, account):
        account.email, account.slack_uid, account.added_us = "someone@example.org", "U1", (0, 0)
        self.account = account
        self.user = vars(account)


def read_routes(server):
    """The paths of /openapi.json that can be read, their parameters as {}."""
    paths = server.http.get("/openapi.json").json()["paths"]
    return {re.sub(r"{[^}]*}", "{}", path) for path, operations in paths.items() if "get" in operations}


def table_of_the_oracle():
    rows = re.findall(r"^\| (\S*/.*?) \|", oracle.__doc__, re.MULTILINE)
    routes = ", ".join(rows)
    for short, prefix in zip(("{h}", "{1}", "{w}"), PREFIXES, strict=True):
        routes = routes.replace(short, prefix)
    return set(re.sub(r"{[^}]*}", "{}", routes).split(", "))


def test_the_oracles_table_names_every_read_route(server):
    assert table_of_the_oracle() == read_routes(server)


def test_the_machine_asks_every_read_route(server, account):
    asked = {question.path for question in Questions(Nobody(account), PLAIN).all()}
    found = read_routes(server) - {"/up"}
    assert len(found) > 30
    unasked = {route for route in found if not any(_fits(route, path) for path in asked)}
    assert unasked == set()


def test_the_machine_asks_with_every_parameter_of_every_read_route(server, account):
    asked = [
        (question.path, set(question.params))
        for way in (PLAIN, NARROW)
        for other_names in (False, True)
        for question in Questions(Nobody(account), way._replace(other_names=other_names)).all()
    ]
    assert len(asked) > 100
    for route, known in parameters_of_routes(server).items():
        used = set().union(*(names for path, names in asked if _fits(route, path)))
        assert known - used == set(), route


def parameters_of_routes(server):
    paths = server.http.get("/openapi.json").json()["paths"]
    return {
        re.sub(r"{[^}]*}", "{}", path): {p["name"] for p in operations["get"]["parameters"] if p["in"] == "query"}
        for path, operations in paths.items()
        if "parameters" in operations.get("get", ())
    }


def _fits(route, path):
    return re.fullmatch(re.escape(route).replace(r"\{\}", "[^/]+"), path) is not None
