"""Mutants of arithmetic, days and what ingest makes of a heartbeat."""

from tests.mutations.mutant import PROPERTY, Mutant

ARITHMETIC = (
    Mutant(
        "the cap is 60 s",
        "schemas/segment.py",
        "CAP_US: Final = 120_000_000",
        "CAP_US: Final = 60_000_000",
        ("tests/schemas/test_segment.py", "tests/test_worked_examples.py"),
    ),
    Mutant(
        "the first heartbeat counts",
        "schemas/segment.py",
        "    duration = sum(",
        "    duration = CAP_US + sum(",
        ("tests/schemas/test_segment.py", "tests/test_worked_examples.py"),
    ),
    Mutant(
        "seconds are cut, not rounded",
        "schemas/segment.py",
        "return seconds + (rest > 500_000 or (rest == 500_000 and seconds % 2 == 1))",
        "return seconds",
        ("tests/schemas/test_segment.py", "tests/query_api/test_statusbar.py"),
    ),
    Mutant(
        "half a second is always rounded up",
        "schemas/segment.py",
        "(rest == 500_000 and seconds % 2 == 1)",
        "rest == 500_000",
        ("tests/schemas/test_segment.py",),
    ),
    Mutant(
        "gaps over the cap between segments are dropped",
        "schemas/segment.py",
        "    gap = min(later.first_us - earlier.last_us, CAP_US)",
        "    gap = later.first_us - earlier.last_us\n    gap = gap if gap <= CAP_US else 0",
        ("tests/schemas/test_segment.py",),
    ),
    Mutant(
        "gaps over the cap are dropped as heartbeats arrive",
        "aggregator/counter.py",
        "gap if gap < CAP_US else CAP_US  # noqa",
        "gap if gap < CAP_US else 0  # noqa",
        (PROPERTY,),
    ),
    Mutant(
        "a late heartbeat without a neighbour within the cap earns nothing before it",
        "schemas/segment.py",
        "left = CAP_US if before_us is None else",
        "left = 0 if before_us is None else",
        ("tests/schemas/test_segment.py", PROPERTY),
    ),
    Mutant(
        'null is merged with ""',
        "schemas/dimensions.py",
        "    if value is None:\n        return NULL",
        "    if not value:\n        return NULL",
        (PROPERTY,),
    ),
)

DAYS = (
    Mutant(
        "a local day starts an hour late",
        "schemas/calendars.py",
        "return int(start.timestamp()) * 1_000_000",
        "return (int(start.timestamp()) + 3600) * 1_000_000",
        ("tests/schemas/test_calendars.py",),
    ),
    Mutant(
        "where midnight comes twice, a day starts with the second",
        "schemas/calendars.py",
        "        start = early  # midnight came twice",
        "        start = late  # midnight came twice",
        ("tests/schemas/test_calendars.py",),
    ),
    Mutant(
        "a skipped midnight is not looked for",
        "schemas/calendars.py",
        "        start = _transition_between(early, late, tz)",
        "        start = late",
        ("tests/schemas/test_calendars.py",),
    ),
    Mutant(
        "the status bar shows UTC's day",
        "storage/stats/today.py",
        "            calendar = local_calendar(timezone)\n            day = self._day",
        '            calendar = "UTC"\n            day = self._day',
        ("tests/query_api/test_statusbar.py",),
    ),
    Mutant(
        "the status bar stays at yesterday",
        "storage/stats/today.py",
        "        if day is None or not day.start_us <= now_us < day.end_us:",
        "        if day is None:",
        ("tests/query_api/test_statusbar.py",),
    ),
    Mutant(
        "the last seven days are six",
        "query_api/last_7_days.py",
        "_DAYS_BACK: Final = 7",
        "_DAYS_BACK: Final = 6",
        ("tests/query_api/test_last_7_days.py",),
    ),
    Mutant(
        "exactly 900 s make no day of a streak",
        "query_api/streak.py",
        "segment.duration_us < ENOUGH_US",
        "segment.duration_us <= ENOUGH_US",
        ("tests/query_api/test_streak.py",),
    ),
    Mutant(
        "a streak ends where today does not count yet",
        "query_api/streak.py",
        "    return today - 1 - day + counts(today)",
        "    return (today - 1 - day + 1) * counts(today)",
        ("tests/query_api/test_streak.py",),
    ),
)

INGEST = (
    Mutant(
        "the first instant after the range is accepted",
        "schemas/instants.py",
        "        if MIN_TIME_US <= time_us < MAX_TIME_US:\n            return time_us\n    return None",
        "        if MIN_TIME_US <= time_us <= MAX_TIME_US:\n            return time_us\n    return None",
        ("tests/schemas/test_instants.py",),
    ),
    Mutant(
        "times are cut to the microsecond",
        "schemas/instants.py",
        "int(number.scaleb(scale, _EXACT).to_integral_value(context=_EXACT))",
        "int(number.scaleb(scale, _EXACT))",
        ("tests/schemas/test_instants.py",),
    ),
    Mutant(
        "two machines' heartbeats have one id",
        "schemas/identity.py",
        "        machine,\n        wire.operating_system,",
        "        None,\n        wire.operating_system,",
        ("tests/schemas/test_identity.py",),
    ),
    Mutant(
        "a placeholder lends itself",
        "schemas/placeholders.py",
        "return value is not None and value not in _PLACEHOLDERS and",
        "return value is not None and",
        ("tests/schemas/test_placeholders.py",),
    ),
    Mutant(
        "what is stored wins over the same request's",
        "schemas/placeholders.py",
        "return self._languages.get(project) or (self._stored(project) or _NO_VALUES).language",
        "return (self._stored(project) or _NO_VALUES).language or self._languages.get(project)",
        ("tests/schemas/test_placeholders.py",),
    ),
    Mutant(
        "an older heartbeat that comes late lends its language",
        "aggregator/counter.py",
        '(known_at_us is None or (at_us, value) > (known_at_us, known or ""))',
        "True",
        ("tests/aggregator/test_batch.py", "tests/aggregator/test_recompute.py"),
    ),
    Mutant(
        "a bad item of a bulk is a 422, which clients send again for ever",
        "ingest/reply.py",
        "(_rejection(o), 400)",
        "(_rejection(o), 422)",
        ("tests/ingest/test_app.py",),
    ),
    Mutant(
        "acknowledged before durable",
        "ingest/app.py",
        "        await self._log.append(heartbeat_records(user_id, accepted))",
        '        __import__("asyncio").ensure_future(self._log.append(heartbeat_records(user_id, accepted)))',
        ("tests/ingest/test_app.py",),
    ),
    Mutant(
        "a hundred heartbeats are too many",
        "ingest/decode.py",
        "    if len(items) > MAX_HEARTBEATS:",
        "    if len(items) >= MAX_HEARTBEATS:",
        ("tests/ingest/test_decode.py",),
    ),
    Mutant(
        "a machine's name stays escaped",
        "ingest/request.py",
        "        name = shorter",
        "        break",
        ("tests/ingest/test_request.py",),
    ),
    Mutant(
        "a revoked key goes on",
        "storage/directory/cache.py",
        "        if version != self._version:",
        "        if version < self._version:",
        ("tests/storage/test_directory.py",),
    ),
)

MUTANTS = (*ARITHMETIC, *DAYS, *INGEST)
