"""Local days from single heartbeats: for zones and filters that no table answers."""

from collections.abc import Callable, Iterator

from query_api.access import Services
from query_api.local_days import measure_days, span_of_days
from query_api.one_state import in_one_state
from schemas.heartbeat import Heartbeat
from storage.stats.reader import LocalDays


def scan_days(
    services: Services, user_id: int, timezone: str, days: range, wants: Callable[[Heartbeat], bool]
) -> LocalDays:
    """Measure the heartbeats that `wants` accepts, day by day. Raises 503 without a place, or when it takes long."""

    def compute() -> LocalDays:
        return measure_days(filter(wants, _heartbeats(services, user_id, timezone, days)), timezone, days)

    return in_one_state(services, user_id, compute)


def _heartbeats(services: Services, user_id: int, timezone: str, days: range) -> Iterator[Heartbeat]:
    span = span_of_days(timezone, days)
    with services.scans.place() as scan:
        present = services.reader.days_of(user_id, span)
        for chunk in services.history.stream(user_id, span.from_us, span.to_us, present):
            scan.check()
            yield from chunk
