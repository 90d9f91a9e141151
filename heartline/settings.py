"""The settings: read once from the environment (HEARTLINE_*) and equal flags, checked, then never changed."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "HEARTLINE_"
PLACES: Final = ("data", "log_url", "stats_url", "lake_url")
"""Where data rests: what every command takes."""


# Bucket names as S3 has them; no empty parts, since a key and its folder would differ in them.
_S3_URL: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*/?")
_FOLLOWS: Final = "default_factory_not_called"
"""Pydantic's report about a setting whose default needs one that is wrong: no news."""


_KAFKA_URL: Final = re.compile(r"kafka://[^/?#@]+/[A-Za-z0-9._-]{1,249}")
_PASSWORD_BEFORE_HOST: Final = re.compile(r"(://[^:/@]*:).*(?=@)")
_PASSWORD_PARAMETER: Final = re.compile(r"([?&]password=)[^&]*")


class SettingsError(Exception):
    """A setting that cannot be used, in one line."""


class Settings(BaseSettings):
    """All settings of all services. Make one with `read_settings`, which explains what is wrong in one line."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    # A folder beside the one who tries it out: seen at once, and gone by deleting it.
    data: Path = Field(Path("./data"), description="folder of everything that is kept")
    # A file of its own: ingest's fsyncs do not wait for the aggregator's.
    log_url: str = Field(
        default_factory=lambda known: f"sqlite:///{known['data']}/log.db",
        description="the log (`sqlite:///PATH` or `kafka://HOST:PORT[,HOST:PORT]/TOPIC`)",
    )
    # The embedded default needs no server.
    stats_url: str = Field(
        default_factory=lambda known: f"sqlite:///{known['data']}/stats.db",
        description="stats tables, tail and users (`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`)",
        repr=False,  # it may hold a password
    )
    # Beside the rest, so that one backup takes all.
    lake_url: str = Field(
        default_factory=lambda known: f"{known['data']}/lake",
        description="where the Parquet files are (a folder, or `s3://BUCKET/PREFIX`)",
    )
    # Nobody else sees the service until its owner decides so.
    host: str = Field("127.0.0.1", min_length=1, max_length=255, description="address to listen at")
    # The customary port; 0 takes any free one.
    port: int = Field(8000, ge=0, le=65_535, description="port to listen at; 0: any free one")
    # No operator until one is named.
    stats_api_key: SecretStr | None = Field(None, description="the operator's key for all users' figures and lookups")
    # The ordering document lets any key look up a user.
    lookups: Literal["any", "operator"] = Field("any", description="whose key may look users up: `any` or `operator`")
    # The ordering document's wording, "2 hrs"; short is Hackatime's, "2h".
    statusbar_text: Literal["long", "short"] = Field("long", description="wording of the status bar: `long` or `short`")
    # 100 heartbeats of 4 KiB each, twice over.
    max_body_bytes: int = Field(1 << 20, ge=1 << 12, le=1 << 26, description="largest request body, in bytes")
    # About a second of full load on a slow disk; above it plugins keep their heartbeats and send them again.
    queue_bytes: int = Field(1 << 26, ge=1 << 20, le=1 << 32, description="bytes that may wait for the log before 503")
    # People share addresses and have several editors: what is too many, the operator knows.
    limit_per_key: int = Field(0, ge=0, le=1_000_000, description="requests a minute for each key; 0: no limit")
    # As above.
    limit_per_address: int = Field(0, ge=0, le=1_000_000, description="requests a minute for each address; 0: no limit")
    # Flush and compaction need room for one more copy of what they write.
    min_free: int = Field(1 << 28, ge=0, description="free bytes on disk below which ingest answers 503")
    # One day is the interval between most people's backups.
    log_keep: float = Field(86_400, ge=0, description="seconds that counted records stay in the log")
    # A Parquet file of about 10 MB: large enough to read fast, small enough to write in a second.
    flush_rows: int = Field(500_000, ge=1, description="heartbeats in the tail that start a flush")
    # The tail is durable already: no hurry.
    flush_interval: float = Field(600, gt=0, description="seconds after which the tail is flushed")
    # Reading one user's rows from eight files costs milliseconds, from hundreds it would not.
    compact_files: int = Field(8, ge=2, description="small files of a closed day that start its compaction")
    # About 300 bytes each: some 300 MB at most, and room for every user who is active at the same time.
    cache_rows: int = Field(1_000_000, ge=1_000, description="segments and heartbeats kept in the aggregator's memory")
    # Every line costs time and tells where people were; a proxy in front has its own.
    access_log: bool = Field(False, description="log one line for each request")
    # A forged header must not name another address.
    trusted_proxies: str = Field("", description="addresses whose X-Forwarded-For counts, comma-separated")

    # Brokers of one's own network have neither.
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to Kafka: `SSL` for TLS, `SASL_` for a password"
    )
    # What most managed brokers take.
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how Kafka checks the password"
    )
    # Named with the password.
    kafka_username: str | None = Field(None, description="user of Kafka")
    # No default is safe.
    kafka_password: SecretStr | None = Field(None, description="password of Kafka's user")
    # The machine's own list of authorities.
    kafka_cafile: Path | None = Field(None, description="file of the authority that signed Kafka's certificates")
    # Brokers that want no certificate from clients.
    kafka_certfile: Path | None = Field(None, description="file of the client's certificate for Kafka")
    # As above.
    kafka_keyfile: Path | None = Field(None, description="file of the client's key for Kafka")
    # Unnamed, an aggregator's shards go to others as soon as it stops.
    instance: str | None = Field(
        None,
        pattern="[A-Za-z0-9._-]{1,100}",
        description="name of this aggregator in Kafka's group; if it is back within 30 s, it goes on with its shards",
    )
    # The other services have a port of their own already.
    metrics_port: int = Field(0, ge=0, le=65_535, description="port of `heartline aggregate` for `/metrics`; 0: none")

    @field_validator("data")
    @classmethod
    def _check_data(cls, folder: Path) -> Path:
        _without_question_mark(str(folder))
        return folder

    @field_validator("log_url")
    @classmethod
    def _check_log_url(cls, url: str) -> str:
        if _KAFKA_URL.fullmatch(url):
            return url
        return _sqlite_url(url, "must be sqlite:///PATH or kafka://HOST:PORT[,HOST:PORT]/TOPIC")

    @field_validator("stats_url")
    @classmethod
    def _check_stats_url(cls, url: str) -> str:
        if url.startswith("postgresql://"):
            return url
        return _sqlite_url(url, "must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")

    @field_validator("lake_url")
    @classmethod
    def _check_lake_url(cls, url: str) -> str:
        if "://" in url and not _S3_URL.fullmatch(url):
            raise ValueError("must be a folder or s3://BUCKET/PREFIX")
        return url

    @property
    def log_path(self) -> Path | None:
        """The embedded log's file; None where it is Kafka."""
        return _path_of(self.log_url)

    @property
    def stats_path(self) -> Path | None:
        """The embedded stats database's file; None where it is PostgreSQL."""
        return _path_of(self.stats_url)

    @property
    def lake_path(self) -> Path | None:
        """The lake's folder; None: it is not on this machine."""
        return None if "://" in self.lake_url else Path(self.lake_url)

    def shown(self) -> dict[str, str]:
        """Give every setting as text, by the environment variable's name, secrets masked."""
        return {variable(name): _text(getattr(self, name)) for name in type(self).model_fields}

    def environment(self) -> dict[str, str]:
        """Give the variables that make another process read the same settings, secrets included."""
        values = {variable(name): _plain(getattr(self, name)) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if value}


def variable(name: str) -> str:
    """Name the environment variable of a setting."""
    return PREFIX + name.upper()


def read_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the environment; `flags` that are not None win over it. Raises `SettingsError`."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_explain(problem, given) for problem in error.errors() if problem["type"] != _FOLLOWS)
        ) from None


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Give one warning for each HEARTLINE_* variable that no setting reads, naming the closest one."""
    known = [variable(name) for name in Settings.model_fields]
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    return [_suggest(name, known) for name in unknown]


def _path_of(url: str) -> Path | None:
    path = url.removeprefix("sqlite:///")
    return None if path == url else Path(path)


def _sqlite_url(url: str, otherwise: str) -> str:
    if not url.startswith("sqlite:///") or not url.removeprefix("sqlite:///"):
        raise ValueError(otherwise)
    return _without_question_mark(url)


def _without_question_mark(path: str) -> str:
    if "?" in path:
        raise ValueError('must have no "?": in an address it ends the path')
    return path


def _suggest(name: str, known: list[str]) -> str:
    closest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return f"{name} is no setting and is ignored: did you mean {closest}?"


def _explain(problem: Mapping[str, Any], flags: Mapping[str, Any]) -> str:
    # Any: pydantic describes errors of all types this way.
    name = str(problem["loc"][0])
    shown = f"--{name.replace('_', '-')}" if name in flags else variable(name)
    wrong = "" if name == "stats_api_key" else f" is {_masked(str(problem['input']))[:100]!r}:"
    return f"{shown}{wrong} {problem['msg'].removeprefix('Value error, ')}"


def _text(value: object) -> str:
    return "(set, not shown)" if isinstance(value, SecretStr) else _masked(_plain(value))


def _masked(text: str) -> str:
    """Hide the password of an address, wherever it may stand in one."""
    return _PASSWORD_PARAMETER.sub(r"\1***", _PASSWORD_BEFORE_HOST.sub(r"\1***", text))


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
