"""A day of work with what makes days hard, and how sent heartbeats look to the oracle."""

import random

FIELDS = {
    "id",
    "user_id",
    "entity",
    "type",
    "category",
    "time",
    "project",
    "project_root_count",
    "branch",
    "language",
    "dependencies",
    "lines",
    "line_additions",
    "line_deletions",
    "lineno",
    "cursorpos",
    "is_write",
    "editor",
    "operating_system",
    "machine",
    "user_agent",
    "source_type",
    "ip_address",
    "fields_hash",
    "created_at",
    "updated_at",
    "deleted_at",
    "ai_model",
    "ai_session",
    "ai_subscription_plan",
    "ai_input_tokens",
    "ai_output_tokens",
    "ai_prompt_length",
    "ai_line_changes",
    "human_line_changes",
}
"""Every field of a heartbeat in an answer (semantics.md, section 2)."""


def beat(time, **fields):
    """A heartbeat as a plugin sends it."""
    return {"entity": "/work/app", "type": "file", "time": time, **fields}


def seen(answers):
    """Heartbeats as the oracle takes them, from those that the API answered."""
    return [h | {"time_us": round(h["time"] * 1_000_000)} for h in answers]


def mixed(seed, start_s, span_s, count=60):
    """Shuffled heartbeats of several projects and languages, with equal instants, caps and repeats among them."""
    rng = random.Random(seed)
    sent, at = [], start_s
    while len(sent) < count:
        at += rng.choice([0, 0.5, 1, 30, 59.25, 119.999999, 120, 120.000001, 121, span_s / count])
        project = rng.choice(["alpha", "beta", "Beta", "", None])
        language = rng.choice(["Python", "Rust", "python", None])
        category = rng.choice(["coding", "coding", "browsing", "debugging"])
        sent.append(
            beat(round(at, 6), entity="notes", type="app", project=project, language=language, category=category)
        )
    sent += rng.sample(sent, 10)
    rng.shuffle(sent)
    return sent
