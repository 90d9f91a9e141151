"""`heartline up`: front, aggregator and query as processes of their own, behind one port.

The public socket is bound here, so that a port in use is found at once and connections wait while the front is
started again. Stopping goes in the order of the heartbeats' way: front, aggregator, query.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from heartline.child import FAILED, READY, Orders, Role
from heartline.places import StartError
from heartline.settings import PREFIX, Settings

logger = logging.getLogger(__name__)

_ROLES: Final[tuple[Role, ...]] = ("query", "aggregator", "front")
"""In the order of starting: the port answers last."""

# Seconds from the signal at which each must be gone, in the order of stopping; all within 10 s.
_GONE_BY_S: Final[Mapping[Role, float]] = {"front": 3.0, "aggregator": 9.0, "query": 9.7}

_LONGEST_SOCKET_PATH: Final = 100  # bytes; Linux takes 107, others 103

_METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"  # where the children count together, see heartline.metrics

_START_WITHIN_S: Final = 3.0  # for a lock that a command or a stopping instance still holds
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0
_STEADY_AFTER_S: Final = 10.0  # a child that lived this long starts again with the first delay


async def supervise(settings: Settings, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Run the three processes until SIGTERM or SIGINT; `announce` is called once all of them answer.

    The caller holds the data folder's lock. Raises `StartError` when a process cannot start at all.
    """
    with tempfile.TemporaryDirectory(prefix="heartline-metrics-") as folder:
        environment = _environment(settings) | {_METRICS_FOLDER: folder}
        await _supervise(settings.data, listener, announce, environment)


async def _supervise(
    data: Path, listener: socket.socket, announce: Callable[[], None], environment: Mapping[str, str]
) -> None:
    stop = _stop_signals()
    query_socket = _query_socket(data)
    keepers = {role: _Keeper(role, environment, listener, query_socket) for role in _ROLES}
    tasks = [asyncio.create_task(keeper.keep()) for keeper in keepers.values()]
    try:
        if await _all_ready(list(keepers.values()), tasks, stop):
            announce()
            await _stopped(tasks, stop)
    finally:
        listener.close()
        await _stop_in_order(keepers)
        await asyncio.gather(*tasks, return_exceptions=True)
        query_socket.unlink(missing_ok=True)
        if query_socket.parent != data:
            query_socket.parent.rmdir()


def _query_socket(data: Path) -> Path:
    """Say where front and query meet: in the data folder, or elsewhere where its path is too long for a socket."""
    path = data / "query.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="heartline-")) / path.name


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _all_ready(keepers: "list[_Keeper]", tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> bool:
    """Wait for the children; False when told to stop meanwhile. Raises what a keeper raises."""
    ready = asyncio.create_task(_each([keeper.ready for keeper in keepers]))
    stopping = asyncio.create_task(_each([stop]))
    await asyncio.wait([ready, stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
    ready.cancel()
    stopping.cancel()
    return all(keeper.ready.is_set() for keeper in keepers) and not stop.is_set()


async def _stopped(tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
    """Wait for the signal; a keeper that ends before it ends all, with its error: half a service helps nobody."""
    stopping = asyncio.create_task(_each([stop]))
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in tasks:
        if task.done():
            task.result()


async def _each(events: list[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _stop_in_order(keepers: "Mapping[Role, _Keeper]") -> None:
    began = time.monotonic()
    for keeper in keepers.values():
        keeper.stopping = True
    for role, gone_by_s in _GONE_BY_S.items():
        await keepers[role].stop(began + gone_by_s - time.monotonic())


class _Keeper:
    """Keeps one child running until `stop`."""

    def __init__(self, role: Role, environment: Mapping[str, str], listener: socket.socket, query_socket: Path) -> None:
        self.role = role
        self.ready = asyncio.Event()
        self.stopping = False
        self._environment = environment
        self._listener = listener
        self._query_socket = query_socket
        self._process: asyncio.subprocess.Process | None = None
        self._channel: asyncio.StreamWriter | None = None
        self._failure = ""

    async def keep(self) -> None:
        """Start the child, and again whenever it dies. Raises `StartError` if it never gets ready."""
        first = time.monotonic()
        delay = _FIRST_DELAY_S
        while not self.stopping:
            began = time.monotonic()
            try:
                await self._run()
            except OSError as error:  # no process or file can be had now
                self._failure = str(error)
            if self.stopping:
                return
            now = time.monotonic()
            if not self.ready.is_set() and now - first > _START_WITHIN_S:
                raise StartError(self._failure or f"The {self.role} process ended before it was ready.")
            delay = _FIRST_DELAY_S if now - began > _STEADY_AFTER_S else delay
            if self.ready.is_set():
                logger.error("The %s process ended (%s): it starts again in %.1f s", self.role, self._why(), delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_S)

    async def stop(self, within_s: float) -> None:
        """Let the child finish what it has; past `within_s` seconds, end it."""
        self.stopping = True
        if self._process is None:
            return
        if self._channel is not None:
            self._channel.close()
        try:
            await asyncio.wait_for(self._process.wait(), max(within_s, 0))
        except TimeoutError:
            logger.warning("The %s process did not stop in time and is ended: what is in the log stays", self.role)
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _run(self) -> None:
        """Run the child once, to its end."""
        self._failure = ""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await self._start(theirs)
            reader, self._channel = await asyncio.open_connection(sock=ours)
        except OSError:
            ours.close()
            raise
        if self.stopping:
            self._channel.close()
        with suppress(OSError):
            async for line in reader:
                self._heed(line)
        await self._process.wait()
        self._channel.close()

    async def _start(self, channel: socket.socket) -> asyncio.subprocess.Process:
        inherited = [channel.fileno()]
        listener = None
        if self.role == "front":
            listener = self._listener.fileno()
            inherited.append(listener)
        orders = Orders(self.role, channel.fileno(), str(self._query_socket), listener)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a folder named like one of our packages, where this was started, is not ours
            "-m",
            "heartline.child",
            msgspec.json.encode(orders).decode(),
            pass_fds=inherited,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
        )

    def _heed(self, line: bytes) -> None:
        if line == READY:
            self.ready.set()
        elif line.startswith(FAILED):
            self._failure = line.removeprefix(FAILED).decode(errors="replace").strip()

    def _why(self) -> str:
        code = self._process.returncode if self._process else None
        return self._failure or f"exit code {code}"


def _environment(settings: Settings) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | settings.environment()
