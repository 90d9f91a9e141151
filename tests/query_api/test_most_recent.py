import pytest

from tests.query_api.world import DAY, NOON, SECOND, beat

PATH = "/api/v1/my/heartbeats/most_recent"


def newest(world, key, **parameters):
    answered = world.get(PATH, key, params=parameters)
    assert answered.status_code == 200, answered.text
    shown = answered.json()
    assert shown["has_heartbeat"] == (shown["heartbeat"] is not None)
    return shown["heartbeat"] and shown["heartbeat"]["id"]


def test_test_entries_are_shown_when_asked_for_by_their_exact_name(world, ada):
    user, key = ada
    real, test = beat(NOON - 10 * SECOND), beat(NOON - 20 * SECOND, source_type="test_entry")
    world.send(user, real, test, beat(NOON - 30 * SECOND, source_type="test_entry"))
    assert newest(world, key) == newest(world, key, source_type="direct_entry") == real.id
    assert newest(world, key, source_type="") == newest(world, key, editor="") == real.id
    assert newest(world, key, source_type="test_entry") == test.id
    for other in ("TEST_ENTRY", "test", "wakapi_import", "nonsense"):
        assert newest(world, key, source_type=other) is None


def test_a_test_entry_that_is_newer_is_passed_over(world, ada):
    user, key = ada
    real = beat(NOON - 10 * SECOND)
    world.send(user, real, beat(NOON - 5 * SECOND, source_type="test_entry"))
    assert newest(world, key) == real.id


def test_an_editor_is_found_in_any_case_however_long_ago(world, ada):
    user, key = ada
    by_vim = beat(NOON - 400 * DAY, editor="Vim")
    older = beat(NOON - 401 * DAY, editor="vim")
    since = [beat(NOON - i * DAY, editor="vscode") for i in range(100)]
    world.send(user, older, by_vim)
    world.aggregator.flush_now()
    world.send(user, *since)
    assert newest(world, key, editor="vIM") == by_vim.id
    assert newest(world, key, editor="VSCode") == since[0].id
    for other in ("vi", "vims", "emacs", "%"):
        assert newest(world, key, editor=other) is None


def test_both_filters_hold_together(world, ada):
    user, key = ada
    wanted = beat(NOON - 60 * DAY, editor="vim", source_type="test_entry")
    world.send(user, wanted, beat(NOON - 61 * DAY, editor="vim", source_type="test_entry"))
    world.send(user, *(beat(NOON - i * DAY, editor="vim") for i in range(50)))
    world.send(user, *(beat(NOON - i * DAY, editor="zed", source_type="test_entry") for i in range(50)))
    assert newest(world, key, editor="VIM", source_type="test_entry") == wanted.id


@pytest.mark.parametrize("name", ["editor", "source_type"])
def test_a_filter_is_bounded(world, ada, name):
    assert world.get(PATH, ada[1], params={name: "x" * 400}).status_code == 422
