"""The commands without a running server: before the first start, and on what a stopped one left."""

import io
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from heartline.cli import main
from schemas.heartbeat import Heartbeat
from schemas.record import heartbeat_records
from schemas.tables import SCHEMA_VERSION
from storage.log.sqlite import SqliteLogReader, append_now

HEARTLINE = Path(sys.executable).with_name("heartline")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command on an empty folder; its exit code, lines of stdout, lines of stderr.

    In this process: starting one for each command would take a second each time.
    """
    for name in [name for name in os.environ if name.startswith("HEARTLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEARTLINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*arguments, given="", **environment):
        with monkeypatch.context() as during:
            for name, value in environment.items():
                during.setenv(name, value)
            during.setattr(sys, "argv", ["heartline", *map(str, arguments)])
            during.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
            with pytest.raises(SystemExit) as end:
                main()
        written = capsys.readouterr()
        return end.value.code or 0, written.out.splitlines(), written.err.splitlines()

    return run


@pytest.fixture
def ask(run):
    """Run a command that must work; the JSON objects that it prints, one a line."""

    def ask(*arguments, **options):
        code, out, err = run(*arguments, **options)
        assert (code, err) == (0, [])
        return [json.loads(line) for line in out]

    return ask


def test_users_are_added_before_the_first_start(ask, tmp_path):
    (ada,) = ask("users", "add", "ada")
    assert set(ada) == {"user_id", "username", "api_key"}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ada["api_key"])
    (bob,) = ask(
        *("users", "add", "bob", "--user-id", 77, "--email", "bob@example.org", "--slack-uid", "U9"),
        *("--timezone", "Asia/Kolkata", "--trust-level", "yellow", "--trust-value", 0, "--api-key", "k", "--private"),
    )
    assert bob == {"user_id": 77, "username": "bob", "api_key": "k"}
    assert ask("users", "list") == [
        {
            "user_id": 1,
            "username": "ada",
            "timezone": "UTC",
            "email": None,
            "slack_uid": None,
            "trust_level": "blue",
            "trust_value": 0,
            "public_stats": True,
            "keys": [ada["api_key"][:8]],
        },
        {
            "user_id": 77,
            "username": "bob",
            "timezone": "Asia/Kolkata",
            "email": "bob@example.org",
            "slack_uid": "U9",
            "trust_level": "yellow",
            "trust_value": 0,
            "public_stats": False,
            "keys": [""],
        },
    ]
    assert (tmp_path / "data" / "stats.db").exists()


@pytest.mark.parametrize("form", ["array", "lines"])
def test_an_import_takes_an_array_or_lines_and_keeps_what_is_given(ask, tmp_path, form):
    users = [
        {"username": "ada", "user_id": 41, "api_key": "old-key", "timezone": "Asia/Tokyo", "public_stats": False},
        {"username": "bob", "email": None},
    ]
    text = json.dumps(users, indent=1) if form == "array" else "\n\n".join(map(json.dumps, users)) + "\n"
    (tmp_path / "users").write_text(text)
    added = ask("users", "import", "users")
    assert [(user["user_id"], user["username"]) for user in added] == [(41, "ada"), (42, "bob")]
    assert added[0]["api_key"] == "old-key"
    assert len(added[1]["api_key"]) == 36
    assert [user["public_stats"] for user in ask("users", "list")] == [False, True]


def test_an_import_reads_standard_input(ask):
    assert [user["username"] for user in ask("users", "import", "-", given='{"username":"ada"}')] == ["ada"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[{"username":"ada"},{"username":"ada"}]', "username 'ada' is given twice"),
        ('{"username":"ada"}\n{"username":"bob","timezone":"Nowhere"}', "User bob: timezone 'Nowhere'"),
        ('{"username":"ada"}\n{"username":', "Line 2"),
        ('[{"username":"ada","time_zone":"UTC"}]', "time_zone"),
        ('[{"user_id":1}]', "username"),
        ('[{"username":"ada","user_id":"1"}]', "user_id"),
        ("[1]", "The file"),
        ("\udcff", "Line 1"),
    ],
)
def test_a_bad_import_is_one_line_and_imports_nobody(run, ask, tmp_path, text, named):
    (tmp_path / "users").write_text(text, errors="surrogateescape")
    code, out, err = run("users", "import", "users")
    assert (code, out, len(err)) == (2, [], 1)
    assert named in err[0]
    assert ask("users", "list") == []


def test_a_file_that_is_not_there_is_one_line(run):
    assert run("users", "import", "nothing") == (
        2,
        [],
        ["heartline: nothing cannot be read: No such file or directory."],
    )


def test_a_taken_name_is_one_line_and_exit_code_2(run, ask):
    ask("users", "add", "ada")
    assert run("users", "add", "ada") == (2, [], ["heartline: username 'ada' is taken."])


def test_a_user_is_set_by_name_or_id_also_while_nothing_runs(ask):
    ask("users", "add", "ada", "--email", "a@example.org")
    ask("users", "set", "ada", "--trust-level", "red", "--private", "--email", "")
    (changed,) = ask("users", "set", 1, "--username", "eve", "--timezone", "Asia/Kolkata")
    assert changed == {
        "user_id": 1,
        "username": "eve",
        "timezone": "Asia/Kolkata",
        "email": None,
        "slack_uid": None,
        "trust_level": "red",
        "trust_value": 1,
        "public_stats": False,
    }
    (listed,) = ask("users", "list")
    assert {name: value for name, value in listed.items() if name != "keys"} == changed


def test_a_wrong_zone_changes_nothing_and_does_not_reach_the_log(run, ask):
    ask("users", "add", "ada")
    code, _, err = run("users", "set", "ada", "--timezone", "Mars/Olympus", "--trust-level", "red")
    assert (code, len(err)) == (2, 1)
    assert "Mars/Olympus" in err[0]
    (listed,) = ask("users", "list")
    assert (listed["timezone"], listed["trust_level"]) == ("UTC", "blue")


def test_keys_are_added_and_revoked(run, ask):
    (ada,) = ask("users", "add", "ada")
    (more,) = ask("users", "keys", "add", "ada")
    assert ask("users", "list")[0]["keys"] == [ada["api_key"][:8], more["api_key"][:8]]
    ask("users", "keys", "revoke", "ada", ada["api_key"])
    ask("users", "keys", "revoke", "ada", more["api_key"][:8])
    assert ask("users", "list")[0]["keys"] == []
    assert run("users", "keys", "revoke", "ada", more["api_key"])[0] == 2


def append(tmp_path, user_id, *times_s):
    """Take heartbeats into the log as ingest does, of a user whom the directory need not know."""
    beats = [Heartbeat(id=t, time_us=t * 1_000_000, created_at_us=1, project="p") for t in times_s]
    append_now(tmp_path / "data" / "log.db", heartbeat_records(user_id, beats))


def test_heartbeats_of_somebody_whom_a_restored_database_misses_are_theirs_again_in_their_own_zone(run, ask, tmp_path):
    append(tmp_path, 77, 1_700_049_600, 1_700_049_660)
    ask("flush")
    (other,) = ask("users", "add", "other")
    assert other["user_id"] == 78  # and not the heir of somebody's heartbeats
    assert run("users", "add", "moved", "--user-id", "77", "--timezone", "Nowhere/Land")[0] == 2
    (moved,) = ask("users", "add", "moved", "--user-id", "77", "--timezone", "Asia/Kolkata")
    assert moved["user_id"] == 77
    append(tmp_path, 77, 1_700_049_720)
    ask("flush")
    assert run("verify")[0] == 0
    assert [user["timezone"] for user in ask("users", "list") if user["username"] == "moved"] == ["Asia/Kolkata"]
    with closing(sqlite3.connect(tmp_path / "data" / "stats.db")) as database:
        asked = "SELECT duration_us FROM segments WHERE user_id = 77 AND calendar = 'Asia/Kolkata' AND dimension = 0"
        assert database.execute(asked).fetchall() == [(120_000_000,)]


def test_an_erasure_that_failed_half_way_is_asked_for_again_by_the_id(run, ask, tmp_path):
    ask("users", "add", "ada")
    append(tmp_path, 1, 1_700_049_600)
    ask("flush")
    (file,) = (tmp_path / "data" / "lake").rglob("*.parquet")
    away = file.rename(tmp_path / "away")
    code, _, err = run("users", "remove", "ada")
    assert (code, len(err)) == (2, 1)
    assert ".parquet" in err[0]
    assert ask("users", "list") == []
    away.rename(file)
    (removed,) = ask("users", "remove", "1")
    assert (removed["user_id"], removed["removed"]) == (1, True)
    assert not list((tmp_path / "data" / "lake").rglob("*.parquet"))


def test_a_removed_users_id_is_not_given_again(run, ask):
    ask("users", "add", "ada")
    (removed,) = ask("users", "remove", "ada")
    assert (removed["user_id"], removed["removed"], removed["heartbeats"]) == (1, True, 0)
    assert ask("users", "list") == []
    assert ask("users", "add", "ada")[0]["user_id"] == 2
    assert run("users", "remove", "nobody")[0] == 2


def test_upkeep_on_nothing_does_nothing_and_says_so(run, ask):
    assert ask("flush") == [{"heartbeats": 0}]
    assert ask("rebuild") == [{"repaired": 0, "users": 0}]
    assert ask("compact") == [{"days": 0}]
    assert run("verify")[0] == 0
    code, out, _ = run("status")
    status = json.loads("\n".join(out))
    assert code == 0
    assert (status["users"], status["heartbeats"], status["log"]["lag_records"]) == (0, 0, 0)
    assert status["log"]["counted_offset"] == 3  # the three commands
    assert run("verify", "nobody")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--from", "yesterday"], "--from 'yesterday' is no date: write it as 2024-03-31."),
        (["--to", "2023-02-30"], "--to '2023-02-30' is no date: write it as 2024-03-31."),
        (["--from", "2023-11-16", "--to", "2023-11-15"], "There is no day from 2023-11-16 to 2023-11-15."),
        (["--from", "2040-01-01"], "There is no day from 2040-01-01 to 2033-05-19."),
        (["no-such-user"], "There is no user 'no-such-user'."),
    ],
)
def test_a_rebuild_of_what_there_is_not_is_refused_in_one_line(run, arguments, reason):
    assert run("rebuild", *arguments) == (2, [], [f"heartline: {reason}"])


def test_a_rebuild_of_days_before_or_after_all_heartbeats_is_no_error(ask):
    ask("rebuild", "--from", "0001-01-01", "--to", "1969-12-31")
    ask("rebuild", "--from", "9999-12-31", "--to", "9999-12-31")


def test_a_command_waits_for_the_aggregator_that_has_the_log(tmp_path, ask):
    ask("flush")
    log = SqliteLogReader(tmp_path / "data" / "log.db")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEARTLINE_")}
    command = [HEARTLINE, "flush", "--data", tmp_path / "data"]
    waiting = subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, text=True)
    try:
        while log.end() < 2:
            log.wait(30)
        assert waiting.poll() is None
        log.close()
        assert json.loads(waiting.communicate(timeout=60)[0]) == {"heartbeats": 0}
    finally:
        waiting.kill()
        waiting.wait()


def test_sql_prints_a_table_or_json(run, ask):
    ask("users", "add", "ada")
    assert ask("sql", "--json", "SELECT user_id, username FROM users") == [{"user_id": 1, "username": "ada"}]
    code, out, _ = run("sql", "SELECT count(*) AS n FROM heartbeats")
    assert code == 0
    assert any("n" in line for line in out)
    code, out, err = run("sql", "SELEC 1")
    assert (code, out, len(err)) == (2, [], 1)
    assert "SELEC" in err[0]


def test_instants_and_wide_sums_become_json(ask):
    statement = "SELECT TIMESTAMPTZ '2026-01-02 03:04:05+00' AS t, sum(1::BIGINT) AS s, 1.5::DECIMAL(4,2) AS d"
    assert ask("sql", "--json", statement) == [{"t": "2026-01-02T03:04:05+00:00", "s": 1, "d": 1.5}]


def test_the_prompt_goes_on_after_an_error_and_keeps_its_history(run, tmp_path):
    lines = "SELECT 40 +\n 2 AS answer;\nSELEC 1;\n.refresh\nSELECT 'after' AS word;\n.quit\nSELECT 'unread';\n"
    code, out, err = run("sql", given=lines)
    assert code == 0
    assert len(err) == 1
    assert "SELEC" in err[0]
    assert any("42" in line for line in out)
    assert any("after" in line for line in out)
    assert not any("unread" in line for line in out)


def test_the_prompt_ends_with_the_terminals_end_of_file(tmp_path):
    ours, theirs = pty.openpty()
    environment = os.environ | {"HOME": str(tmp_path), "TERM": "dumb"}
    command = [HEARTLINE, "sql", "--data", tmp_path / "data"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def read_until_prompt():
        seen = b""
        while b"heartline> " not in seen:
            seen += os.read(ours, 1000)
        return seen

    try:
        read_until_prompt()
        os.write(ours, b"SELECT 40 + 2;\n")
        assert b" 42 " in read_until_prompt()
        os.write(ours, b"\x04")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert "SELECT 40 + 2;" in (tmp_path / ".heartline_history").read_text()


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("up", "--port", "none"), {}, "--port"),
        (("up",), {"HEARTLINE_PORT": "none"}, "HEARTLINE_PORT"),
        (("aggregate", "--flush-rows", "0"), {}, "--flush-rows"),
        (("users", "list", "--stats-url", "mysql://x"), {}, "--stats-url"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(run, arguments, environment, named):
    code, out, err = run(*arguments, **environment)
    assert (code, out, len(err)) == (2, [], 1)
    assert named in err[0]


def test_an_unknown_variable_is_a_warning_and_the_command_goes_on(run):
    code, out, err = run("users", "add", "ada", HEARTLINE_TRUST_LEVEL="red")
    assert (code, len(out), len(err)) == (0, 1, 1)
    assert "HEARTLINE_TRUST_LEVEL is no setting" in err[0]


def test_adding_a_user_loads_no_engine_of_columns(tmp_path):
    code = (
        "import sys; from heartline.cli import app; from typer.testing import CliRunner; "
        f"result = CliRunner().invoke(app, ['users', 'add', 'ada', '--data', {str(tmp_path)!r}]); "
        "print(result.exit_code, sorted({'polars', 'duckdb', 'pyarrow', 'fastapi', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0 []"


def test_migrate_makes_the_tables_and_says_their_version_and_newer_ones_are_refused_by_every_command(
    run, ask, tmp_path
):
    assert ask("migrate") == [{"schema_version": SCHEMA_VERSION}]
    assert ask("migrate") == [{"schema_version": SCHEMA_VERSION}], "as often as you like"
    with closing(sqlite3.connect(tmp_path / "data" / "stats.db")) as newer:
        newer.execute("UPDATE meta SET value = '9999' WHERE name = 'schema_version'")
        newer.commit()
    for command in (["migrate"], ["status"], ["users", "list"], ["verify"]):
        code, out, (line,) = run(*command)
        assert (code, out) == (2, [])
        assert "has schema version 9999" in line


def test_a_database_that_does_not_answer_is_one_line_without_its_password(run):
    code, out, (line,) = run("users", "list", HEARTLINE_STATS_URL="postgresql://ann:very-secret@127.0.0.1:1/db")
    assert (code, out) == (2, [])
    assert "The stats database is unavailable" in line
    assert "secret" not in line
