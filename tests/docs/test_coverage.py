"""What there is, is in the README, and what is in the README, there is: settings, commands, endpoints, links."""

import re
import shlex

import pytest
import typer

from heartline.cli import app
from heartline.settings import PREFIX, Settings, read_settings, variable
from tests.docs import examples
from tests.server import PREFIXES

TEXT = examples.README.read_text()
PAGES = ("/", "/docs", "/openapi.json", "/metrics")
NOT_IN_OPENAPI = {("GET", page) for page in PAGES}


def rows(section):
    """Give the rows of the first table of a section, each as its cells."""
    table = TEXT.split(f"\n## {section}\n", 1)[1].split("\n|---", 1)[1].split("\n", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def in_code(cell):
    return re.findall(r"`([^`]+)`", cell)


def commands(group, path=()):
    """Give {path: command} for every command below a group."""
    if not hasattr(group, "commands"):
        return {path: group}
    return {
        below: command
        for name, sub in group.commands.items()
        for below, command in commands(sub, (*path, name)).items()
    }


COMMANDS = commands(typer.main.get_command(app))
SETTINGS_OPTIONS = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
SETTINGS_OPTIONS |= {f"--no-{name.replace('_', '-')}" for name in Settings.model_fields}


def command_of(words):
    """Find which command the words after `heartline` name; None where they name none."""
    return next((path for path in COMMANDS if tuple(words[: len(path)]) == path), None)


def own_options(command):
    """Give a command's options but for those that are settings."""
    options = [o for p in command.params if p.param_type_name == "option" for o in (*p.opts, *p.secondary_opts)]
    return set(options) - SETTINGS_OPTIONS


def arguments(command):
    return [p.name for p in command.params if p.param_type_name == "argument"]


def documented_commands():
    """Give {path: what the table shows after the command's name}."""
    found = {}
    for row in rows("Commands"):
        for usage in in_code(row[0]):
            words = usage.split()
            assert words.pop(0) == "heartline"
            path = command_of(words)
            assert path is not None, f"there is no command {usage!r}"
            found[path] = " ".join(words[len(path) :])
    return found


def templates(path):
    """Give a path as often as it has prefixes, its parameters without their names."""
    full = [path.replace("…", prefix) for prefix in PREFIXES] if path.startswith("…") else [path]
    return [re.sub(r"\{[^}]*\}", "{}", one) for one in full]


def documented_routes():
    """Give {(method, path): parameters} of the endpoints table."""
    found = {}
    for endpoint, _, parameters, _ in rows("Endpoints"):
        for route in in_code(endpoint):
            method, path = route.split()
            for template in templates(path):
                found[method, template] = set(in_code(parameters))
    return found


@pytest.fixture(scope="module")
def routes(newcomer):
    """{(method, path): parameters that are not part of the path} as the running server describes itself."""
    described = newcomer[0].http.get("/openapi.json").json()
    return {
        (method.upper(), template): {p["name"] for p in operation.get("parameters", []) if p["in"] != "path"}
        for path, operations in described["paths"].items()
        for template in templates(path)
        for method, operation in operations.items()
    }


def test_every_setting_is_in_the_readme_with_its_default_and_a_reason(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    defaults = {
        name: value.removesuffix(".0") if value[0:1].isdigit() and value.count(".") == 1 else value
        for name, value in read_settings().shown().items()
    }
    table = rows("Settings")
    assert {in_code(row[0])[0]: "".join(in_code(row[1])) for row in table} == defaults
    assert all(len(row[2].split(". ")) >= 2 for row in table), "what it is. Why this default"


def test_every_setting_that_the_readme_names_exists():
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", TEXT)) == {variable(name) for name in Settings.model_fields}


def test_every_command_is_in_the_readme_with_its_own_options_and_arguments():
    documented = documented_commands()
    assert set(documented) == set(COMMANDS)
    for path, usage in documented.items():
        assert set(re.findall(r"--[a-z-]+", usage)) == own_options(COMMANDS[path]), path
        named = [word.strip("[]") for word in usage.split() if word.strip("[]").isupper()]
        options_values = {"NAME"}  # of --first-user
        assert [word.lower() for word in named if word not in options_values] == arguments(COMMANDS[path]), path


def test_every_command_that_the_readme_names_exists_with_its_options():
    usages = re.findall(r"(?:^\$ |`)(heartline [a-z][^`\n]*)", TEXT, re.MULTILINE)
    assert len(usages) > len(COMMANDS)
    for usage in usages:
        words = re.sub(r"[\[\]]", "", usage).split()[1:]
        path = command_of(words)
        assert path or any(known[: len(words)] == tuple(words) for known in COMMANDS), usage
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    known = {option for command in COMMANDS.values() for p in command.params for option in (*p.opts, *p.secondary_opts)}
    assert options <= known | {"--help"}


def test_every_route_is_in_the_readme_with_its_parameters_and_the_other_way_round(routes):
    documented = documented_routes()
    assert documented.keys() - routes.keys() == NOT_IN_OPENAPI
    assert routes.keys() - documented.keys() == set()
    for route, parameters in routes.items():
        assert documented[route] == parameters, route


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_that_the_readme_names_are_there(newcomer, page):
    assert newcomer[0].http.get(page).status_code == 200


def requests_of_the_examples():
    """Give (method, path) of every curl in the examples."""
    found = set()
    for example in examples.session_examples():
        if not example.command.startswith("curl"):
            continue
        words = shlex.split(example.command.split("<<", 1)[0].replace("\\\n", " "))
        (url,) = [word for word in words if word.startswith("http://")]
        path = url.removeprefix(f"http://{examples.SHOWN_ADDRESS}").split("?")[0]
        found.add(("POST" if "-d" in words else "GET", path))
    return found


def test_every_endpoint_has_an_example():
    asked = requests_of_the_examples()
    for row in rows("Endpoints"):
        for method, path in (route.split() for route in in_code(row[0])):
            if path in PAGES:
                continue
            patterns = [re.escape(template).replace(r"\{\}", "[^/]+") for template in templates(path)]
            hits = [one for verb, one in asked if verb == method and any(re.fullmatch(p, one) for p in patterns)]
            assert hits, f"no example asks {method} {path}"


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_every_link_to_a_file_leads_to_one(document):
    links = re.findall(r"\]\(([^)]+)\)", (examples.ROOT / document).read_text())
    assert links
    for link in links:
        if not link.startswith(("https://", "http://")):
            path, _, heading = link.partition("#")
            assert not heading, f"{document}: {link}: nothing checks headings"
            assert (examples.ROOT / path).exists(), f"{document}: {link}"
