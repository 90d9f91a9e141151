"""What the pipeline must know after each request: a naive reading of semantics.md, section 2, by hand-made tables.

A heartbeat is drawn as a `Beat`: its instant, and one number that stands for a choice of every field.
"""

import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import quote_plus

LAST_LANGUAGE, LAST_BRANCH, LAST_PROJECT = "<<LAST_LANGUAGE>>", "<<LAST_BRANCH>>", "<<LAST_PROJECT>>"

PROJECTS = ("alpha", "beta", "Beta", "", None, "team/site", " gamma\u0007", LAST_PROJECT)
BRANCHES = ("main", None, "fix", LAST_BRANCH)
ENTITIES = (("/work/notes", "app", None), ("/work/x.rs", "file", "Rust"), ("test.txt", "file", "Text"))
"""Entity, type, and the language by file name."""
LANGUAGES = ("Python", None, "python", "js", LAST_LANGUAGE, "Klingon", "")
CATEGORIES = ("coding", None, "browsing", "debugging", "Meeting", "ai coding", "AI Coding")
AGENTS = (
    (
        "wakatime/v1.90.0 (linux-6.18.44-fc-v595-unknown) go1.26.8 vscode/1.92.0 vscode-wakatime/24.6.0",
        "vscode",
        "linux",
    ),
    (None, "nano", "plan9"),
    ("wakatime/v1.106.1 (darwin-23.6.0-arm64) go1.23.3 Zed/0.165.4 Zed-wakatime/0.1.9", "zed", "macos"),
)
"""User agent, and the editor and system that it names; None: the body's own editor and system stay."""
MACHINES = (None, "desk", "lap top%ü")
TIMES = ("number", "text", "milliseconds", "date", "seven decimals")

_TABLES = (PROJECTS, LANGUAGES, CATEGORIES, BRANCHES, ENTITIES, AGENTS, TIMES)
KINDS = 1
for _table in _TABLES:
    KINDS *= len(_table)


class Beat(NamedTuple):
    """Something to send: `kind` below `KINDS` chooses every field, 0 the plainest; a negative one is a bad item."""

    time_us: int
    kind: int


BAD_ITEMS = ({"entity": "x"}, {"entity": "x", "time": 5}, "x", {"entity": "x", "time": "soon"})


def wire(beat):
    """The JSON of a beat."""
    if beat.kind < 0:
        return BAD_ITEMS[-beat.kind - 1]
    project, language, category, branch, (entity, type_, _), agent, time = _choices(beat.kind)
    sent = {"entity": entity, "type": type_, "time": _written(beat.time_us, time), "category": category}
    sent |= {"project": project, "branch": branch, "language": language, "lineno": _lineno(beat.kind), "is_write": True}
    sent |= {"editor": "nano", "operating_system": "plan9", "machine": "of the body", "user_agent": agent[0]}
    return {name: value for name, value in sent.items() if value is not None}


def headers(machine):
    """What a request says of its machine; the name is escaped, as wakatime-cli does."""
    return {"user_agent": ""} | ({} if machine is None else {"X_Machine_Name": quote_plus(machine)})


@dataclasses.dataclass
class Stored:
    """One user's accepted heartbeats: `rows` by what identifies them, each as the API lists it but for `created_at`."""

    user_id: int
    rows: dict = dataclasses.field(default_factory=dict)

    @property
    def heartbeats(self):
        return list(self.rows.values())

    def take(self, beats, machine, answered):
        """Follow one acknowledged request; `answered`: the object of each item. Return what they should have been."""
        lent, shown = _Lent(self._newest), _Lent(lambda *_: None)
        answers = []
        for beat, answer in zip(beats, answered, strict=True):
            if beat.kind < 0:
                answers.append(None)
                continue
            sent = self._row(beat, machine) | {"id": answer["id"], "fields_hash": f"{answer['id']:016x}"}
            answers.append(shown.resolved(sent, ENTITIES[0]))
            self._store(_as_sent(beat, sent), lent.resolved(sent, _choices(beat.kind)[4]))
        return answers

    def _store(self, key, row):
        known = self.rows.get(key)
        if known is not None:
            assert known["id"] == row["id"], "a repeat has another id"
            return
        assert all(other["id"] != row["id"] for other in self.rows.values()), "two heartbeats have one id"
        self.rows[key] = row

    def _newest(self, project, name):
        """The newest stored real value of a project; at one instant the greater text."""
        real = [(h["time_us"], h[name]) for h in self.rows.values() if h["project"] == project and _is_real(h[name])]
        return max(real)[1] if real else None

    def _row(self, beat, machine):
        project, language, category, branch, (entity, type_, by_name), (agent, editor, system), time = _choices(
            beat.kind
        )
        time_us = _instant(beat.time_us, time)
        return {
            "user_id": self.user_id,
            "time_us": time_us,
            "time": time_us / 1_000_000,
            "entity": entity,
            "type": type_,
            "category": category or "coding",
            "project": None if project is None else project.replace("\u0007", "").strip(),
            "branch": branch,
            "language": language or by_name or language,
            "lineno": _lineno(beat.kind),
            "is_write": True,
            "dependencies": [],
            "editor": editor,
            "operating_system": system,
            "machine": machine or "of the body",
            "user_agent": agent,
            "source_type": "test_entry" if entity == "test.txt" else "direct_entry",
            "ip_address": "127.0.0.1",
        } | dict.fromkeys(NEVER_SENT)


NEVER_SENT = (
    "project_root_count",
    "lines",
    "line_additions",
    "line_deletions",
    "cursorpos",
    "deleted_at",
    "ai_model",
    "ai_session",
    "ai_subscription_plan",
    "ai_input_tokens",
    "ai_output_tokens",
    "ai_prompt_length",
    "ai_line_changes",
    "human_line_changes",
)


class _Lent:
    """Placeholders of one request: the latest earlier item of the project lends, else what is stored, else nobody."""

    def __init__(self, stored):
        self._stored = stored
        self._items = []
        self._last_project = None

    def resolved(self, row, entity):
        named = self._last_project if row["project"] == LAST_PROJECT else row["project"]
        project = named if _is_real(named) else None
        row = dict(row)
        if row["language"] == LAST_LANGUAGE:
            row["language"] = self._value(project, "language") or entity[2]
        if row["branch"] == LAST_BRANCH:
            row["branch"] = self._value(project, "branch")
        if project is not None:
            self._last_project = project
            self._items.append((project, row))
        return row

    def _value(self, project, name):
        if project is None:
            return None
        for other, row in reversed(self._items):
            if other == project and _is_real(row[name]):
                return row[name]
        return self._stored(project, name)


def _is_real(value):
    return bool(value) and bool(value.strip()) and not value.startswith("<<LAST_")


def _as_sent(beat, row):
    """What tells heartbeats apart: how the time is written does not, nor does a category that is understood."""
    project, language, _, branch, entity, agent, _ = _choices(beat.kind)
    return row["time_us"], row["machine"], row["category"], row["lineno"], project, language, branch, entity, agent


def _lineno(kind):
    return kind // len(TIMES) % 3


def _choices(kind):
    chosen = []
    for table in reversed(_TABLES):
        kind, index = divmod(kind, len(table))
        chosen.append(table[index])
    return chosen[::-1]


def _seven_decimals(time_us):
    """Between two microseconds, so that it is rounded, half to even."""
    return Decimal(time_us) / 1_000_000 + Decimal("0.0000005")


def _instant(time_us, form):
    if form == "milliseconds":
        return time_us // 1000 * 1000
    return int((_seven_decimals(time_us) * 1_000_000).to_integral_value()) if form == "seven decimals" else time_us


def _written(time_us, form):
    if form == "milliseconds":
        return time_us // 1000
    if form == "text":
        return f"{Decimal(time_us) / 1_000_000}"
    if form == "date":
        seconds, rest = divmod(time_us, 1_000_000)
        return f"{_date(seconds)}.{rest:06d}Z"
    if form == "seven decimals":
        return f"{_seven_decimals(time_us)}"
    return time_us / 1_000_000 if time_us % 1_000_000 else time_us // 1_000_000


def _date(seconds):
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}"


def body(beats, form):
    """The bytes of a request, in one of the shapes that are understood."""
    items = [wire(beat) for beat in beats]
    if form == "envelope":
        return json.dumps({"hackatime": {"heartbeats": items}}).encode()
    return json.dumps(items[0] if form == "single" else items).encode()
