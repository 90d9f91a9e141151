import string

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.tables import api_keys, metadata, tombstones, users
from storage.directory import Directory, DirectoryError, KeyCache, NewUser, remove_user, set_zone
from storage.errors import UnavailableError
from storage.stats import Database


@pytest.fixture
def database(stats_url):
    with Database(stats_url) as opened:
        yield opened


@pytest.fixture
def directory(database):
    return Directory(database, clock_us=lambda: 1_700_000_000_000_000)


def test_a_new_key_is_a_lower_case_uuid4_and_finds_its_owner(directory):
    user, key = directory.add(NewUser(username="ada"))
    parts = key.split("-")
    assert [len(part) for part in parts] == [8, 4, 4, 4, 12]
    assert set(key) <= set(string.hexdigits.lower() + "-")
    assert parts[2][0] == "4"
    assert parts[3][0] in "89ab"
    assert directory.by_key(key) == user == directory.by_id(user.user_id)


def test_keys_are_stored_as_hashes_alone(directory, database, tmp_path):
    _, key = directory.add(NewUser(username="ada"))
    _, given_key = directory.add(NewUser(username="bob", api_key="a-key-of-an-older-installation"))
    with database.reading() as connection:
        rows = [connection.execute(sa.select(table)).all() for table in metadata.sorted_tables]
    database.close()
    stored = repr(rows).encode() + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ada" in stored
    assert key.encode() not in stored
    assert given_key.encode() not in stored


def test_a_given_key_is_kept_as_it_is(directory):
    _, key = directory.add(NewUser(username="ada", api_key="Old_Key"))
    assert key == "Old_Key"
    assert directory.by_key("Old_Key").username == "ada"
    assert directory.by_key("old_key") is None


def test_the_hint_of_a_short_key_does_not_give_it_away(directory):
    directory.add(NewUser(username="ada", api_key="secret"))
    directory.add(NewUser(username="bob"))
    hints = [key.hint for key in directory.all_keys()]
    assert [len(hint) for hint in hints] == [1, 8]


def test_users_are_found_by_exactly_what_they_are_called(directory):
    user, _ = directory.add(NewUser(username="Ada", email="ada@example.org", slack_uid="U123", timezone="Asia/Kolkata"))
    assert (
        directory.by_username("Ada") == directory.by_email("ada@example.org") == directory.by_slack_uid("U123") == user
    )
    assert directory.by_username("ada") is None
    assert directory.by_email("Ada@example.org") is None
    assert directory.by_slack_uid("u123") is None
    assert directory.by_id(2**70) is None
    assert user.timezone == "Asia/Kolkata"


def test_defaults_are_utc_blue_and_public(directory):
    user, _ = directory.add(NewUser(username="ada"))
    assert (user.timezone, user.trust_level, user.trust_value, user.public_stats) == ("UTC", "blue", 0, True)
    assert user.created_at_us == 1_700_000_000_000_000


@pytest.mark.parametrize(("level", "value"), [("blue", 0), ("red", 1), ("green", 2), ("yellow", 3)])
def test_a_trust_level_brings_its_value_unless_one_is_given(directory, level, value):
    assert directory.add(NewUser(username="a", trust_level=level))[0].trust_value == value
    assert directory.add(NewUser(username="b", trust_level=level, trust_value=9))[0].trust_value == 9
    assert directory.update(2, trust_level=level).trust_value == value


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"username": ""}, "username"),
        ({"username": " "}, "username"),
        ({"username": "a/b"}, "username"),
        ({"username": "a\nb"}, "username"),
        ({"username": "x" * 256}, "username"),
        ({"username": "\ud800"}, "username"),
        ({"username": "current"}, "username"),
        ({"username": "My"}, "username"),
        ({"username": ".."}, "username"),
        ({"username": "ada", "user_id": 0}, "user_id"),
        ({"username": "ada", "user_id": 2**53}, "user_id"),
        ({"username": "ada", "email": "nobody"}, "email"),
        ({"username": "ada", "email": "a b@c"}, "email"),
        ({"username": "ada", "email": "a@" + "b" * 254}, "email"),
        ({"username": "ada", "slack_uid": ""}, "slack_uid"),
        ({"username": "ada", "slack_uid": "a/b"}, "slack_uid"),
        ({"username": "ada", "timezone": "Mars/Olympus"}, "timezone"),
        ({"username": "ada", "timezone": "../../etc/passwd"}, "timezone"),
        ({"username": "ada", "timezone": ""}, "timezone"),
        ({"username": "ada", "api_key": ""}, "api_key"),
        ({"username": "ada", "api_key": "with blank"}, "api_key"),
        ({"username": "ada", "api_key": "ü"}, "api_key"),
        ({"username": "ada", "api_key": "k" * 256}, "api_key"),
        ({"username": "ada", "trust_level": "purple"}, "trust_level"),
        ({"username": "ada", "trust_value": 2**63}, "trust_value"),
    ],
)
def test_a_field_out_of_bounds_is_refused_by_name(directory, fields, named):
    with pytest.raises(DirectoryError, match=named):
        directory.add(NewUser(**fields))
    assert directory.all() == []


@pytest.mark.parametrize("name", ["ada", "x" * 255, "Ada Lovelace", "日本語", "a@b", "42", "o'brien; DROP TABLE users"])
def test_a_printable_name_is_taken(directory, name):
    directory.add(NewUser(username=name))
    assert directory.by_username(name).username == name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"username": "ada"}, "username 'ada' is taken"),
        ({"email": "ada@example.org"}, "email 'ada@example.org' is taken"),
        ({"slack_uid": "U1"}, "slack_uid 'U1' is taken"),
        ({"user_id": 5}, "user_id 5 is taken"),
        ({"api_key": "the-key"}, "api_key is taken"),
    ],
)
def test_what_is_taken_is_refused_and_named(directory, fields, message):
    directory.add(NewUser(username="ada", email="ada@example.org", slack_uid="U1", user_id=5, api_key="the-key"))
    with pytest.raises(DirectoryError, match=message):
        directory.add(NewUser(**({"username": "bob"} | fields)))
    assert len(directory.all()) == 1


@pytest.mark.parametrize("name", ["username", "email", "slack_uid", "user_id", "api_key"])
def test_a_repeat_within_an_import_is_refused(directory, name):
    repeated = {"username": "z", "email": "z@z.org", "slack_uid": "Z", "user_id": 3, "api_key": "zz"}[name]
    new = [NewUser(**({"username": f"u{number}"} | {name: repeated})) for number in range(2)]
    with pytest.raises(DirectoryError, match=f"{name}.* given twice"):
        directory.import_users(new)
    assert directory.all() == []


def test_an_import_is_all_or_nothing(directory):
    directory.add(NewUser(username="ada"))
    before = directory.version()
    with pytest.raises(DirectoryError, match="username 'ada' is taken"):
        directory.import_users([NewUser(username="bob"), NewUser(username="ada")])
    assert [user.username for user in directory.all()] == ["ada"]
    assert directory.version() == before


def test_a_large_import_keeps_order_ids_and_keys(directory):
    new = [NewUser(username=f"u{n}", user_id=10_000 - n, api_key=f"key-{n}") for n in range(2_000)]
    added = directory.import_users(new)
    assert [(user.user_id, user.username, key) for user, key in added] == [
        (10_000 - n, f"u{n}", f"key-{n}") for n in range(2_000)
    ]
    assert directory.by_key("key-1999").user_id == 8_001
    with pytest.raises(DirectoryError, match="user_id 8001 is taken"):
        directory.add(NewUser(username="late", user_id=8_001))


def test_the_next_id_is_above_every_id_of_the_same_import(directory):
    added = directory.import_users([NewUser(username="a"), NewUser(username="b", user_id=7), NewUser(username="c")])
    assert [user.user_id for user, _ in added] == [8, 7, 9]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.one_of(st.none(), st.integers(1, 20), st.just("remove")), max_size=15))
def test_no_id_is_ever_given_twice(databases, tmp_path_factory, steps):
    with Database(databases.new(tmp_path_factory.mktemp("ids"))) as database:
        directory = Directory(database)
        ever = []
        for number, step in enumerate(steps):
            if step == "remove":
                if living := directory.all():
                    with database.writing() as connection:
                        remove_user(connection, living[-1].user_id, 1)
                continue
            new = NewUser(username=f"u{number}", user_id=step)
            if step in ever:
                with pytest.raises(DirectoryError, match=f"user_id {step}"):
                    directory.add(new)
            else:
                given_id = directory.add(new)[0].user_id
                assert given_id == (step or max(ever, default=0) + 1)
                ever.append(given_id)


def test_a_removed_user_leaves_a_tombstone_and_no_key(directory, database):
    user, key = directory.add(NewUser(username="ada"))
    for _ in range(2):  # a command is repeated after a crash
        with database.writing() as connection:
            remove_user(connection, user.user_id, 42)
    assert directory.by_key(key) is None
    assert directory.by_id(user.user_id) is None
    with database.reading() as connection:
        assert connection.execute(sa.select(tombstones.c.user_id, tombstones.c.removed_at_us)).all() == [(1, 42)]
        assert connection.scalar(sa.select(sa.func.count()).select_from(api_keys)) == 0
    with pytest.raises(DirectoryError, match="user_id 1 belonged to a removed user"):
        directory.add(NewUser(username="eve", user_id=1))


def test_an_update_changes_what_it_names_and_nothing_else(directory):
    user, _ = directory.add(NewUser(username="ada", email="a@b.c", slack_uid="U1"))
    changed = directory.update(user.user_id, email=None, public_stats=False, trust_level="green", trust_value=7)
    assert changed == directory.by_id(user.user_id)
    assert (changed.email, changed.public_stats, changed.trust_level, changed.trust_value) == (None, False, "green", 7)
    assert (changed.username, changed.slack_uid, changed.timezone) == ("ada", "U1", "UTC")


def test_an_update_may_repeat_what_is_there_and_takes_nothing_from_others(directory):
    ada, _ = directory.add(NewUser(username="ada", email="a@b.c"))
    bob, _ = directory.add(NewUser(username="bob"))
    assert directory.update(ada.user_id, username="ada").username == "ada"
    with pytest.raises(DirectoryError, match=r"email 'a@b\.c' is taken"):
        directory.update(bob.user_id, email="a@b.c")
    with pytest.raises(DirectoryError, match="no user with id 99"):
        directory.update(99, username="carl")
    with pytest.raises(DirectoryError, match="timezone cannot be changed here"):
        directory.update(ada.user_id, timezone="UTC")
    with pytest.raises(DirectoryError, match="username cannot be left out"):
        directory.update(ada.user_id, username=None)
    assert [user.username for user in directory.all()] == ["ada", "bob"]


def test_a_zone_switches_in_the_transaction_that_it_is_given(directory, database):
    user, _ = directory.add(NewUser(username="ada"))

    def switch_and_fail():
        with database.writing() as connection:
            set_zone(connection, user.user_id, "Asia/Kolkata", 5)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        switch_and_fail()
    assert directory.by_id(user.user_id).timezone == "UTC"
    with database.writing() as connection:
        set_zone(connection, user.user_id, "Asia/Kolkata", 5)
    changed = directory.by_id(user.user_id)
    assert (changed.timezone, changed.modified_at_us) == ("Asia/Kolkata", 5)


def test_keys_are_added_and_revoked_one_by_one(directory):
    user, first = directory.add(NewUser(username="ada"))
    second = directory.add_key(user.user_id)
    third = directory.add_key(user.user_id, "third-key")
    directory.revoke_key(user.user_id, first)
    assert [directory.by_key(key) for key in (first, second, third)] == [None, user, user]
    directory.revoke_key(user.user_id, second[:8])
    assert directory.by_key(second) is None
    with pytest.raises(DirectoryError, match="no such key"):
        directory.revoke_key(user.user_id, first)
    with pytest.raises(DirectoryError, match="no user with id 9"):
        directory.add_key(9)
    with pytest.raises(DirectoryError, match="api_key is taken"):
        directory.add_key(user.user_id, "third-key")


def test_a_hint_that_names_two_keys_revokes_none(directory):
    user, _ = directory.add(NewUser(username="ada"))
    keys = [directory.add_key(user.user_id, f"same-begin-{n}-of-a-long-enough-key") for n in range(2)]
    with pytest.raises(DirectoryError, match="Several keys"):
        directory.revoke_key(user.user_id, "same-beg")
    assert [directory.by_key(key) for key in keys] == [user, user]


def test_nobody_revokes_the_key_of_another(directory):
    ada, key = directory.add(NewUser(username="ada"))
    bob, _ = directory.add(NewUser(username="bob"))
    with pytest.raises(DirectoryError, match="no such key"):
        directory.revoke_key(bob.user_id, key)
    assert directory.by_key(key) == ada


def test_every_change_raises_the_version_by_one(directory, database):
    versions = [directory.version()]

    def note():
        versions.append(directory.version())

    user, key = directory.add(NewUser(username="ada"))
    note()
    directory.import_users([NewUser(username="b"), NewUser(username="c")])
    note()
    directory.update(user.user_id, username="eve")
    note()
    directory.add_key(user.user_id)
    note()
    directory.revoke_key(user.user_id, key)
    note()
    with database.writing() as connection:
        set_zone(connection, user.user_id, "Asia/Tokyo", 1)
    note()
    with database.writing() as connection:
        remove_user(connection, user.user_id, 1)
    note()
    directory.all()
    directory.import_users([])
    note()
    assert versions == [0, 1, 2, 3, 4, 5, 6, 7, 7]


def test_a_cached_owner_is_asked_for_once_until_the_directory_changes(directory, database):
    user, key = directory.add(NewUser(username="ada"))
    cache = KeyCache(directory)
    statements = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert [cache.owner(key) for _ in range(5)] == [user] * 5
    assert [cache.owner("unknown") for _ in range(5)] == [None] * 5
    assert len([text for text in statements if "api_keys" in text]) == 2
    directory.revoke_key(user.user_id, key)
    taken = directory.add_key(user.user_id, "unknown")
    assert cache.owner(key) == user
    cache.refresh()
    assert cache.owner(key) is None
    assert cache.owner(taken) == user


def test_guessed_keys_do_not_push_real_ones_out(directory, database):
    user, key = directory.add(NewUser(username="ada"))
    cache = KeyCache(directory, max_owners=2, max_strangers=3)
    cache.owner(key)
    for number in range(100):
        assert cache.owner(f"guess-{number}") is None
    assert len(cache._strangers) == 3
    with database.writing() as connection:
        connection.execute(sa.delete(users))  # behind the directory's back: the cache alone can still know
    assert cache.owner(key) == user


def test_impossible_keys_have_no_owner(directory):
    cache = KeyCache(directory)
    assert cache.owner("") is None
    assert cache.owner("x" * 256) is None
    assert cache.owner("\udcff") is None
    assert cache._strangers.keys() == {k for k in cache._strangers if len(k) == 32}
    assert len(cache._strangers) == 1


def test_a_database_that_cannot_answer_is_unavailable_and_remembers_nothing(directory, databases, stats_url):
    user, key = directory.add(NewUser(username="ada"))
    cache = KeyCache(directory)
    databases.cut_off(stats_url)
    with pytest.raises(UnavailableError):
        cache.owner(key)
    databases.let_in(stats_url)
    assert cache.owner(key) == user
