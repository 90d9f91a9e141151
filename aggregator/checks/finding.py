"""What a check found: one line for people, naming whose data, where, and what helps."""

import datetime as dt

import msgspec

REBUILD = "`heartline rebuild` repairs it"
RESTORE = "put back a backup of the whole data folder"


class Finding(msgspec.Struct, frozen=True):
    """Something in `table` that is not as it should be.

    `what` says it, `remedy` what helps. `user_id`, `date`: whose and of which day, where it is one's or one day's;
    `calendar` names the days that `date` is one of.
    """

    table: str
    what: str
    remedy: str
    user_id: int | None = None
    date: dt.date | None = None
    calendar: str | None = None

    def __str__(self) -> str:
        owner = None if self.user_id is None else f"user {self.user_id}"
        day = " ".join(text for text in (self.calendar, self.date and self.date.isoformat()) if text)
        return f"{', '.join(filter(None, (self.table, owner, day)))}: {self.what}; {self.remedy}."
