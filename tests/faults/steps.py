"""The steps on a heartbeat's way from the log to the lake, and how each of them can fail.

A step's boundary is one function of the driver, the file system or the client below our own code, so that what it
raises takes the way of a real error. A moment is right before that function, or right after it has done its work.
"""

import errno
import os
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

import aiokafka.errors
import psycopg

from storage.errors import UnavailableError

BEFORE, AFTER = "before", "after"
EXCEPTION, FULL, KILL, STOP = "exception", "ENOSPC", "SIGKILL", "SIGSTOP"
FAULTS = (EXCEPTION, FULL, KILL, STOP)


class Boundary(NamedTuple):
    """`target`: module:Class.function; `within`: functions that it must be called from to be meant.

    `error` and `full` (the disk is) make what it raises there, given its arguments.
    """

    target: str
    within: tuple[str, ...]
    error: Callable
    full: Callable
    statement: str = ""  # how the SQL begins that is meant


class Step(NamedTuple):
    name: str
    moments: tuple[str, ...]
    boundaries: tuple[Boundary, ...]  # of each place that may take the step


def _os_error(number):
    return lambda *_: OSError(number, os.strerror(number))


def _lost(dialect, *_):
    if dialect.name == "postgresql":
        return psycopg.OperationalError("server closed the connection unexpectedly")
    return sqlite3.OperationalError("disk I/O error")


def _full(dialect, *_):
    if dialect.name == "postgresql":
        return psycopg.errors.DiskFull("could not extend file: No space left on device")
    return sqlite3.OperationalError("database or disk is full")


def _commit(*within):
    return Boundary("sqlalchemy.engine.default:DefaultDialect.do_commit", (*within, "writing"), _lost, _full)


def _file(target, *within):
    return Boundary(target, within, _os_error(errno.EIO), _os_error(errno.ENOSPC))


def _object(target, *within):
    """S3 has no errors of its own for pyarrow: its words are all that differs."""
    return Boundary(
        target,
        within,
        lambda *_: OSError("AWS Error NETWORK_CONNECTION during PutObject operation: curlCode: 52"),
        lambda *_: OSError("AWS Error UNKNOWN (HTTP status 507) during PutObject operation: InsufficientStorage"),
    )


_READ = Step(
    "read",
    (BEFORE, AFTER),
    (
        Boundary(
            "aiokafka:AIOKafkaConsumer.getmany",
            ("_poll",),
            lambda *_: aiokafka.errors.KafkaConnectionError("by the test"),
            lambda *_: aiokafka.errors.KafkaStorageError("by the test"),
        ),
        Boundary(
            "storage.log.sqlite:SqliteLogReader.read",
            (),
            lambda *_: UnavailableError("The log cannot be read: disk I/O error."),
            lambda *_: UnavailableError("The log cannot be read: database or disk is full."),
        ),
    ),
)
_COUNT = Step("count", (BEFORE, AFTER), (_commit("_count_together"),))
_ANNOUNCE = Step("announce", (AFTER,), (_commit("begin_flush"),))
_WRITE = Step(
    "write",  # nothing of the file is there yet
    (BEFORE,),
    (
        _file("storage.lake.folder:FolderLake.write", "write_files"),
        _object("storage.lake.s3:S3Lake.write", "write_files"),
    ),
)
_PART = Step("part", (AFTER,), (_file("pyarrow.parquet:ParquetWriter.write_batch", "write_files"),))
_FSYNC = Step("fsync", (BEFORE,), (_file("os:fsync", "_write_synced", "write_files"),))
_RENAME = Step("rename", (BEFORE, AFTER), (_file("pathlib:Path.rename", "write_files"),))
_FSYNC_FOLDER = Step("fsync folder", (BEFORE,), (_file("storage.lake.folder:_sync_folder", "write_files"),))
_PUT = Step("PUT", (BEFORE, AFTER), (_object("storage.lake.s3:S3Lake._upload", "write_files"),))
_REGISTER = Step("register", (BEFORE, AFTER), (_commit("finish_flush"),))
_TAIL = Step(
    "tail delete",
    (BEFORE, AFTER),
    (
        Boundary(
            "sqlalchemy.engine.default:DefaultDialect.do_execute",
            ("finish_flush",),
            _lost,
            _full,
            "DELETE FROM tail",
        ),
    ),
)
_REWRITE = Step(
    "rewrite",
    (BEFORE,),
    (
        _file("storage.lake.folder:FolderLake.write", "write_compacted"),
        _object("storage.lake.s3:S3Lake.write", "write_compacted"),
    ),
)
_SWAP = Step("swap", (BEFORE, AFTER), (_commit("finish_compaction"),))
_DELETE = Step(
    "delete",
    (BEFORE, AFTER),
    (
        _file("storage.lake.folder:FolderLake.delete", "finish_compaction"),
        _object("storage.lake.s3:S3Lake.delete", "finish_compaction"),
    ),
)

_IN_SQL = (_READ, _COUNT, _ANNOUNCE, _REGISTER, _TAIL, _SWAP)
_IN_A_LAKE = (_WRITE, _PART, _REWRITE, _DELETE)
STEPS = {step.name: step for step in (*_IN_SQL, *_IN_A_LAKE, _FSYNC, _RENAME, _FSYNC_FOLDER, _PUT)}

OF_A_FOLDER = (_READ, _COUNT, _ANNOUNCE, _WRITE, _PART, _FSYNC, _RENAME, _FSYNC_FOLDER, _REGISTER, _TAIL, _REWRITE)
OF_A_FOLDER += (_SWAP, _DELETE)
OF_S3 = (_WRITE, _PART, _PUT, _REGISTER, _REWRITE, _SWAP, _DELETE)
