"""How throughput grows from one ingest to two, and from one aggregator to two, on this machine's cores.

Client, broker and database share these cores with what is measured: CPU seconds tell what a process of its own machine
would have to itself, throughput tells what is left of it here.
"""

import signal
import time
from collections.abc import Sequence
from functools import partial

from benchmarks import cases
from benchmarks.cpu import since
from benchmarks.driver import closed_loop
from benchmarks.probe import Probe, probing
from benchmarks.report import PARTS, Figures
from benchmarks.server import PARTITIONS, Apart, Servers, add_users
from tests.distributed.cluster import Service

COLUMNS = {"per_s": ("heartbeats a second", "{:,.0f}"), "p99_ms": ("p99 ms", "{:.2f}")} | {
    key: title for key, title in PARTS.items() if key in ("cpu_ingest", "cpu_aggregator", "cpu_broker", "cpu_database")
}
BACKLOG_USERS, BACKLOG_EACH = 200, 1_000
FROZEN_AT_MOST_S = 25.0  # Kafka's group would give the shards of a frozen aggregator away after 30 s


def measure(servers: Servers, seconds: float) -> Figures:
    """Measure ingests without aggregators and beside one, then aggregators without ingests."""
    steps = [partial(_ingests, servers, ingests, aggregators, seconds) for aggregators in (0, 1) for ingests in (1, 2)]
    steps += [partial(_aggregators, servers, aggregators) for aggregators in (1, 2)]
    figures: Figures = {}
    for step in steps:
        figures |= step()
        print(list(figures)[-1], flush=True)
    return figures


def _ingests(servers: Servers, ingests: int, aggregators: int, seconds: float) -> Figures:
    services = ["ingest"] * ingests + ["aggregate"] * aggregators
    with servers.apart(cases.zones(cases.USERS), services) as server:
        each = int(cases.MOST_PER_S[cases.BULK] * seconds) // cases.USERS
        senders = cases.developers(server.keys, time.time() - each * cases.STEP_S, cases.STEP_S)
        lanes = cases.lanes_of(senders, each, cases.BULK)
        before = server.cpu_s()
        outcome = closed_loop(server.ingest_ports, lanes, seconds)
        row = cases.row_of(outcome, since(before, server.cpu_s()), outcome.items)
        return {f"taken: {_count(ingests, 'ingest')}, {_count(aggregators, 'aggregator')}": row}


def _aggregators(servers: Servers, aggregators: int) -> Figures:
    """Freeze aggregators that have their shards, make a backlog, and let them go on."""
    with servers.cluster() as cluster:
        keys = add_users(cluster, cases.zones(BACKLOG_USERS))
        cluster.start("ingest")
        server = servers.view(cluster, keys)
        with probing(server.settings) as probe:
            followers = _followers(cluster, probe, aggregators)
            senders = cases.developers(keys, time.time() - BACKLOG_EACH * cases.STEP_S, cases.STEP_S)
            lanes = cases.lanes_of(senders, BACKLOG_EACH, cases.BULK)
            _signal(followers, signal.SIGSTOP)
            backlog = closed_loop(server.ingest_ports, lanes, FROZEN_AT_MOST_S)
            before, start_s = server.cpu_s(), time.perf_counter()
            _signal(followers, signal.SIGCONT)
            probe.wait_until_counted()
            elapsed_s = time.perf_counter() - start_s
        used = since(before, server.cpu_s())
    row = {f"cpu_{part}": cpu_s / backlog.items * 1000 for part, cpu_s in used.items()}
    return {f"counted: {_count(aggregators, 'aggregator')}": row | {"per_s": backlog.items / elapsed_s}}


def _followers(cluster: Apart, probe: Probe, aggregators: int) -> list[Service]:
    """Start aggregators one by one, each when the one before has its shards: whoever takes one adds 1 to its epoch."""
    started = []
    taken = 0
    for number in range(1, aggregators + 1):
        started.append(cluster.start("aggregate"))
        taken += PARTITIONS // number
        probe.wait_for("SELECT sum(epoch) FROM shards", taken)
    return started


def _signal(services: Sequence[Service], number: int) -> None:
    for service in services:
        service.process.send_signal(number)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
