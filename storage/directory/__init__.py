"""The directory: who may send and read, and with which keys. Keys are kept as SHA-256 only."""

from storage.directory.cache import KeyCache
from storage.directory.directory import (
    Changes,
    Directory,
    KeyInfo,
    bump_version,
    hash_key,
    remove_user,
    set_zone,
)
from storage.directory.fields import DirectoryError, NewUser

__all__ = [
    "Changes",
    "Directory",
    "DirectoryError",
    "KeyCache",
    "KeyInfo",
    "NewUser",
    "bump_version",
    "hash_key",
    "remove_user",
    "set_zone",
]
