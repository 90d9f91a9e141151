"""What can go wrong with the places where data rests."""

from typing import Final

_GONE: Final = ("IOError: Path does not exist", "AWS Error NO_SUCH_KEY", "AWS Error RESOURCE_NOT_FOUND")


class StorageError(Exception):
    """Something about a log, database or lake; its text says what to do."""


class UnavailableError(StorageError):
    """The place cannot take or give data now. Nothing was acknowledged; trying again is right (HTTP 503)."""


class VanishedError(UnavailableError):
    """Lake files that the database lists are missing, however often the list is read again."""


class LockedError(StorageError):
    """Another process owns this place."""


class BusyError(LockedError):
    """A command owns this place for the moment: waiting is right."""


class StandstillError(StorageError):
    """A shard cannot go on, and trying again would not mend it; the text says what would."""


class GapError(StandstillError):
    """Records that were never read are gone from the log: those with offsets `first` to `last`."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(
            f"Records {first} to {last} of the log are gone and were never counted. Put a log back that has them, or "
            "go on without them: `heartline log accept-gap`."
        )
        self.first = first
        self.last = last


class LossError(StandstillError):
    """Heartbeats that counting must look at lie in a lake file that is gone or damaged."""

    BEGINS: Final = "The heartbeats around a late one cannot be read"

    def __init__(self, error: StorageError) -> None:
        super().__init__(
            f"{self.BEGINS}: {error} Put the file back from a backup, or give up the "
            "heartbeats in it: `heartline rebuild --accept-loss`."
        )


class StoppedError(StorageError):
    """Told to stop in the midst of work that can begin again later."""


class FencedError(StorageError):
    """Another owner has taken the shard: drop what is held and stop."""


def is_gone(error: BaseException) -> bool:
    """Tell whether an error of pyarrow's, or of another library's that passes its text on, says that a file is gone.

    An object that is deleted between the requests of one reading has no class of its own.
    """
    return isinstance(error, FileNotFoundError) or any(words in str(error) for words in _GONE)
