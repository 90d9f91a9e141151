"""Event loops for synchronous code that talks to asynchronous clients: in a thread of its own, or for one task."""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from storage.errors import UnavailableError

T = TypeVar("T")


class TidyLoop(asyncio.SelectorEventLoop):
    """Hangs up when it closes whatever is still connected: aiokafka forgets a connection when it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self._connected: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def create_connection(self, *args: Any, **options: Any) -> Any:  # as the many overloads of what it overrides
        """Connect as any loop does."""
        transport, protocol = await super().create_connection(*args, **options)
        self._connected.add(transport)
        return transport, protocol

    def close(self) -> None:
        """Hang up, then close. No coroutine may run any more."""
        if not self.is_closed():
            for transport in list(self._connected):
                transport.abort()
            self.run_until_complete(asyncio.sleep(0))  # what `abort` has put off
        super().close()


class LoopThread:
    """Runs coroutines for other threads; what they leave running goes on beside."""

    def __init__(self, name: str) -> None:
        self._loop = TidyLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Wait for a coroutine's result. Raises what it raises, and `UnavailableError` after `timeout_s`."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError as error:
            future.cancel()
            raise UnavailableError(f"No answer within {timeout_s:.0f} s.") from error

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
