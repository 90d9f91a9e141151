"""A total in all of WakaTime's forms; the status bar needs it without anything else. Pure."""

from query_api import wording
from query_api.models import FullGrandTotal


def full_total(seconds: int, text: str) -> FullGrandTotal:
    """Write a total in all forms; hours, minutes and decimal are cut to the minute."""
    hours, minutes = divmod(seconds // 60, 60)
    return FullGrandTotal(
        decimal=wording.decimal_hours(seconds // 60 * 60),
        digital=wording.digital_minutes(seconds),
        hours=hours,
        minutes=minutes,
        text=text,
        total_seconds=float(seconds),
    )
