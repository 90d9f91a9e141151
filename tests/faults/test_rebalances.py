"""Aggregators join, leave, are killed and frozen while heartbeats flow: shards move, each heartbeat counts once."""

import re
import signal
import time
from collections import Counter

import pytest

from tests.faults import checks
from tests.faults.load import Team
from tests.faults.site import BUSY, SHARDS, Site
from tests.faults.test_kill import draw
from tests.server import eventually

__all__ = ["draw"]  # a fixture is found by its name here

USERS = SHARDS  # neighbours in their ids: one in each shard
MOST_MEMBERS = 4
ROUND = 20
MOVED_WITHIN_S = 300  # a frozen member may hold a row, which PostgreSQL takes from it after 30 s; and a busy machine
EACH_KIND = ("join", "freeze", "wake", "kill", "join", "freeze", "wake", "leave")
FENCED = ("has another owner now", "was given to another aggregator")
TAKEN_OR_LOST = re.compile(rf"Shard (\d+) of log \w+ (is ours|{'|'.join(FENCED)})")


@pytest.fixture
def site(tmp_path, kafka_broker, postgres):
    url = postgres.new_url(empty=True)
    with Site(tmp_path, kafka_broker, url, **BUSY) as running:
        running.begin(ingests=2, aggregators=2)
        yield running
    postgres.drop(url)


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_in_8_changes_of_members(site, draw):
    change_members(site, draw, EACH_KIND)


@pytest.mark.soak
def test_nothing_is_lost_or_doubled_in_200_changes_of_members(site, draw):
    change_members(site, draw, [None] * 200)


def change_members(site, draw, kinds):
    """Change them as `kinds` say (None: any); after each, what was acknowledged shows within a minute or so.

    The checks are naive and their cost grows with the heartbeats: so there are new users every `ROUND` changes.
    """
    members, acknowledged = Members(site, draw), 0
    for start in range(0, len(kinds), ROUND):
        accounts = site.accounts(USERS)
        with Team(accounts, draw.random(), pause_s=0.3) as team:
            for kind in kinds[start : start + ROUND]:
                members.change(kind)
                checks.every_acknowledged_heartbeat_is_listed_once(team, draw.choice(accounts), within_s=MOVED_WITHIN_S)
            members.wake_all()
            site.everything_adds_up(team)
            acknowledged += team.count()
    changes = ", ".join(f"{kind} {count}" for kind, count in sorted(members.counts.items()))
    print(f"{members.counts.total()} changes: {changes}; {acknowledged} heartbeats acknowledged, 0 lost, 0 double")
    assert members.counts.total() >= len(kinds)


def shards_of(member):
    """The shards that an aggregator has, by what it said last of each."""
    last = {int(shard): what for shard, what in TAKEN_OR_LOST.findall(member.output())}
    return {shard for shard, what in last.items() if what == "is ours"}


class Members:
    """The aggregators of a site. A change counts once the database tells that shards have moved."""

    def __init__(self, site, draw):
        self.counts = Counter()
        self._site = site
        self._draw = draw
        self._awake = site.of_role("aggregate")
        self._frozen = []

    def change(self, kind=None):
        kind = kind or self._draw.choice(self._possible())
        before = self._site.epochs()
        getattr(self, f"_{kind}")()
        assert eventually(lambda: self._site.epochs() != before, True, MOVED_WITHIN_S), f"no shard moved: {kind}"
        self.counts[kind] += 1
        print(f"{time.strftime('%H:%M:%S')} change {self.counts.total()}: {kind}", flush=True)

    def wake_all(self):
        while self._frozen:
            self.change("wake")

    def _possible(self):
        joins = ["join"] * (len(self._awake) + len(self._frozen) < MOST_MEMBERS)
        goes = ["leave", "kill", "freeze"] * (len(self._awake) > 1)
        return joins + goes + ["wake"] * len(self._frozen)

    def _join(self):
        self._awake.append(self._site.start_aggregator())

    def _leave(self):
        leaver = self._take()
        self._site.services.remove(leaver)
        assert leaver.end() == 0, leaver.output()[-4_000:]

    def _kill(self):
        victim = self._take()
        self._site.services.remove(victim)
        victim.end(signal.SIGKILL)

    def _freeze(self):
        """Freeze one that has shards: with none it could do no harm."""
        member = self._take()
        assert eventually(lambda: bool(shards_of(member)), True, MOVED_WITHIN_S), "a member without a shard"
        member.process.send_signal(signal.SIGSTOP)
        epochs = self._site.epochs()
        self._frozen.append((member, {shard: epochs[shard] for shard in shards_of(member)}))

    def _wake(self):
        """Let one go on where it was, with shards that have other owners by now: it must be stopped by the fence."""
        zombie, held = self._frozen.pop()
        assert eventually(lambda: self._are_taken(held), True, MOVED_WITHIN_S), "nobody takes a frozen one's shards"
        already = len(zombie.output())
        zombie.process.send_signal(signal.SIGCONT)
        fenced = eventually(lambda: any(text in zombie.output()[already:] for text in FENCED), True, MOVED_WITHIN_S)
        assert fenced, f"nothing has stopped {zombie.log.stem}\n{self._site.where_all_wait()}"
        self._awake.append(zombie)

    def _are_taken(self, held):
        epochs = self._site.epochs()
        return all(epochs[shard] != epoch for shard, epoch in held.items())

    def _take(self):
        return self._awake.pop(self._draw.randrange(len(self._awake)))
