"""What all parts of the Kafka log share: the topic's address, a user's shard, and how records look in Kafka.

A shard is a partition. Heartline's offsets begin at 1, since a watermark of 0 means that nothing is counted; Kafka's
begin at 0. So `offset` here is always Kafka's plus 1, and the watermark is the Kafka offset to read next.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from aiokafka.helpers import create_ssl_context

from schemas.record import FORMAT_VERSION, Kind, Record, StoredRecord
from storage.errors import StorageError

_URL: Final = re.compile(r"kafka://(?P<servers>[^/?#]+)/(?P<name>[A-Za-z0-9._-]{1,249})")
_HEADER: Final = "heartline"  # value: kind, format version; one byte each
_USER_ID: Final = re.compile(rb"[0-9]{1,19}")
_MAX_USER_ID: Final = (1 << 63) - 1

Headers = Sequence[tuple[str, bytes]]


class KafkaSecurity(msgspec.Struct, frozen=True):
    """How to reach brokers that want TLS (`SSL`), a password (`SASL_PLAINTEXT`) or both (`SASL_SSL`)."""

    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = None
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None

    def __repr__(self) -> str:
        return f"KafkaSecurity({self.protocol})"  # never the password

    def options(self) -> dict[str, Any]:  # a library's keyword arguments
        """Give the arguments of aiokafka's clients. Raises `StorageError` when a certificate cannot be read."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol in ("SSL", "SASL_SSL"):
            try:
                options["ssl_context"] = create_ssl_context(
                    cafile=self.cafile, certfile=self.certfile, keyfile=self.keyfile
                )
            except OSError as error:
                raise StorageError(f"Kafka's certificates cannot be used: {error}.") from error
        if self.protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


class KafkaTopic(msgspec.Struct, frozen=True):
    """Where the log is: a topic, and brokers to ask for it."""

    servers: tuple[str, ...]
    name: str
    security: KafkaSecurity = KafkaSecurity()

    @classmethod
    def parse(cls, url: str, security: KafkaSecurity | None = None) -> Self:
        """Read `kafka://host:port[,host:port]/topic`. Raises `StorageError`."""
        match = _URL.fullmatch(url)
        if match is None:
            raise StorageError(f"{url!r} is no Kafka address: it looks like kafka://host:9092[,host:9092]/topic.")
        return cls(tuple(match["servers"].split(",")), match["name"], security or KafkaSecurity())

    @property
    def url(self) -> str:
        """Give the address as `parse` reads it."""
        return f"kafka://{','.join(self.servers)}/{self.name}"

    def options(self) -> dict[str, Any]:  # a library's keyword arguments
        """Give the arguments that all of aiokafka's clients take."""
        return {"bootstrap_servers": list(self.servers), "client_id": "heartline", **self.security.options()}


def shard_of(user_id: int, shards: int) -> int:
    """Give the shard of a user's records, of `shards` in all: the remainder, which SQL computes as well.

    User ids are given out one by one, so shards get equally many users.
    """
    return user_id % shards


def key_of(record: Record) -> bytes:
    """Give the key: the user id as text, as Kafka's own tools show it."""
    return b"%d" % record.user_id


def headers_of(record: Record) -> list[tuple[str, bytes]]:
    """Give the headers: what is needed to read the value."""
    return [(_HEADER, bytes((record.kind, record.version)))]


def stored_record(offset: int, key: bytes | None, value: bytes | None, headers: Headers) -> StoredRecord:
    """Read a record back; `offset` is Kafka's.

    What Heartline did not write becomes a heartbeat record of user 0: it cannot be decoded, and is set aside with its
    bytes as a dead letter.
    """
    kind, version, user_id = int(Kind.HEARTBEATS), FORMAT_VERSION, 0
    facts = next((fact for name, fact in headers if name == _HEADER), None) or b""  # a header may have no value
    if len(facts) == 2 and key is not None and _USER_ID.fullmatch(key) and int(key) <= _MAX_USER_ID:
        kind, version, user_id = facts[0], facts[1], int(key)
    return StoredRecord(offset + 1, user_id, kind, version, value or b"")
