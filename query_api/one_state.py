"""Answers that need several reads, all of one state of a user's heartbeats."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from query_api.access import Services

_ATTEMPTS: Final = 5
"""Reads take milliseconds and editors send every few seconds: the second attempt nearly always does."""

_PATIENCE_S: Final = 1.0
"""What has taken longer is not computed again: a scan of years, of which its reader waits for the end already."""

_T = TypeVar("_T")


def in_one_state(services: Services, user_id: int, compute: Callable[[], _T]) -> _T:
    """Give what `compute` reads, once no heartbeat of the user was counted meanwhile.

    Each read is of one snapshot, and two may have a heartbeat between them: a total would then miss what the list
    beside it shows. Where the user sends faster than all attempts, the last one is given.
    """
    give_up_s = time.monotonic() + _PATIENCE_S
    for _ in range(_ATTEMPTS - 1):
        counted = services.reader.heartbeats_of(user_id)
        answer = compute()
        if services.reader.heartbeats_of(user_id) == counted or time.monotonic() > give_up_s:
            return answer
    return compute()
