"""Mutants of counting, storage and answers."""

from tests.mutations.mutant import PROPERTY, Mutant

COUNTING = (
    Mutant(
        "no duplicate check among earlier heartbeats",
        "aggregator/window.py",
        "return place, place < len(entries) and entries[place][:2] == (time_us, heartbeat_id)",
        "return place, place > len(entries)",
        (PROPERTY,),
    ),
    Mutant(
        "no duplicate check within a request",
        "aggregator/counter.py",
        "        run = [h for n, h in enumerate(ordered) if n == 0 or _order(h) != _order(ordered[n - 1])]",
        "        run = list(ordered)",
        (PROPERTY,),
    ),
    Mutant(
        "the order of arrival instead of that of time",
        "aggregator/counter.py",
        "        ordered = sorted(heartbeats, key=_order)",
        "        ordered = list(heartbeats)",
        (PROPERTY,),
    ),
    Mutant(
        "a late heartbeat at the end of what is in memory finds no neighbour",
        "aggregator/window.py",
        "if time_us - CAP_US >= self._complete_from_us",
        "if time_us >= self._complete_from_us",
        (PROPERTY,),
    ),
    Mutant(
        "neighbours across a UTC midnight are not seen",
        "aggregator/window.py",
        "return range((time_us - CAP_US) // DAY_US, (time_us + CAP_US) // DAY_US + 1)",
        "return range(time_us // DAY_US, time_us // DAY_US + 1)",
        (PROPERTY,),
    ),
    Mutant(
        "a day's gap belongs to the later heartbeat's project",
        "aggregator/followed.py",
        "            gaps[project] = gaps.get(project, 0) + stretch_us\n            stretch_us, project",
        "            gaps[keys[_PROJECT]] = gaps.get(keys[_PROJECT], 0) + stretch_us\n            stretch_us, project",
        (PROPERTY,),
    ),
    Mutant(
        "a late heartbeat leaves the gap that it divides to the project before",
        "aggregator/followed.py",
        "min(time_us - before_us, CAP_US) - closed_us",
        "min(time_us - before_us, CAP_US)",
        (PROPERTY,),
    ),
    Mutant(
        "a late heartbeat's gap crosses local midnight",
        "aggregator/followed.py",
        "if place < len(entries) and entries[place][0] < day.end_us else None",
        "if place < len(entries) else None",
        (PROPERTY,),
    ),
    Mutant(
        "the watermark moves in a transaction of its own",
        "aggregator/batch.py",
        "        with self._shard.writing(records[done - 1].offset) as connection:\n            save_groups",
        "        with self._shard.writing(records[done - 1].offset):\n            pass\n"
        "        with self._shard.writing() as connection:\n            save_groups",
        ("tests/aggregator/test_batch.py",),
    ),
    Mutant(
        "segments are written in a transaction of their own, before the watermark",
        "aggregator/batch.py",
        "            save_last_values(connection, changes.last_values)",
        "            save_last_values(connection, changes.last_values)\n"
        "        with self._shard.writing(records[done - 1].offset) as connection:",
        ("tests/aggregator/test_batch.py",),
    ),
    Mutant(
        "what memory holds is kept after a failed commit",
        "aggregator/batch.py",
        "        except _BAD_DATA as error:\n            self._counter.forget()\n            if len",
        "        except _BAD_DATA as error:\n            if len",
        ("tests/aggregator/test_batch.py",),
    ),
    Mutant(
        "a removed user's heartbeats count again",
        "aggregator/batch.py",
        "        if self._is_removed(user_id):",
        "        if user_id in {None}:",
        ("tests/aggregator/test_batch.py", "tests/aggregator/test_service.py", "tests/aggregator/test_compact.py"),
    ),
    Mutant(
        "the counting goes on in the old zone",
        "aggregator/commands.py",
        '{"days": len({row[2] for row in rows})})\n        self._counter.forget(user_id)',
        '{"days": len({row[2] for row in rows})})',
        (PROPERTY,),
    ),
    Mutant(
        "the old zone's days stay after a change",
        "aggregator/commands.py",
        "in {local_calendar(old), calendar} - {UTC_DAYS}:",
        "in {calendar} - {UTC_DAYS}:",
        (PROPERTY,),
    ),
    Mutant(
        "a rebuild lets the first heartbeat count",
        "aggregator/recompute.py",
        "{CAP_US})) FILTER (WHERE gap_us IS NOT NULL), 0)",
        "{CAP_US})), 0)",
        ("tests/aggregator/test_recompute.py",),
    ),
)

PLACES = (
    Mutant(
        "tail rows stay after a flush",
        "aggregator/flush.py",
        "deleted = connection.execute(sa.delete(tail).where(*_within(flush))).rowcount\n"
        "        if deleted != flush.records:",
        "deleted = connection.execute(sa.delete(tail).where(tail.c.offset == flush.first_offset)).rowcount\n"
        "        if deleted < 1:",
        ("tests/aggregator/test_flush.py",),
    ),
    Mutant(
        "today's files are compacted under the feet of the flush",
        "aggregator/compact.py",
        "lake_files.c.date < today)",
        "lake_files.c.date <= today)",
        ("tests/aggregator/test_compact.py",),
    ),
    Mutant(
        "compacted files' successors beside their originals",
        "aggregator/compact.py",
        "        catalog.publish(connection, shard, [compaction.merged.path])\n"
        "        catalog.retire(connection, [file.path for file in compaction.old])",
        "        catalog.publish(connection, shard, [compaction.merged.path])",
        ("tests/aggregator/test_compact.py",),
    ),
    Mutant(
        "an owner that was replaced goes on writing",
        "storage/stats/shard.py",
        "                    tables.shards.c.epoch == self.epoch,\n",
        "",
        ("tests/storage/test_shard.py",),
    ),
    Mutant(
        "the log deletes what is not counted yet",
        "storage/log/sqlite.py",
        '\'WHERE "offset" <= ? AND appended_at_us < ? ORDER BY "offset" LIMIT ?)\'',
        "'WHERE 0 <= ? AND appended_at_us < ? ORDER BY \"offset\" LIMIT ?)'",
        ("tests/storage/test_log.py",),
    ),
    Mutant(
        "a user sees others' heartbeats in the lake",
        "storage/lake/reading.py",
        '(pl.col("user_id") == user_id) & ',
        "",
        ("tests/storage/test_history.py",),
    ),
    Mutant(
        "a user sees others' heartbeats in the tail",
        "storage/history.py",
        "            tail.c.user_id == user_id, tail.c.max_us >= from_us, tail.c.min_us < to_us",
        "            tail.c.max_us >= from_us, tail.c.min_us < to_us",
        ("tests/storage/test_history.py",),
    ),
    Mutant(
        "the end of a window of heartbeats is inclusive",
        "storage/history.py",
        "for h in unpack_lines(value) if from_us <= h.time_us < to_us]",
        "for h in unpack_lines(value) if from_us <= h.time_us <= to_us]",
        ("tests/storage/test_history.py",),
    ),
    Mutant(
        "the end of a range is inclusive where segments answer",
        "storage/stats/reader.py",
        "        if cut.from_us <= row.segment.first_us and row.segment.last_us < cut.to_us:",
        "        if cut.from_us <= row.segment.first_us and row.segment.last_us <= cut.to_us:",
        ("tests/query_api/test_ranges.py", "tests/query_api/test_stats.py"),
    ),
    Mutant(
        "a month counts although the range begins in it",
        "storage/stats/reader.py",
        "        if day == month.day and following <= last_day:",
        "        if following <= last_day:",
        ("tests/query_api/test_ranges.py", "tests/query_api/test_stats.py"),
    ),
)

ANSWERS = (
    Mutant(
        "the end of stats is inclusive",
        "query_api/parameters.py",
        "    return Span(start_us, end_us)",
        "    return Span(start_us, end_us + 1_000_000)",
        ("tests/query_api/test_stats.py",),
    ),
    Mutant(
        "lists of stats ignore the limit",
        "query_api/report.py",
        "shares.languages[:limit], shares.projects[:limit]",
        "shares.languages, shares.projects",
        ("tests/query_api/test_stats.py",),
    ),
    Mutant(
        "more than a hundred heartbeats are listed",
        "query_api/parameters.py",
        "    return min(int(text), MAX_LISTED)",
        "    return int(text)",
        ("tests/query_api/test_heartbeats.py",),
    ),
    Mutant(
        "a boundary-aware total ignores the heartbeat before",
        "query_api/measuring.py",
        "    lead_us = 0 if before_us is None else",
        "    lead_us = 0 if True else",
        ("tests/query_api/test_stats_filters.py",),
    ),
    Mutant(
        "the end of a boundary-aware total is exclusive",
        "query_api/measuring.py",
        "Span(span.from_us, span.to_us + 1), selection)",
        "Span(span.from_us, span.to_us), selection)",
        ("tests/query_api/test_stats_filters.py",),
    ),
    Mutant(
        "unique seconds cap long gaps",
        "query_api/measuring.py",
        "gaps.filter(gaps <= CAP_US).sum()",
        "gaps.clip(upper_bound=CAP_US).sum() or 0",
        ("tests/query_api/test_stats_filters.py",),
    ),
    Mutant(
        "groups that interleave are joined as if they did not",
        "query_api/selection.py",
        "if any(later.first_us < earlier.last_us for",
        "if any(later.first_us < earlier.first_us for",
        ("tests/query_api/test_selection.py",),
    ),
    Mutant(
        "categories left out are compared in their own case",
        "query_api/selection.py",
        "category.lower() not in self.without",
        "category not in self.without",
        ("tests/query_api/test_selection.py", "tests/query_api/test_stats_filters.py"),
    ),
    Mutant(
        "private stats are shown to anyone",
        "query_api/stats.py",
        "    if not user.public_stats and (known is None",
        "    if user.public_stats is None and (known is None",
        ("tests/query_api/test_stats.py",),
    ),
    Mutant(
        "a span ends at a gap of exactly the cap",
        "query_api/spans.py",
        "        elif time_us - last_us > CAP_US:",
        "        elif time_us - last_us >= CAP_US:",
        ("tests/query_api/test_spans.py",),
    ),
    Mutant(
        "test entries are most recent",
        "query_api/heartbeats.py",
        "            return heartbeat.source_type != _TEST_ENTRY",
        "            return True",
        ("tests/query_api/test_most_recent.py",),
    ),
    Mutant(
        "a summary's gap belongs to the later project",
        "query_api/local_days.py",
        "    key = Dimension.FOLLOWED, before.project",
        "    key = Dimension.FOLLOWED, h.project",
        ("tests/query_api/test_summaries.py",),
    ),
)

MUTANTS = (*COUNTING, *PLACES, *ANSWERS)
