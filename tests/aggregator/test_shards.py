"""Following shards: whatever goes wrong with one, it is tried again for as long as it is ours."""

import logging
import threading
from contextlib import contextmanager

import pytest

from aggregator import shards
from storage.errors import FencedError, UnavailableError


class OneReader:
    """A group that has one shard for this process, and the shard's reader; what they do is not asked for here."""

    name = "log"
    shard = 5
    revoked = False
    closed = 0

    def readers(self, known, timeout_s):
        threading.Event().wait(min(timeout_s, 0.01) if known else 0)
        return [self]

    def report(self, shard, watermark):
        pass

    def close(self):
        self.closed += 1
        raise UnavailableError("The brokers are away.")


class RunsUntilStopped:
    watermark = 7

    def run(self, stop):
        stop.wait()


@pytest.mark.parametrize("error", [UnavailableError("away"), FencedError("another's"), RuntimeError("a defect")])
def test_a_shard_that_cannot_be_taken_is_tried_again(monkeypatch, caplog, error):
    monkeypatch.setattr(shards, "_RETRY_S", (0.01,))
    group, stop, taken, attempts = OneReader(), threading.Event(), threading.Event(), []

    @contextmanager
    def open_shard(reader, number):
        attempts.append(number)
        if len(attempts) < 3:
            raise error
        taken.set()
        yield RunsUntilStopped()

    following = threading.Thread(target=shards.follow, args=(group, open_shard, stop))
    with caplog.at_level(logging.WARNING):
        following.start()
        assert taken.wait(30)
        stop.set()
        following.join(30)
    assert not following.is_alive()
    assert (attempts, group.closed) == ([1, 1, 1], 1)
    assert [str(error) in record.getMessage() for record in caplog.records] == [True, True]
