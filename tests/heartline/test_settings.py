import re

import pytest
from pydantic import ValidationError

from heartline.settings import PREFIX, Settings, SettingsError, read_settings, unknown_variables, variable


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_everything_lies_in_the_data_folder_by_default(tmp_path):
    settings = read_settings({"data": str(tmp_path)})
    assert settings.log_path == tmp_path / "log.db"
    assert settings.stats_path == tmp_path / "stats.db"
    assert settings.lake_path == tmp_path / "lake"
    assert settings.stats_url == f"sqlite:///{tmp_path}/stats.db"


def test_the_service_is_private_by_default():
    settings = read_settings()
    assert (settings.host, settings.port, settings.stats_api_key) == ("127.0.0.1", 8000, None)
    assert (settings.access_log, settings.trusted_proxies) == (False, "")


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default(monkeypatch):
    monkeypatch.setenv("HEARTLINE_PORT", "9000")
    monkeypatch.setenv("HEARTLINE_MIN_FREE", "5")
    settings = read_settings({"port": "9001", "host": None})
    assert (settings.port, settings.min_free, settings.host) == (9001, 5, "127.0.0.1")


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("HEARTLINE_PORT", "")
    assert read_settings().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "abc"),
        ("port", "65536"),
        ("port", "-1"),
        ("lookups", "nobody"),
        ("statusbar_text", "medium"),
        ("max_body_bytes", "1"),
        ("limit_per_key", "-1"),
        ("limit_per_address", "1000001"),
        ("flush_rows", "0"),
        ("flush_interval", "0"),
        ("access_log", "perhaps"),
        ("log_url", "kafka://host:9092"),
        ("stats_url", "mysql://host/name"),
        ("stats_url", "sqlite:///"),
        ("log_url", "sqlite:///log.db?mode=ro"),
        ("lake_url", "s3://"),
        ("lake_url", "s3://Bucket/path"),
        ("lake_url", "s3://bucket//path"),
        ("lake_url", "s3://bucket/path?x=1"),
        ("lake_url", "gs://bucket/path"),
        ("data", "what?"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_setting_as_it_was_given(monkeypatch, name, value):
    with pytest.raises(SettingsError, match=re.escape(f"--{name.replace('_', '-')}")) as by_flag:
        read_settings({name: value})
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(SettingsError, match=re.escape(value)) as by_variable:
        read_settings()
    for error in (str(by_flag.value), str(by_variable.value)):
        assert "\n" not in error
        assert PREFIX in error or "--" in error
        assert "PydanticUndefined" not in error


def test_secrets_are_masked_wherever_settings_are_shown():
    settings = read_settings({"stats_api_key": "very-secret"})
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in str(settings.shown())
    assert settings.shown()["HEARTLINE_STATS_API_KEY"] == "(set, not shown)"
    assert settings.stats_api_key.get_secret_value() == "very-secret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:very-secret@host:5432/db", "postgresql://ann:***@host:5432/db"),
        ("postgresql://ann:very-secret:and@more@host/db", "postgresql://ann:***@host/db"),
        ("postgresql://host/db?user=ann&password=very-secret&sslmode=require", "…&password=***&sslmode=require"),
        ("postgresql://ann@host/db", "postgresql://ann@host/db"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
    ],
)
def test_the_password_of_a_database_is_masked_wherever_settings_are_shown(url, shown):
    settings = read_settings({"stats_url": url})
    assert (settings.stats_url, settings.stats_path) == (url, None)
    assert "very-secret" not in repr(settings) + str(settings.shown())
    assert settings.shown()["HEARTLINE_STATS_URL"].endswith(shown.removeprefix("…"))
    assert settings.environment()["HEARTLINE_STATS_URL"] == url, "the processes of `heartline up` need it"


def test_the_password_in_an_address_that_is_refused_is_masked():
    with pytest.raises(SettingsError) as refused:
        read_settings({"stats_url": "mysql://ann:very-secret@host/db"})
    assert "very-secret" not in str(refused.value)


def test_every_setting_is_shown_and_described():
    shown = read_settings().shown()
    assert set(shown) == {variable(name) for name in Settings.model_fields}
    assert shown["HEARTLINE_ACCESS_LOG"] == "false"
    assert all(field.description for field in Settings.model_fields.values())


def test_another_process_reads_the_same_settings_from_the_environment(monkeypatch):
    given = read_settings(
        {"data": "/tmp/somewhere", "port": "1", "stats_api_key": "k", "access_log": True, "log_keep": "1.5"}  # noqa: S108
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert read_settings() == given


def test_settings_never_change():
    with pytest.raises(ValidationError, match="frozen"):
        read_settings().port = 1


def test_an_unknown_variable_is_a_warning_that_names_the_closest_setting():
    warnings = unknown_variables({"HEARTLINE_PROT": "1", "HEARTLINE_PORT": "1", "PATH": "/bin"})
    assert warnings == ["HEARTLINE_PROT is no setting and is ignored: did you mean HEARTLINE_PORT?"]
