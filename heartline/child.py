"""One process of `heartline up`, as the supervisor starts it: `python -m heartline.child ORDERS`.

A socket to the supervisor carries both directions: "ready" or "failed WHY" to it, its end to here. The end alone
stops the process, whether the supervisor lets go of it in its turn or is gone; signals, which a terminal or an init
system sends to all processes at once, are left to the supervisor, so that the order of stopping holds.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from heartline import logs, services
from heartline.settings import Settings, SettingsError, read_settings
from storage.errors import StorageError

logger = logging.getLogger(__name__)

Role = Literal["front", "aggregator", "query"]
READY: Final = b"ready\n"
FAILED: Final = b"failed "
_GONE_WITHIN_S: Final = 10.0


class Orders(msgspec.Struct, frozen=True):
    """What a child is told: its role, inherited descriptors, and where front and query meet."""

    role: Role
    channel: int
    query_socket: str
    listener: int | None = None


def main() -> None:
    """Run the process that the command line orders."""
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logs.configure(orders.role)
    channel = socket.socket(fileno=orders.channel)
    try:
        _run(orders, read_settings(), channel)
    except (StorageError, SettingsError, OSError) as error:
        _report(channel, str(error))
        sys.exit(1)


def _run(orders: Orders, settings: Settings, channel: socket.socket) -> None:
    if orders.role == "aggregator":
        stop = threading.Event()
        _watch(channel, stop.set)
        services.aggregate(settings, stop, lambda: _report_ready(channel))
    else:
        services.run_async(_serve(orders, settings, channel))


async def _serve(orders: Orders, settings: Settings, channel: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    _watch(channel, lambda: loop.call_soon_threadsafe(stop.set))

    def ready() -> None:
        _report_ready(channel)

    if orders.role == "front":
        listener = socket.socket(fileno=orders.listener)
        await services.front(settings, listener, orders.query_socket, stop, ready)
    else:
        await services.query(settings, _listen_at(orders.query_socket), stop, ready, behind_front=True)


def _listen_at(path: str) -> socket.socket:
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    return listener


def _report_ready(channel: socket.socket) -> None:
    with suppress(OSError):  # nobody is waiting any more: the end of the channel says the rest
        channel.sendall(READY)


def _report(channel: socket.socket, failure: str) -> None:
    try:
        channel.sendall(FAILED + failure.replace("\n", " ").encode() + b"\n")
    except OSError:
        logger.error("%s", failure)  # noqa: TRY400 - the line says what to do, a traceback would not


def _watch(channel: socket.socket, stop: Callable[[], object]) -> None:
    """Call `stop` when the supervisor's end of `channel` is closed; end for good if that does not help."""

    def wait() -> None:
        with suppress(OSError):  # an end in the midst of something is an end
            while channel.recv(64):
                pass
        stop()
        threading.Event().wait(_GONE_WITHIN_S)
        os._exit(1)

    threading.Thread(target=wait, name="watch", daemon=True).start()


if __name__ == "__main__":
    main()
