"""What can go wrong with the places where data rests."""


class StorageError(Exception):
    """Something about a log, database or lake; its text says what to do."""


class UnavailableError(StorageError):
    """The place cannot take or give data now. Nothing was acknowledged; trying again is right (HTTP 503)."""


class LockedError(StorageError):
    """Another process owns this place."""


class FencedError(StorageError):
    """Another owner has taken the shard: drop what is held and stop."""
