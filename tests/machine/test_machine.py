"""The whole pipeline over HTTP against the oracle, whatever is sent, killed, restarted and commanded in between.

The model is the list of heartbeats that were acknowledged to each user (`tests.machine.model`); what every route must
answer is computed from it by the oracle (`tests.machine.questions`).
"""

import os
import time
from typing import ClassVar

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests import oracle
from tests.machine import model
from tests.machine.asking import PLAIN, ZONES, askings
from tests.machine.pipeline import BUSY, Pipeline
from tests.machine.questions import EVER_US, check
from tests.server import HACKATIME, Server
from tests.today import midnight_s

SECOND_US = 1_000_000
GAPS_US = (30_000_000, 0, 1, 250_000, 59_500_000, 119_999_999, 120_000_000, 120_000_001, 400_000_000, 3_600_000_000)
DAYS_AGO = (0, 1, 2, 6, 7, 8, 29, 31, 364, 366, 3640, 3700)
INSTANTS_S = (
    1_000_000_000,  # the first that is accepted
    1_999_990_000,  # near the last
    1_325_239_200,  # Samoa skips 2011-12-30
    1_320_546_600,  # clocks go back over midnight in St John's: 2011-11-06
    1_762_050_600,  # a day of 25 hours there begins
    1_758_974_400,  # a day of 23 hours begins in Auckland
    1_712_415_600,  # clocks go back by half an hour on Lord Howe
)
MAX_PEOPLE = 3
EXAMPLES = {"embedded": 10, "distributed": 2}
"""In `make test`; commands and restarts take longer on Kafka."""


@st.composite
def batches(draw):
    """Where a batch begins, the gaps in it, and each heartbeat's kind; most are plain, so that they meet."""
    size = draw(st.sampled_from([1, 2, 3, 5, 12, 25]))
    place = draw(
        st.one_of(
            st.tuples(st.just("days ago"), st.sampled_from(DAYS_AGO)),
            st.tuples(st.just("midnight"), st.sampled_from(DAYS_AGO)),
            st.tuples(st.just("instant"), st.sampled_from(INSTANTS_S)),
            st.tuples(st.just("to come"), st.sampled_from([3600, 86_400, 400 * 86_400])),
        )
    )
    gaps = draw(st.lists(st.sampled_from(GAPS_US), min_size=size, max_size=size))
    plain = st.sampled_from([0, 5, 10])
    kinds = draw(st.lists(st.one_of(plain, st.integers(0, model.KINDS - 1)), min_size=size, max_size=size))
    bad = draw(st.sampled_from([None, None, None, *range(len(model.BAD_ITEMS))]))
    return place, list(zip(gaps, kinds, strict=True)), bad, draw(st.sampled_from(["in order", "backwards", "by kind"]))


class Person:
    """A user of the machine: the account, and what was acknowledged to it."""

    def __init__(self, account):
        self.account = account
        self.stored = model.Stored(account.user_id)
        self.requests = []
        self.accepted_us = 0, 0  # the first request was sent after, the last one was answered before

    @property
    def heartbeats(self):
        return self.stored.heartbeats

    @property
    def user(self):
        return {name: getattr(self.account, name) for name in ("user_id", "username", "trust_level", "trust_value")}


class Machine(RuleBasedStateMachine):
    """Every rule ends with questions to one person; all people are asked at the end of the example.

    hypothesis holds the rule whose name comes first for the simplest.
    """

    pipeline: ClassVar[Pipeline]
    disturbances: ClassVar[int]

    def __init__(self):
        super().__init__()
        self.people = []
        self.disturbed = 0
        self.is_sound = True  # False while a rule is under way: what fails there must not fail again at the end

    def count(self, what, number=1):
        self.pipeline.counts[what] += number

    @initialize(
        zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
        first=st.tuples(batches(), batches()),
        asked=askings(),
    )
    def begin(self, zones, first, asked):
        for zone, batch in zip(zones, first, strict=True):
            person = self._add(zone)
            self._deliver(person, (self._beats(person, batch, "bulk"), "bulk", "desk"))
        self._ask(0, asked)

    @rule(
        who=st.integers(0, MAX_PEOPLE),
        batch=batches(),
        form=st.sampled_from(["bulk", "bulk", "single", "array", "envelope"]),
        machine=st.sampled_from(model.MACHINES),
        asked=askings(),
    )
    def a_batch_is_sent(self, who, batch, form, machine, asked):
        person = self._person(who)
        request = self._beats(person, batch, form), form, machine
        self._deliver(person, request)
        self._ask(who, asked)

    @rule(who=st.integers(0, MAX_PEOPLE), batch=batches(), number=st.integers(0, 50), asked=askings())
    def a_late_batch_is_sent(self, who, batch, number, asked):
        """Among what is there already."""
        person = self._person(who)
        self._deliver(person, (self._beats(person, (("between", number), *batch[1:]), "bulk"), "bulk", None))
        self._ask(who, asked)

    @precondition(lambda self: any(person.requests for person in self.people))
    @rule(
        who=st.integers(0, MAX_PEOPLE),
        number=st.integers(0, 50),
        machine=st.sampled_from(["same", "desk"]),
        asked=askings(),
    )
    def a_batch_is_sent_again(self, who, number, machine, asked):
        person = self._person(who)
        if person.requests:
            beats, form, before = person.requests[number % len(person.requests)]
            self._deliver(person, (beats, form, before if machine == "same" else machine))
        self._ask(who, asked)

    @rule(who=st.integers(0, MAX_PEOPLE), days=st.integers(1, 40), asked=askings())
    def days_are_coded(self, who, days, asked):
        """A quarter of an hour and more on each of some days in a row, up to now."""
        person = self._person(who)
        now_s = int(time.time())
        for day in range(0, days, 1 + days // 8):
            start_us = (now_s - day * 86_400 - 1_300) * SECOND_US
            beats = [model.Beat(start_us + 100 * SECOND_US * n, 0) for n in range(12)]
            self._deliver(person, (beats, "bulk", None))
        self._ask(who, asked)

    @rule(who=st.integers(0, MAX_PEOPLE), zone=st.one_of(st.none(), st.sampled_from(ZONES)), asked=askings())
    def somebody_changes(self, who, zone, asked):
        """Another zone, or another name."""
        account = self._person(who).account
        if zone is None:
            self.count("renamed")
            old, account.username = account.username, f"renamed-{self.pipeline.counts['renamed']}"
            self.pipeline.command("users", "set", old, "--username", account.username)
        else:
            self.count("zones")
            self.pipeline.command("users", "set", account.username, "--timezone", zone)
            account.timezone = zone
        self.pipeline.is_known(account)
        self._ask(who, asked)

    @rule(who=st.integers(0, MAX_PEOPLE), zone=st.sampled_from(ZONES), asked=askings())
    def somebody_joins_or_leaves(self, who, zone, asked):
        """One rule for both: hypothesis leaves some rules out of an example, and two that alternate would fill it."""
        if len(self.people) < MAX_PEOPLE:
            self._add(zone)
            self.count("joined")
            self._ask(len(self.people) - 1, asked)
            return
        person = self._person(who)
        self.people.remove(person)
        self.pipeline.remove(person.account)
        self.count("removed")
        self._ask(who, asked)

    @rule(
        who=st.integers(0, MAX_PEOPLE),
        what=st.sampled_from(["flush", "compact", "rebuild", "rebuild all", "rebuild days", "verify"]),
        asked=askings(),
    )
    def upkeep_goes_on(self, who, what, asked):
        named = [self._person(who).account.username] if what in {"rebuild", "rebuild days", "verify"} else []
        days = ["--from", "2011-12-29", "--to", "2026-11-30"] if what == "rebuild days" else []
        self.pipeline.command(what.split()[0], *named, *days)
        self.count(what)
        self._ask(who, asked)

    @precondition(lambda self: self.disturbed < self.disturbances)
    @rule(
        who=st.integers(0, MAX_PEOPLE),
        what=st.sampled_from(["aggregator", "front", "query", "everything", "restart", "in the act", "offline"]),
        batch=batches(),
        after_s=st.sampled_from([0, 0.002, 0.01, 0.05]),
        command=st.sampled_from(["flush", "compact", "rebuild"]),
        asked=askings(),
    )
    def trouble_comes(self, who, what, batch, after_s, command, asked):
        self.disturbed += 1
        person = self._person(who)
        if what == "everything":
            self.pipeline.kill_everything()
        elif what == "restart":
            self.pipeline.restart()
        elif what == "offline":
            self.pipeline.offline(command)
        elif what == "in the act":
            beats = self._beats(person, batch, "bulk")
            self.pipeline.kill_while(lambda: self._deliver(person, (beats, "bulk", "desk")), after_s)
        else:
            self.pipeline.kill_one(what)
        self.count(f"disturbed: {what}")
        self._ask(who, asked)

    def teardown(self):
        """All people, everything, and everybody's time; then they are erased, so that examples stay apart.

        Also where that fails: else the example, lived through again to be reported, would fail for another reason.
        """
        try:
            if self.is_sound:
                self._ask_everything()
        finally:
            self.pipeline.heal()
            for person in self.people:
                self.pipeline.remove(person.account)

    def _ask_everything(self):
        self.count("examples")
        for number, person in enumerate(self.people):
            self._ask(number, PLAIN)
            self.pipeline.command("verify", person.account.username)
        total_us = sum(oracle.total_us(oracle.accepted(person.heartbeats)) for person in self.people)
        assert self.pipeline.everybodys_seconds() == oracle.seconds(total_us)
        if self.pipeline.counts["examples"] % 20 == 0:
            tell(self.pipeline)  # an hour's run shows that it goes on

    def _person(self, who):
        return self.people[who % len(self.people)]

    def _add(self, zone):
        account = self.pipeline.new_account()
        if zone != "UTC":
            self.pipeline.command("users", "set", account.username, "--timezone", zone)
            account.timezone = zone
            self.pipeline.is_known(account)
        self.people.append(Person(account))
        return self.people[-1]

    def _beats(self, person, batch, form):
        (kind_of_place, value), parts, bad, order = batch
        time_us = self._start_us(person, kind_of_place, value)
        beats = []
        for gap_us, kind in parts:
            beats.append(model.Beat(min(time_us, EVER_US[1] - SECOND_US), kind))
            time_us += gap_us
        if order != "in order":
            beats.sort(key=lambda beat: -beat.time_us if order == "backwards" else beat.kind)
        if form == "single":
            return beats[:1]
        if bad is not None:
            beats.insert(len(beats) // 2, model.Beat(0, -1 - bad))
        return beats[:1] if form == "array" else beats

    def _start_us(self, person, place, value):
        if place == "between":
            known = sorted(h["time_us"] for h in person.heartbeats) or [1_700_000_000 * SECOND_US]
            return max(known[value % len(known)] - 20 * SECOND_US, EVER_US[0])
        if place == "midnight":
            return (midnight_s(person.account.timezone) - value * 86_400 - 60) * SECOND_US
        if place == "days ago":
            return (int(time.time()) - value * 86_400 - 600) * SECOND_US
        return (value if place == "instant" else int(time.time()) + value) * SECOND_US

    def _deliver(self, person, request):
        beats, form, machine = request
        is_single = form in {"single", "array"}
        path = f"{HACKATIME}/users/current/heartbeats{'' if is_single else '.bulk'}"
        sent_us = person.accepted_us[0] or _now_us()
        answer = self.pipeline.post(person.account, path, model.body(beats, form), model.headers(machine))
        person.accepted_us = sent_us, _now_us()
        if is_single and beats[0].kind < 0:
            assert answer.status_code == 422, answer.text
            return
        assert answer.status_code == (202 if is_single else 201), answer.text
        pairs = [(answer.json(), 201)] if is_single else answer.json()["responses"]
        assert [status for _, status in pairs] == [400 if beat.kind < 0 else 201 for beat in beats]
        expected = person.stored.take(beats, machine, [item for item, _ in pairs])
        for (item, _), row in zip(pairs, expected, strict=True):
            if row is not None:
                shown = {n: v for n, v in item.items() if n not in {"created_at", "updated_at"}}
                assert shown == {n: v for n, v in row.items() if n != "time_us"}
        person.requests.append(request)
        self.count("requests")
        self.count("heartbeats sent", len(beats))

    def _ask(self, who, asked):
        self.is_sound = False
        self.count("steps")
        self.pipeline.settle()
        self.count("comparisons", check(self._person(who), asked, self.pipeline.get))
        self.is_sound = True


def _now_us():
    return time.time_ns() // 1_000_000 * 1000  # answers tell milliseconds


def run(pipeline, disturbances, seed_number=None, **how):
    """Live through examples; print what was done."""

    class Bound(Machine):
        pass

    Bound.pipeline, Bound.disturbances = pipeline, disturbances
    chosen = Bound if seed_number is None else seed(seed_number)(Bound)
    try:
        run_state_machine_as_test(chosen, settings=settings(**how))
    finally:
        tell(pipeline)


def tell(pipeline):
    print(", ".join(f"{what}: {number}" for what, number in sorted(pipeline.counts.items())), flush=True)


@pytest.fixture
def pipeline(tmp_path, places):
    with Server(tmp_path, **BUSY, **places.new()) as server:
        yield Pipeline(server, commands_wait=places.commands_wait)


@pytest.mark.distributed
@pytest.mark.timeout(900)
def test_every_answer_equals_the_oracle_whatever_comes_in_between(pipeline, places):
    # The same examples each time: what fails here fails again. The soak draws new ones.
    how = {"derandomize": True, "database": None, "phases": [Phase.generate]}
    run(pipeline, disturbances=1, max_examples=EXAMPLES[places.name], stateful_step_count=10, **how)


@pytest.mark.soak
def test_every_answer_equals_the_oracle_for_hours(pipeline):
    number = int(os.environ.get("HEARTLINE_MACHINE_SEED") or time.time_ns() % 1_000_000)
    examples = int(os.environ.get("HEARTLINE_MACHINE_EXAMPLES") or 400)
    print(f"seed: HEARTLINE_MACHINE_SEED={number} HEARTLINE_MACHINE_EXAMPLES={examples}")
    run(pipeline, disturbances=4, seed_number=number, max_examples=examples, stateful_step_count=40)
