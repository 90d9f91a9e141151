"""`heartline up`, and its services one by one."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Annotated, Final, Protocol

import typer

from heartline import logs
from heartline.options import ALL, with_settings
from heartline.places import listen, prepare_folders, public_url
from heartline.settings import Settings
from storage.directory import Directory, NewUser
from storage.lock import FileLock
from storage.stats import Database

logger = logging.getLogger(__name__)

FirstUser = Annotated[
    str | None, typer.Option(metavar="NAME", help="Make this user if there is none yet, and print their key.")
]


@with_settings(ALL)
def up(settings: Settings, *, first_user: FirstUser = None) -> None:
    """Run everything on one machine and one port."""
    from heartline.supervisor import supervise

    prepare_folders(settings)
    with FileLock(settings.data / "up.lock", "Heartline runs on this folder already."):
        listener = _begin("up", settings)
        url = public_url(listener)
        with closing(Database(settings.stats_url, migrate=True)) as database:
            if first_user is not None:
                _make_first_user(Directory(database), first_user, url)
        asyncio.run(supervise(settings, listener, lambda: typer.echo(f"Heartline is at {url}")))


@with_settings(ALL)
def ingest(settings: Settings) -> None:
    """Run ingest alone: it takes heartbeats into the log."""
    from heartline import services

    _serve_alone("ingest", settings, services.ingest)


@with_settings(ALL)
def query(settings: Settings) -> None:
    """Run the read API alone, at a port of its own."""
    from heartline import services

    _serve_alone("query", settings, services.query)


@with_settings(tuple(name for name in ALL if name not in ("host", "port")))
def aggregate(settings: Settings) -> None:
    """Run the aggregator alone: it counts what the log holds and writes Parquet."""
    from heartline import services

    logs.configure("aggregator")
    prepare_folders(settings)
    _show(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    services.aggregate(settings, stop, lambda: typer.echo("The aggregator follows the log."))


COMMANDS: Final = (up, ingest, aggregate, query)


class _Service(Protocol):
    def __call__(
        self, settings: Settings, listener: socket.socket, stop: asyncio.Event, ready: Callable[[], None]
    ) -> Coroutine[None, None, None]: ...


def _serve_alone(role: str, settings: Settings, service: _Service) -> None:
    from heartline.services import run_async

    listener = _begin(role, settings)
    name, url = role.capitalize(), public_url(listener)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await service(settings, listener, stop, lambda: typer.echo(f"{name} is at {url}"))

    run_async(run())


def _begin(role: str, settings: Settings) -> socket.socket:
    """Prepare the folders, take the port and print the settings."""
    logs.configure(role)
    prepare_folders(settings)
    listener = listen(settings.host, settings.port)
    _show(settings)
    return listener


def _show(settings: Settings) -> None:
    for name, value in settings.shown().items():
        typer.echo(f"{name}={value}", err=True)


def _make_first_user(directory: Directory, name: str, url: str) -> None:
    if directory.all():
        return
    user, key = directory.add(NewUser(username=name))
    typer.echo(
        f"User {user.username} was made. The key is shown this once; put it into ~/.wakatime.cfg:\n\n"
        f"[settings]\napi_url = {url}/api/hackatime/v1\napi_key = {key}\n"
    )
