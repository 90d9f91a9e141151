"""The CPU seconds that processes have used so far, from /proc."""

import contextlib
import os
import pathlib
from collections.abc import Mapping

from tests.faults.processes import processes_below

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ROLES = {'"role":"front"': "ingest", '"role":"aggregator"': "aggregator", '"role":"query"': "query"}

CpuByPart = Mapping[str, float]
"""CPU seconds by the part that used them: ingest, aggregator, query, supervisor, broker, database, s3."""


def of_tree(pid: int) -> float:
    """Return what a process and its descendants have used, those that have ended included."""
    return sum(_used_s(one) for one, _ in [(pid, ""), *processes_below(pid)])


def of_embedded(pid: int) -> CpuByPart:
    """Return what each process of a `heartline up` has used; ingest is the front, which answers status bars too."""
    used = {"supervisor": _used_s(pid)}
    for child, command in processes_below(pid):
        part = next((part for order, part in ROLES.items() if order in command), "supervisor")
        used[part] = used.get(part, 0.0) + _used_s(child)
    return used


def since(before: CpuByPart, after: CpuByPart) -> dict[str, float]:
    """Return what each part used between two looks."""
    return {part: used - before.get(part, 0.0) for part, used in after.items()}


def _used_s(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS_PER_S  # user, system, and those of children that have ended
    return 0.0
