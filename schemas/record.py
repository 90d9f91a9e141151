"""The log record: what travels from ingest to the aggregator. One request's heartbeats make one record."""

import enum
import threading
from collections.abc import Sequence
from typing import Final

import msgspec
import zstandard

from schemas.heartbeat import Heartbeat

FORMAT_VERSION: Final = 1
"""Raised when an older aggregator could no longer read what this version writes; it then stops, and says so."""

MAX_LINES_BYTES: Final = 512 * 1024
"""NDJSON above this many bytes is split over several records, whole lines each."""


class Kind(enum.IntEnum):
    """What a record asks of the aggregator."""

    HEARTBEATS = 0
    COMMAND = 1


class Record(msgspec.Struct, frozen=True):
    """A record to append. `value` is zstd: NDJSON of `Heartbeat`, or one JSON `Command`."""

    user_id: int
    kind: Kind
    value: bytes
    version: int = FORMAT_VERSION


class StoredRecord(msgspec.Struct, frozen=True):
    """A record as read back, at its place in the log."""

    offset: int
    user_id: int
    kind: int
    version: int
    value: bytes


class SetZone(msgspec.Struct, frozen=True, tag="set_zone"):
    """Change a user's time zone, and with it all their local days."""

    user_id: int
    timezone: str


class RemoveUser(msgspec.Struct, frozen=True, tag="remove_user"):
    """Erase a user and leave a tombstone for the id."""

    user_id: int


class Rebuild(msgspec.Struct, frozen=True, tag="rebuild"):
    """Repair tail and lake, then compute stats again: of one user or of all (None), of some days or of all (None).

    Days are numbers since 1970-01-01, both included, of every calendar. `accept_loss`: lake files that are gone or
    damaged no longer count.
    """

    user_id: int | None = None
    first_day: int | None = None
    last_day: int | None = None
    accept_loss: bool = False


class Flush(msgspec.Struct, frozen=True, tag="flush"):
    """Write the tail to Parquet now."""


class Compact(msgspec.Struct, frozen=True, tag="compact"):
    """Rewrite closed days as one file each, where they are in small files."""


class CloseLog(msgspec.Struct, frozen=True, tag="close_log"):
    """Write the tail to Parquet: nothing comes after this record."""


class RetryLetter(msgspec.Struct, frozen=True, tag="retry_letter"):
    """Count a dead letter after all; where that fails again, it stays."""

    log: str
    shard: int
    offset: int


class DropLetter(msgspec.Struct, frozen=True, tag="drop_letter"):
    """Delete a dead letter: what it holds is given up."""

    log: str
    shard: int
    offset: int


Command = SetZone | RemoveUser | Rebuild | Flush | Compact | CloseLog | RetryLetter | DropLetter
"""What changes a user's past, or is asked of the shard's owner, ordered with the heartbeats (design.md)."""

_line_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(Heartbeat)
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class _Zstd(threading.local):
    """Contexts are costly to make (more than their work on one request) and belong to one thread."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


def compress(lines: bytes) -> bytes:
    """Compress NDJSON; the size is in the frame, so that readers can allocate once."""
    return _zstd.compressor.compress(lines)


def decompress(value: bytes) -> bytes:
    """Undo `compress`."""
    return _zstd.decompressor.decompress(value)


def heartbeat_records(user_id: int, heartbeats: Sequence[Heartbeat]) -> list[Record]:
    """Pack a request's heartbeats: one record, or several of whole lines above `MAX_LINES_BYTES`."""
    lines = _line_encoder.encode_lines(heartbeats)
    if len(lines) > MAX_LINES_BYTES and len(heartbeats) > 1:
        half = len(heartbeats) // 2
        return heartbeat_records(user_id, heartbeats[:half]) + heartbeat_records(user_id, heartbeats[half:])
    return [Record(user_id, Kind.HEARTBEATS, compress(lines))]


def pack_lines(heartbeats: Sequence[Heartbeat]) -> bytes:
    """Pack heartbeats as a record's value."""
    return compress(_line_encoder.encode_lines(heartbeats))


def unpack_lines(value: bytes) -> list[Heartbeat]:
    """Read a record's heartbeats. Raises `msgspec.DecodeError` or `zstandard.ZstdError` on damage."""
    return _line_decoder.decode_lines(decompress(value))


def command_record(command: Command, user_id: int = 0) -> Record:
    """Pack a command; `user_id` is the key that orders it with that user's heartbeats."""
    return Record(user_id, Kind.COMMAND, compress(msgspec.json.encode(command)))


def unpack_command(value: bytes) -> Command:
    """Read a command. Raises `msgspec.DecodeError` or `zstandard.ZstdError` on damage."""
    return _command_decoder.decode(decompress(value))
