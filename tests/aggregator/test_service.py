import shutil
from random import Random

import pytest

from aggregator import counter
from aggregator.verify import verify
from schemas.record import heartbeat_records
from storage.directory import Directory, NewUser
from storage.errors import StorageError
from storage.log.sqlite import SqliteLogReader, append_now
from tests.aggregator.running import Running
from tests.stored import NOON, S, beat


def test_a_log_older_than_the_stats_is_refused_before_anything_is_lost(tmp_path, stats_url):
    running = Running(tmp_path, stats_url)
    running.log.close()
    shutil.copy(running.path, tmp_path / "backup")
    append_now(running.path, heartbeat_records(1, [beat(NOON)]))
    running.log = SqliteLogReader(running.path)
    running.start().run_until(1)
    running.aggregator.close()
    running.log.close()
    for file in tmp_path.glob("log.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup", running.path)
    running.log = SqliteLogReader(running.path)
    with pytest.raises(StorageError, match="older than the stats database"):
        running.start()
    running.close()


def test_verify_agrees_about_projects_and_languages_that_are_placeholders_or_blank(tmp_path, stats_url):
    running = Running(tmp_path, stats_url)
    sent = [
        beat(NOON, project="<<LAST_PROJECT>>", language="Python", branch="main"),
        beat(NOON + S, project="p", language=" ", branch="<<LAST_LANGUAGE>>"),
        beat(NOON + 2 * S, project=" ", language="Go", branch="b"),
        beat(NOON + 3 * S, project="p", language="Go", branch="b"),
    ]
    offset = append_now(running.path, heartbeat_records(1, sent))
    running.start().run_until(offset)
    assert list(verify(running.database, running.lake)) == []
    running.close()


def test_a_period_with_more_groups_than_memory_is_to_hold_is_counted_exactly(tmp_path, stats_url, monkeypatch):
    monkeypatch.setattr(counter, "_ROWS_PER_USER", 20)
    running, random = Running(tmp_path, stats_url), Random(1)
    user, _ = Directory(running.database).add(NewUser(username="ann", timezone="Asia/Kolkata"))
    sent = [
        beat(NOON + random.randrange(4 * 86_400) * S // 10, project=f"p{random.randrange(40)}", language="Go")
        for _ in range(400)
    ]
    sent += random.choices(sent, k=50)
    aggregator = running.start()
    for start in range(0, len(sent), 9):
        aggregator.run_until(running.append(*sent[start : start + 9], user_id=user.user_id))
        held = aggregator._counter._users[user.user_id].spans.values()
        assert max((len(span.groups) for span in held), default=0) <= 20
    assert list(verify(running.database, running.lake)) == []
    assert aggregator.flush_now() == 400
    running.close()
