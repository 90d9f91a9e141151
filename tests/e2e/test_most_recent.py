"""The newest heartbeat by source type and editor, over HTTP (semantics.md, section 5)."""

from tests.e2e.history import beat

PATH = "/api/v1/my/heartbeats/most_recent"
VIM = "wakatime/13.1.0 (Linux-6.18.44-fc-v595-x86_64-with-glibc2.36) Python3.11.7.final.0 vim/9.0 vim-wakatime/7.1.0"
START_S = 1_700_000_000


def test_filters_leave_what_they_name(account):
    test, vim, newest = account.send(
        beat(START_S, entity="test.txt"), beat(START_S + 100, user_agent=VIM), beat(START_S + 300)
    )

    def shown(**params):
        heartbeat = account.get(PATH, **params).json()["heartbeat"]
        return heartbeat and heartbeat["id"]

    assert shown() == newest["id"]
    assert shown(source_type="test_entry") == test["id"]
    assert shown(editor="VIM") == shown(editor="vim", source_type="direct_entry") == vim["id"]
    assert shown(editor="vim", source_type="test_entry") is None
    assert shown(source_type="Test_Entry") is None
