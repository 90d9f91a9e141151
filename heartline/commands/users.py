"""`heartline users`: who may send and read. Takes effect in running services within 2 s."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from heartline.options import with_settings
from heartline.output import print_json, waiting
from heartline.places import prepare_folders
from heartline.settings import Settings
from schemas.record import RemoveUser, SetZone
from schemas.users import User
from storage.directory import Changes, Directory, DirectoryError, NewUser
from storage.directory.fields import check_field, check_new_user
from storage.stats import Database

_Users = TypeVar("_Users")

app = typer.Typer(help="Users and their keys.", no_args_is_help=True)
keys_app = typer.Typer(help="A user's API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

Username = Annotated[str, typer.Argument(help="Username, or the user's id.")]
Email = Annotated[str | None, typer.Option(help="Email address.")]
SlackUid = Annotated[str | None, typer.Option(help="Slack user id.")]
TrustLevel = Annotated[str | None, typer.Option(help="blue, red, green or yellow.")]
TrustValue = Annotated[int | None, typer.Option(help="The number shown with the level; by default the level's own.")]
ApiKey = Annotated[str | None, typer.Option(help="A key to keep; by default a new UUID.")]


@app.command()
@with_settings()
def add(
    settings: Settings,
    username: Annotated[str, typer.Argument(help="Name of the new user.")],
    *,
    user_id: Annotated[int | None, typer.Option(help="Id to keep; by default the next one.")] = None,
    email: Email = None,
    slack_uid: SlackUid = None,
    timezone: Annotated[str, typer.Option(help="IANA time zone of the user's days.")] = "UTC",
    trust_level: TrustLevel = None,
    trust_value: TrustValue = None,
    api_key: ApiKey = None,
    private: Annotated[bool, typer.Option("--private", help="Hide the user's stats from others.")] = False,
) -> None:
    """Add a user and print their key, this once."""
    new = NewUser(
        username=username,
        user_id=user_id,
        email=email,
        slack_uid=slack_uid,
        timezone=timezone,
        api_key=api_key,
        trust_level="blue" if trust_level is None else trust_level,
        trust_value=trust_value,
        public_stats=not private,
    )
    _import(settings, [new])


@app.command("import")
@with_settings()
def import_users(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help='JSON array or JSON lines of users; "-" reads standard input.')],
) -> None:
    """Add many users, all or none; ids and keys that are given are kept."""
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise DirectoryError(f"{file} cannot be read: {error.strerror}.") from error
    _import(settings, _parse_users(text))


@app.command("list")
@with_settings()
def list_users(settings: Settings) -> None:
    """List the users, one JSON object a line, with the first characters of their keys."""
    with _directory(settings) as directory:
        hints: dict[int, list[str]] = {}
        for key in directory.all_keys():
            hints.setdefault(key.user_id, []).append(key.hint)
        for user in directory.all():
            print_json(_shown(user) | {"keys": hints.get(user.user_id, [])})


@app.command("set")
@with_settings()
def set_user(
    settings: Settings,
    username: Username,
    *,
    new_username: Annotated[str | None, typer.Option("--username", help="New name.")] = None,
    email: Annotated[str | None, typer.Option(help='Email address; "" removes it.')] = None,
    slack_uid: Annotated[str | None, typer.Option(help='Slack user id; "" removes it.')] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA time zone; the user's local days are cut anew.")] = None,
    trust_level: TrustLevel = None,
    trust_value: TrustValue = None,
    private: Annotated[bool | None, typer.Option("--private/--public", help="Hide or show the user's stats.")] = None,
) -> None:
    """Change a user and print the result."""
    changes = _changes(new_username, email, slack_uid, trust_level, trust_value, private)
    with _directory(settings) as directory:
        user = _find(directory, username)
        if timezone is not None:
            check_field("timezone", timezone)
        if changes:
            directory.update(user.user_id, **changes)
        if timezone is not None and timezone != user.timezone:
            _set_zone(settings, user.user_id, timezone)
        print_json(_shown(directory.by_id(user.user_id) or user))


@app.command()
@with_settings()
def remove(settings: Settings, username: Username) -> None:
    """Erase a user and all their heartbeats; the id is never given again."""
    from heartline.owner import ask

    with _directory(settings) as directory:
        user_id, name = _to_remove(directory, username)
    with waiting(f"Erasing {name}"):
        answer = ask(settings, RemoveUser(user_id), user_id)
    print_json({"user_id": user_id, "username": name, "removed": True} | answer)


@keys_app.command("add")
@with_settings()
def add_key(settings: Settings, username: Username, *, api_key: ApiKey = None) -> None:
    """Give a user one more key and print it, this once."""
    with _directory(settings) as directory:
        user = _find(directory, username)
        _print_key(user, directory.add_key(user.user_id, api_key))


@keys_app.command("revoke")
@with_settings()
def revoke_key(
    settings: Settings,
    username: Username,
    key: Annotated[str, typer.Argument(help="The key, or its first characters as `users list` shows them.")],
) -> None:
    """Revoke one of a user's keys."""
    with _directory(settings) as directory:
        user = _find(directory, username)
        directory.revoke_key(user.user_id, key)
        print_json({"user_id": user.user_id, "username": user.username, "revoked": True})


@contextmanager
def _directory(settings: Settings) -> Iterator[Directory]:
    prepare_folders(settings)
    with closing(Database(settings.stats_url)) as database:
        yield Directory(database)


def _find(directory: Directory, name: str) -> User:
    user = directory.by_username(name)
    if user is None and name.isascii() and name.isdigit() and len(name) < 20:
        user = directory.by_id(int(name))
    if user is None:
        raise DirectoryError(f"There is no user {name!r}.")
    return user


def _to_remove(directory: Directory, name: str) -> tuple[int, str]:
    """Find whom to remove, by id also one who is removed: where erasing failed half-way, it is asked for again."""
    is_id = name.isascii() and name.isdigit() and len(name) < 20
    if is_id and directory.by_username(name) is None and directory.is_removed(int(name)):
        return int(name), name
    user = _find(directory, name)
    return user.user_id, user.username


def _changes(
    username: str | None,
    email: str | None,
    slack_uid: str | None,
    trust_level: str | None,
    trust_value: int | None,
    private: bool | None,
) -> Changes:
    """Collect what was given; None is not, and an empty text removes what can be removed."""
    changes = Changes()
    if username is not None:
        changes["username"] = username
    if email is not None:
        changes["email"] = email or None
    if slack_uid is not None:
        changes["slack_uid"] = slack_uid or None
    if trust_level is not None:
        changes["trust_level"] = trust_level
    if trust_value is not None:
        changes["trust_value"] = trust_value
    if private is not None:
        changes["public_stats"] = not private
    return changes


def _import(settings: Settings, new: Sequence[NewUser]) -> None:
    """Add users; print their keys.

    An id that a restored database did not know may have heartbeats already, counted as UTC's: the zone of such a user
    is a change that travels through the log.
    """
    for user in new:
        check_new_user(user)
    with _directory(settings) as directory:
        elsewhere = {u.user_id: u.timezone for u in new if u.user_id is not None and u.timezone != "UTC"}
        counted = directory.are_counted(list(elsewhere))
        in_utc = [msgspec.structs.replace(u, timezone="UTC") if u.user_id in counted else u for u in new]
        for added, key in directory.import_users(in_utc):
            _print_key(added, key)
    for user_id in sorted(counted):
        _set_zone(settings, user_id, elsewhere[user_id])


def _set_zone(settings: Settings, user_id: int, timezone: str) -> None:
    from heartline.owner import ask

    with waiting("Cutting the local days anew"):
        ask(settings, SetZone(user_id, timezone), user_id)


def _parse_users(text: bytes) -> list[NewUser]:
    if text.lstrip().startswith(b"["):
        return _decode(text, list[NewUser], "The file")
    lines = enumerate(text.splitlines(), start=1)
    return [_decode(line, NewUser, f"Line {number}") for number, line in lines if line.strip()]


def _decode(text: bytes, kind: type[_Users], what: str) -> _Users:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DirectoryError(f"{what} cannot be used: {error}.") from error


def _print_key(user: User, key: str) -> None:
    print_json({"user_id": user.user_id, "username": user.username, "api_key": key})


def _shown(user: User) -> dict[str, object]:
    shown: dict[str, object] = msgspec.structs.asdict(user)
    return {name: value for name, value in shown.items() if not name.endswith("_us")}
