"""Answers that need several reads, all of one state of a user's heartbeats."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from query_api.access import Services
from storage.errors import VanishedError

_SHORT_S: Final = 1.0
"""What took longer is left as it is: a snapshot held for long keeps old rows from being cleaned up."""

_T = TypeVar("_T")


def in_one_state(services: Services, user_id: int, compute: Callable[[], _T]) -> _T:
    """Give what `compute` reads, of one state of the user's heartbeats, though some are counted meanwhile.

    Each read is of one snapshot, and two may have a heartbeat between them: a total would then miss what the list
    beside it shows. It is then computed once more, from one snapshot that is held for that long.
    """
    counted = services.reader.heartbeats_of(user_id)
    began_s = time.monotonic()
    answer = compute()
    if services.reader.heartbeats_of(user_id) == counted or time.monotonic() - began_s > _SHORT_S:
        return answer
    try:
        with services.reader.one_snapshot():
            return compute()
    except VanishedError:  # compaction has deleted a file that the snapshot names
        return compute()
