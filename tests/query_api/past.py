"""A random past of a user, for tests that compare answers with the oracle."""

import random

import msgspec

from tests.query_api.world import SECOND, beat

EDITORS = ("vscode", "vim", "PyCharm", None)
SYSTEMS = ("linux", "macos", "wsl", None)


def random_past(seed, start_us, count=200):
    """Shuffled heartbeats over some days, with equal instants, gaps around the cap, nulls and empty names."""
    rng = random.Random(seed)
    at, made = start_us, []
    while len(made) < count:
        gap = rng.choice([0, 0.25, 1, 30, 59.5, 119.999999, 120, 120.000001, 121, 5000, 40_000])
        at += round(gap * SECOND)
        made.append(
            beat(
                at,
                project=rng.choice(["alpha", "beta", "alpha/beta", "", None]),
                language=rng.choice(["Python", "python", "Rust", "", None]),
                editor=rng.choice(EDITORS),
                operating_system=rng.choice(SYSTEMS),
                machine=rng.choice(["desk", "lap", None]),
                branch=rng.choice(["main", "fix", None]),
            )
        )
    rng.shuffle(made)
    return made


def seen(heartbeats):
    """Heartbeats of the log as the oracle takes them."""
    return [msgspec.to_builtins(heartbeat) for heartbeat in heartbeats]
