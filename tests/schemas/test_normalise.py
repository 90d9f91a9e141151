import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.coerce import coerce
from ingest.decode import decode_bulk
from schemas.heartbeat import Wire
from schemas.normalise import MAX_INTEGER, Context, InvalidTimeError, RejectedError, normalise

T = 1_700_000_000
AGENT = "wakatime/v1.90.0 (linux-6.1) go1.26.8 vscode/1.92.0 vscode-wakatime/24.6.0"
CONTEXT = Context(created_at_us=5)


def stored(context=CONTEXT, **fields):
    return normalise(Wire(**{"time": T, **fields}), 1, context)


def test_a_heartbeat_keeps_what_was_sent_and_what_the_request_said():
    context = Context(created_at_us=5, machine="lab", user_agent="curl/8", ip_address="127.0.0.1")
    fields = {
        "entity": "/a/b.zzz",
        "type": "file",
        "category": "debugging",
        "project_root_count": 3,
        "branch": " main ",
        "language": "Zzz",
        "dependencies": ["os"],
        "lines": 9,
        "line_additions": 1,
        "line_deletions": 2,
        "lineno": 0,
        "cursorpos": 4,
        "is_write": False,
        "ai_model": "m",
        "ai_session": "s",
        "ai_subscription_plan": "p",
        "ai_input_tokens": 1,
        "ai_output_tokens": 2,
        "ai_prompt_length": 3,
        "ai_line_changes": 4,
        "human_line_changes": 5,
    }
    kept = stored(context, **fields, user_agent=AGENT)
    assert {name: getattr(kept, name) for name in fields} == fields
    assert (kept.time_us, kept.created_at_us, kept.ip_address) == (T * 10**6, 5, "127.0.0.1")
    assert (kept.machine, kept.user_agent, kept.editor, kept.operating_system) == ("lab", AGENT, "vscode", "linux")


def test_only_a_file_named_test_txt_is_a_test_entry():
    entities = ["test.txt", "/a/test.txt", "TEST.TXT", None]
    assert [stored(entity=e).source_type for e in entities] == ["test_entry"] + ["direct_entry"] * 3


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (" a\tb\x85c ", "abc"),
        ("\x00\x1f\x7f", ""),
        ("", ""),
        (None, None),
        ("a b", "a b"),
        ("ü ", "ü"),
        ("\x01 a \x02", "a"),
    ],
)
def test_projects_lose_control_characters_and_outer_blanks(sent, kept):
    assert stored(project=sent).project == kept


def test_placeholders_and_last_project_stay():
    kept = stored(project="<<LAST_PROJECT>>", language="<<LAST_LANGUAGE>>", branch="<<LAST_BRANCH>>", entity="a.py")
    assert (kept.project, kept.language, kept.branch) == ("<<LAST_PROJECT>>", "<<LAST_LANGUAGE>>", "<<LAST_BRANCH>>")


def test_a_blank_category_is_browsing_for_domains_and_urls_and_coding_else():
    for blank in (None, "", "  "):
        kinds = [stored(type=type_, category=blank).category for type_ in ("domain", "url", "file", None)]
        assert kinds == ["browsing", "browsing", "coding", "coding"]
    assert stored(type="domain", category=" x").category == " x"


def test_the_user_agent_is_the_bodys_then_the_plugin_then_the_headers():
    context = Context(created_at_us=5, user_agent="c/1")
    assert stored(context, user_agent="a/1", plugin="b/1").user_agent == "a/1"
    assert stored(context, user_agent=" ", plugin="b/1").user_agent == "b/1"
    assert stored(context).user_agent == "c/1"
    assert stored().user_agent is None


def test_editor_and_system_of_the_user_agent_win_over_the_bodys():
    assert stored(user_agent=AGENT, editor="x", operating_system="y").editor == "vscode"
    kept = stored(user_agent="free text", editor="x", operating_system="y")
    assert (kept.editor, kept.operating_system) == ("x", "y")
    assert stored(editor=" ", operating_system="").editor is None


def test_the_headers_machine_wins_over_the_bodys():
    assert stored(Context(created_at_us=5, machine="h"), machine="b").machine == "h"
    assert stored(Context(created_at_us=5, machine=""), machine="b").machine == "b"
    assert stored(machine=" ").machine is None


def test_a_bodys_model_wins_over_the_user_agents():
    agent = "wakatime/v2 (darwin-25) go1.26 opus/4-8 claude-code/2.1.202"
    assert stored(category="ai coding", user_agent=agent).ai_model == "opus/4-8"
    assert stored(category="ai coding", user_agent=agent, ai_model="mine").ai_model == "mine"


def test_what_later_versions_may_derive_otherwise_is_not_in_the_id():
    plain = stored(entity="a.py", user_agent=AGENT)
    assert plain.language == "Python"
    assert plain.id != stored(entity="a.py", user_agent=AGENT, language="Python").id
    assert plain.id == stored(Context(created_at_us=9, ip_address="::1"), entity="a.py", user_agent=AGENT).id
    assert stored(category="coding").id == stored(category=" ").id == stored().id


def test_a_header_counts_in_the_id_as_the_body_would():
    assert stored(Context(created_at_us=5, machine="m", user_agent=AGENT)).id == stored(machine="m", plugin=AGENT).id


@pytest.mark.parametrize("time", [None, 5, "soon"])
def test_a_bad_time_is_rejected_by_its_name(time):
    with pytest.raises(InvalidTimeError, match=r"^(time|write a date)") as rejected:
        stored(time=time)
    assert rejected.value.kind == "HeartbeatIngest::InvalidHeartbeatTime"


BOUNDS = {
    **dict.fromkeys(
        ("project", "language", "editor", "operating_system", "machine", "category", "branch", "type"), 512
    ),
    **dict.fromkeys(("ai_session", "ai_model", "ai_subscription_plan"), 512),
    "entity": 4096,
    "user_agent": 2048,
    "plugin": 2048,
}


@pytest.mark.parametrize(("name", "bound"), BOUNDS.items())
@pytest.mark.parametrize("character", ["x", "é", "日", "🚀"])
def test_texts_are_bounded_in_bytes(name, bound, character):
    size = len(character.encode())
    longest = character * (bound // size)
    assert stored(**{name: longest}).id
    with pytest.raises(RejectedError, match=f"{name} must be at most {bound} bytes"):
        stored(**{name: longest + character})


@pytest.mark.parametrize("name", [f.name for f in msgspec.structs.fields(Wire) if f.type == int | None])
def test_integers_are_bounded_to_64_bits(name):
    assert getattr(stored(**{name: -MAX_INTEGER - 1}), name) == -MAX_INTEGER - 1
    for beyond in (MAX_INTEGER + 1, -MAX_INTEGER - 2):
        with pytest.raises(RejectedError, match=f"{name} must fit into 64 bits"):
            stored(**{name: beyond})


def test_dependencies_are_bounded_in_number_and_length():
    assert len(stored(dependencies=["d" * 512] * 1000).dependencies) == 1000
    with pytest.raises(RejectedError, match="at most 1000"):
        stored(dependencies=["d"] * 1001)
    with pytest.raises(RejectedError, match="512 bytes"):
        stored(dependencies=["d", "d" * 513])


def test_what_the_request_adds_is_bounded_too():
    for context in (Context(created_at_us=5, machine="m" * 513), Context(created_at_us=5, user_agent="u" * 2049)):
        with pytest.raises(RejectedError, match="bytes"):
            stored(context)
    with pytest.raises(RejectedError, match="editor in the user agent must be at most 512 bytes"):
        stored(user_agent=f"wakatime/1 (linux) {'e' * 513}/1")


TEXT = (
    st.none()
    | st.sampled_from(["", " ", "Unknown", "a.py", "test.txt", AGENT, "ai coding", "domain"])
    | st.text(max_size=20)
)
INTEGER = st.none() | st.integers(-(2**63), 2**63 - 1)
TIME = st.integers(0, 2 * 10**18) | st.floats(10**9, 2 * 10**9) | st.sampled_from([str(T), "2023-11-14", "soon", None])
BY_TYPE = {str | None: TEXT, int | None: INTEGER, bool | None: st.none() | st.booleans()}
WIRES = st.builds(
    Wire,
    **{f.name: BY_TYPE[f.type] for f in msgspec.structs.fields(Wire) if f.type in BY_TYPE},
    time=TIME,
    dependencies=st.none() | st.lists(st.text(max_size=5), max_size=3),
)


def outcome(wire):
    try:
        return normalise(wire, 7, CONTEXT)
    except RejectedError as rejected:
        return str(rejected)


def without_nuls(value):
    if isinstance(value, list):
        return [without_nuls(v) for v in value]
    return value.replace("\0", "") if isinstance(value, str) else value


@given(WIRES, st.booleans())
def test_the_fast_way_and_the_slow_way_give_the_same_heartbeat(wire, nulls):
    fields = {name: without_nuls(value) for name, value in msgspec.structs.asdict(wire).items()}
    fields = {name: value for name, value in fields.items() if nulls or value is not None}
    (fast,) = decode_bulk(msgspec.json.encode([fields]))
    assert outcome(fast) == outcome(coerce(fields)) == outcome(coerce(json.loads(json.dumps(fields))))


@given(WIRES)
def test_nuls_make_no_difference(wire):
    fields = {name: value for name, value in msgspec.structs.asdict(wire).items() if value is not None}
    marked = {name: value + "\0" if isinstance(value, str) else value for name, value in fields.items()}
    (slow,) = decode_bulk(json.dumps([marked]).encode())
    clean = {name: without_nuls(value) for name, value in fields.items()}
    assert outcome(slow) == outcome(coerce(clean))
