"""How a heartbeat's fields are repaired and completed (semantics.md, section 2, rules 1 to 11, and first table)."""

import pytest

from tests.e2e.history import beat

T = 1_700_000_000
WINDOW = {"start": "2023-11-14", "end": "2023-11-16"}


def stored_one(account, heartbeat, **headers):
    response = account.single(heartbeat, **headers)
    assert response.status_code == 202, response.text
    return response.json()


def stored_many(account, *heartbeats):
    """What was answered, and what is listed after all of it is counted, in the order sent (by time)."""
    answered = account.send(*heartbeats)
    return answered, account.heartbeats(**WINDOW)["heartbeats"]


@pytest.mark.parametrize(
    ("sent", "time"),
    [
        (T, T),
        (T + 0.25, T + 0.25),
        ("1700000000", T),
        ("1700000000.123", 1700000000.123),
        (1700000000.123, 1700000000.123),
        (1795469428.7290149, 1795469428.729015),
        (1700000000123, 1700000000.123),
        ("1700000000123", 1700000000.123),
        (1700000000123.456, 1700000000.123456),
        (1700000000123456, 1700000000.123456),
        (1700000000123456789, 1700000000.123457),
        (1700000000000000500, T),  # half to even
        (1700000000000001500, 1700000000.000002),
        (1_000_000_000, 1_000_000_000),
        (999_999_999.9999999, 1_000_000_000),  # rounded before the range check
        (1_999_999_999.999999, 1_999_999_999.999999),
        (1_000_000_000_000, 1_000_000_000),
        (1_999_999_999_999_999_999 // 1000 * 1000, 1_999_999_999.999999),
        ("2023-11-14T22:13:20Z", T),
        ("2023-11-14T22:13:20", T),
        ("2023-11-14 22:13:20", T),
        ("2023-11-14T23:13:20.5+01:00", T + 0.5),
        ("2023-11-15", 1700006400),
    ],
)
def test_times_come_in_many_forms(account, sent, time):
    assert stored_one(account, beat(sent))["time"] == time


@pytest.mark.parametrize(
    "sent",
    [
        None,
        True,
        False,
        "",
        "yesterday or so",
        "NaN",
        "Infinity",
        "nan",
        [],
        [T],
        {},
        0,
        -1,
        -T,
        5,
        999_999_999,
        2_000_000_000,
        1_999_999_999.9999999,
        999_999_999_999,
        2_000_000_000_000_000_000,
        1e30,
        "1e400",
        "1899-01-01",
        "2099-01-01",
    ],
    ids=repr,
)
def test_other_times_are_rejected(account, sent):
    response = account.single(beat(sent))
    assert response.status_code == 422, response.text
    assert account.bulk([beat(sent)]).json()["responses"][0][1] == 400


def test_a_number_and_its_text_are_one_heartbeat(account):
    forms = [1700000000.123, "1700000000.123", 1700000000123, "2023-11-14T22:13:20.123Z"]
    assert len({stored_one(account, beat(form))["id"] for form in forms}) == 1


def test_nul_characters_are_removed_everywhere(account):
    sent = beat(
        T, entity="/a\0b.txt", project="p\0q", branch="\0main", language="Py\0thon", dependencies=["o\0s", "re"]
    )
    stored = stored_one(account, sent)
    assert (stored["entity"], stored["project"], stored["branch"]) == ("/ab.txt", "pq", "main")
    assert (stored["language"], stored["dependencies"]) == ("Python", ["os", "re"])
    clean = beat(T, entity="/ab.txt", project="pq", branch="main", language="Python", dependencies=["os", "re"])
    assert stored_one(account, clean)["id"] == stored["id"]


@pytest.mark.parametrize(
    ("sent", "project"),
    [
        ("plain", "plain"),
        ("  outer blanks\t", "outer blanks"),
        ("in\tner\ncontrol\x7f", "innercontrol"),
        ("\x01", ""),
        ("", ""),
        (None, None),
        ("Grüße 🚀", "Grüße 🚀"),
        ("p" * 512, "p" * 512),
        ("é" * 256, "é" * 256),
    ],
)
def test_projects_are_cleaned(account, sent, project):
    assert stored_one(account, beat(T, project=sent))["project"] == project


@pytest.mark.parametrize("field", ["project", "language", "branch", "category", "type", "editor", "machine"])
def test_what_becomes_a_key_is_bounded_in_bytes(account, field):
    assert account.single(beat(T, **{field: "é" * 256})).status_code == 202
    assert account.single(beat(T, **{field: "é" * 257})).status_code == 422


def test_integers_and_booleans_are_read_from_text(account):
    sent = beat(T, lines="12", lineno="0", cursorpos="7", project_root_count="3", is_write="true", line_additions=2.0)
    stored = stored_one(account, sent)
    expected = {
        "lines": 12,
        "lineno": 0,
        "cursorpos": 7,
        "project_root_count": 3,
        "is_write": True,
        "line_additions": 2,
    }
    assert {name: stored[name] for name in expected} == expected
    assert stored_one(account, beat(T, **expected))["id"] == stored["id"]
    assert stored_one(account, beat(T, is_write="false"))["is_write"] is False


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["os", None, "re"], ["os", "re"]),
        ([None], []),
        (None, []),
        ("os", ["os"]),
        (["os", 5, ["a"], {"b": None}], ["os", "5", '["a"]', '{"b": null}']),
    ],
)
def test_dependencies_are_texts_without_nulls(account, sent, kept):
    stored = stored_one(account, beat(T, dependencies=sent))
    assert stored["dependencies"] == kept
    assert stored_one(account, beat(T, dependencies=kept))["id"] == stored["id"]


def test_integers_may_have_64_bits(account):
    stored = stored_one(account, beat(T, lines=2**63 - 1, lineno=-(2**63)))
    assert (stored["lines"], stored["lineno"]) == (2**63 - 1, -(2**63))


def test_nulls_are_as_good_as_absent(account):
    absent = stored_one(account, beat(T))
    nulls = dict.fromkeys(("category", "project", "branch", "language", "dependencies", "lineno", "is_write"))
    assert stored_one(account, beat(T, **nulls))["id"] == absent["id"]


def test_a_test_file_is_marked_and_counts(account):
    _, listed = stored_many(account, beat(T, entity="test.txt"), beat(T + 60, entity="/x/test.txt"))
    assert [h["source_type"] for h in listed] == ["test_entry", "direct_entry"]
    assert account.total(start_date="2023-11-14") == 60


@pytest.mark.parametrize(
    ("entity", "sent", "language"),
    [
        ("/a/b.py", None, "Python"),
        ("/a/B.PY", None, "Python"),
        ("/a/b.ts", None, "TypeScript"),
        ("/a/b.rs", None, "Rust"),
        ("/a/b.json", None, "JSON"),
        ("/a/b.sql", None, "SQL"),
        ("/a/b.h", None, "C"),
        ("/a/b.cs", None, "C#"),
        ("/a/b.rb", "", "Ruby"),
        ("/a/b.js", "  ", "JavaScript"),
        ("/a/b.go", "Unknown", "Go"),
        ("/a/b.java", "unknown", "Java"),
        ("C:\\work\\b.swift", None, "Swift"),
        ("/a/Dockerfile", None, "Dockerfile"),
        ("/a/Makefile", None, "Makefile"),
        ("/a/b.py", "py", "py"),
        ("/a/b.luau", "Lua", "Luau"),
        ("/a/b.zzzz", None, None),
        ("/a/b.zzzz", "Unknown", "Unknown"),
    ],
)
def test_a_missing_language_is_told_by_the_file(account, entity, sent, language):
    assert stored_one(account, beat(T, entity=entity, language=sent))["language"] == language


def test_a_domain_is_no_file_name_but_a_missing_type_may_be_one(account):
    assert stored_one(account, beat(T, entity="example.py", type="domain"))["language"] is None
    assert stored_one(account, beat(T, entity="example.py", type="app"))["language"] is None
    assert stored_one(account, {"entity": "example.py", "time": T})["language"] == "Python"


@pytest.mark.parametrize(
    ("type_", "sent", "category"),
    [
        ("file", None, "coding"),
        ("file", "", "coding"),
        ("file", "  ", "coding"),
        ("domain", None, "browsing"),
        ("url", "", "browsing"),
        ("app", None, "coding"),
        ("file", "ai coding", "ai coding"),
        ("domain", "Meeting", "Meeting"),
    ],
)
def test_a_blank_category_is_coding_or_browsing(account, type_, sent, category):
    assert stored_one(account, beat(T, type=type_, category=sent))["category"] == category


AGENTS = [
    (
        "wakatime/v1.90.0 (linux-6.18.44-fc-v595-unknown) go1.26.8 vscode/1.92.0 vscode-wakatime/24.6.0",
        "vscode",
        "linux",
    ),
    (
        "wakatime/13.1.0 (Linux-6.18.44-fc-v595-x86_64-with-glibc2.36) Python3.11.7.final.0 vim/9.0 vim-wakatime/7.1.0",
        "vim",
        "linux",
    ),
    ("wakatime/v1.115.2 (darwin-24.3.0-arm64) go1.24.2 cursor/1.0.0 vscode-wakatime/25.0.3", "cursor", "macos"),
    (
        "wakatime/v1.115.2 (windows-10.0.22631.5039-x86_64) go1.24.2 IntelliJIDEA/2025.1 IntelliJIDEA-wakatime/15.0.3",
        "intellijidea",
        "windows",
    ),
    ("wakatime/v1.102.1 (linux-6.8.0-45-generic-x86_64) go1.23.1 neovim/0.10.1 vim-wakatime/11.1.1", "neovim", "linux"),
    (
        (
            "wakatime/v1.102.1 (linux-5.15.153.1-microsoft-standard-WSL2-x86_64) go1.23.1 vscode/1.95.0 "
            "vscode-wakatime/24.8.0"
        ),
        "vscode",
        "wsl",
    ),
    ("wakatime/v1.106.1 (darwin-23.6.0-arm64) go1.23.3 Zed/0.165.4 Zed-wakatime/0.1.9", "zed", "macos"),
    ("wakatime/v1.115.2 (darwin-24.3.0-arm64) go1.24.2 Figma/124.7.4 macos-wakatime/5.24.0", "figma", "macos"),
    (
        "wakatime/v1.118.0 (linux-6.8.0-x86_64) go1.24.4 GodotEngine/4.3.0 Godot_Super-Wakatime/1.0.0",
        "godot",
        "linux",
    ),
    ("wakatime/v1.118.0 (linux-6.8.0-x86_64) go1.24.4 zsh/5.9 terminal-wakatime/1.1.5", "zsh", "linux"),
    (
        "wakatime/v1.118.0 (windows-10.0.26100-x86_64) go1.24.4 RobloxStudio/0.650 roblox-wakatime/1.0",
        "roblox-studio",
        "windows",
    ),
    ("wakatime/unset (Linux-none-none) wakapi-anyide-wakatime/unset", "wakapi-anyide", "linux"),
    ("Chrome/126.0.0.0 linux_x86-64 chrome-wakatime/4.0.8", "chrome", "linux"),
    ("Firefox/139.0 linux_x86-64 firefox-wakatime/4.1", "firefox", "linux"),
    ("python-requests/2.34.2", "python-requests", None),
    ("wakatime/v1.90.0 (linux-6.1) go1.26.8 Unknown/0", "unknown", "linux"),
]


@pytest.mark.parametrize(("agent", "editor", "system"), AGENTS)
def test_editor_and_system_are_read_from_the_user_agent_wherever_it_stands(account, agent, editor, system):
    for place in ({"user_agent": agent}, {"plugin": agent}):
        stored = stored_one(account, beat(T, **place))
        assert (stored["user_agent"], stored["editor"], stored["operating_system"]) == (agent, editor, system)
    stored = stored_one(account, beat(T), User_Agent=agent)
    assert (stored["user_agent"], stored["editor"], stored["operating_system"]) == (agent, editor, system)


def test_an_ai_category_lends_its_leading_model_name(account):
    agent = "wakatime/v2.21.4 (darwin-25.5.0-arm64) go1.26.4 opus/4-8 claude-code/2.1.202"
    stored = stored_one(account, beat(T, category="ai coding", user_agent=agent))
    assert (stored["editor"], stored["operating_system"], stored["ai_model"]) == ("claude-code", "macos", "opus/4-8")


def test_what_the_user_agent_says_wins_over_the_body_and_the_body_over_nothing(account):
    agent = AGENTS[0][0]
    stored = stored_one(account, beat(T, editor="emacs", operating_system="plan9", user_agent=agent))
    assert (stored["editor"], stored["operating_system"]) == ("vscode", "linux")
    stored = stored_one(account, beat(T, operating_system="plan9", user_agent="python-requests/2.34.2"))
    assert stored["operating_system"] == "plan9"


def test_the_body_names_its_user_agent_before_plugin_and_header(account):
    first, second, third = (agent for agent, _, _ in AGENTS[:3])
    assert stored_one(account, beat(T, user_agent=first, plugin=second), User_Agent=third)["user_agent"] == first
    assert stored_one(account, beat(T, plugin=second), User_Agent=third)["user_agent"] == second


@pytest.mark.parametrize(
    ("header", "machine"),
    [
        ("lab-machine", "lab-machine"),
        ("Dev%27s+MacBook.local", "Dev's MacBook.local"),
        ("Dev%2527s%2BMacBook.local", "Dev's MacBook.local"),
        ("Dev%252527s%252BMacBook.local", "Dev's MacBook.local"),
        ("%C3%BC", "ü"),
        ("%25C3%25BC", "ü"),
        ("a%2Fb", "a/b"),
        ("100%", "100%"),
    ],
)
def test_a_machine_is_one_machine_however_often_its_name_was_escaped(account, header, machine):
    assert stored_one(account, beat(T), X_Machine_Name=header)["machine"] == machine


def test_an_escaped_again_machine_makes_no_second_heartbeat(account):
    names = (
        "Dev%27s+MacBook.local",
        "Dev%2527s%2BMacBook.local",
        "Dev%252527s%252BMacBook.local",
        "Dev's MacBook.local",
    )
    assert len({stored_one(account, beat(T), X_Machine_Name=name)["id"] for name in names}) == 1


def test_the_headers_machine_wins_and_a_bodys_stays_as_sent(account):
    assert stored_one(account, beat(T, machine="body"), X_Machine_Name="header")["machine"] == "header"
    assert stored_one(account, beat(T, machine="a%20b+c"))["machine"] == "a%20b+c"


def test_placeholders_stand_for_the_latest_earlier_item_of_the_same_project(account):
    answered, listed = stored_many(
        account,
        beat(T, project="p", language="Rust", branch="main"),
        beat(T + 1, project="q", language="Go", branch="dev"),
        beat(T + 2, project="p", language="Zig", branch="next"),
        beat(T + 3, project="p", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"),
        beat(T + 4, project="q", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"),
        beat(T + 5, project="none", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"),
    )
    for heartbeats in (answered, listed):
        assert [(h["language"], h["branch"]) for h in heartbeats[3:]] == [("Zig", "next"), ("Go", "dev"), (None, None)]


def test_last_project_is_stored_literally_and_stands_for_the_last_real_one(account):
    answered, listed = stored_many(
        account,
        beat(T, project="p", language="Rust", branch="main"),
        beat(T + 1, project="<<LAST_PROJECT>>", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"),
    )
    for heartbeats in (answered, listed):
        last = heartbeats[1]
        assert (last["project"], last["language"], last["branch"]) == ("<<LAST_PROJECT>>", "Rust", "main")


def test_items_without_a_project_lend_and_borrow_nothing(account):
    for project in ("", None):
        answered, _ = stored_many(
            account,
            beat(T, project=project, language="Rust", branch="main"),
            beat(T + 1, project=project, language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"),
        )
        assert (answered[1]["language"], answered[1]["branch"]) == (None, None)


def test_rejected_items_lend_nothing(account):
    response = account.bulk(
        [beat(5, project="p", language="Rust", branch="main"), beat(T, project="p", language="<<LAST_LANGUAGE>>")]
    )
    assert [status for _, status in response.json()["responses"]] == [400, 201]
    assert response.json()["responses"][1][0]["language"] is None


def test_a_placeholder_looks_back_to_what_is_stored(account):
    account.send(beat(T + 10, project="p", language="Rust", branch="main"))
    account.send(beat(T, project="p", language="Old", branch="old"))
    (answered,) = account.send(beat(T + 20, project="p", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>"))
    assert (answered["language"], answered["branch"]) == (None, None)  # its own request does not resolve it
    newest = account.heartbeats(**WINDOW)["heartbeats"][-1]
    assert (newest["language"], newest["branch"], newest["id"]) == ("Rust", "main", answered["id"])


def test_an_unresolved_language_is_told_by_the_file(account):
    account.send(beat(T, entity="/a/b.py", project="fresh", language="<<LAST_LANGUAGE>>"))
    assert account.heartbeats(**WINDOW)["heartbeats"][0]["language"] == "Python"


def test_a_repeat_with_a_placeholder_has_the_same_id_and_counts_once(account):
    sent = beat(T, project="p", language="<<LAST_LANGUAGE>>")
    (first,) = account.send(sent)
    account.send(beat(T - 10, project="p", language="Rust"))
    (again,) = account.send(sent)
    assert again["id"] == first["id"]
    assert len(account.heartbeats(**WINDOW)["heartbeats"]) == 2
