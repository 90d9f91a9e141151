"""Work beside the counting: in a thread, one piece at a time; beginning and end belong to the shard's owner."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Made = TypeVar("_Made")


class Beside(Generic[_Made]):
    """A slot for one piece of work. `start` it, then `settle` now and then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._finish: Callable[[_Made], None] | None = None
        self._made: list[_Made] = []
        self._error: BaseException | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is work that is not settled."""
        return self._thread is not None

    def start(self, work: Callable[[], _Made], finish: Callable[[_Made], None]) -> None:
        """Do `work` in a thread; a later `settle` hands what it made to `finish`, in the caller's thread."""
        self._finish = finish
        self._thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
        self._thread.start()

    def settle(self, *, wait: bool) -> None:
        """Finish the work if it is done, or once it is (`wait`). Raises what working or finishing raised."""
        if self._thread is None or self._finish is None or (self._thread.is_alive() and not wait):
            return
        self._thread.join()
        finish, made, error = self._finish, self._made, self._error
        self._thread, self._finish, self._made, self._error = None, None, [], None
        if error is not None:
            raise error
        finish(made[0])

    def abandon(self) -> None:
        """Wait for the work and drop what it made."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, work: Callable[[], _Made]) -> None:
        try:
            self._made.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that settles
            self._error = error
