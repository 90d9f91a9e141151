"""A closed loop of HTTP requests on one thread: raw sockets and epoll, requests made before the clock starts.

It shares the machine's cores with the server, so it must be cheap: about 25 us of CPU a request, which is near
what compiled load generators need, and nothing has to be installed. What it used is part of every result.
"""

import itertools
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

TAKEN = (b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 202")


class UnexpectedAnswerError(Exception):
    """The server answered something else than success, or hung up."""


@dataclass
class Outcome:
    """What a closed loop did. `items` counts the pairs of bulk answers that say 201."""

    requests: int = 0
    items: int = 0
    elapsed_s: float = 0.0
    client_cpu_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)


class Connection:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        """Connect to 127.0.0.1:`port`."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = b""
        self.sent_at_s = 0.0

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self._answer = b""
        self.sent_at_s = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read what is there; return the body once the answer is whole. Raises `UnexpectedAnswerError`."""
        received = self.socket.recv(262144)
        self._answer = self._answer + received if self._answer else received
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if not received or (blank and not head.startswith(TAKEN)):
            raise UnexpectedAnswerError(self._answer[:500].decode(errors="replace"))
        if not blank or len(body) < _content_length(head):
            return None
        return body

    def ask(self, request: bytes) -> bytes:
        """Send a request and wait for its body."""
        self.send(request)
        while (body := self.receive()) is None:
            pass
        return body


def _content_length(head: bytes) -> int:
    at = head.lower().index(b"content-length:") + 15
    return int(head[at : head.find(b"\r", at) if b"\r" in head[at:] else None])


def closed_loop(ports: Sequence[int], lanes: Sequence[Iterable[bytes]], duration_s: float) -> Outcome:
    """Run each lane's requests in order on a connection of its own, until all are done or `duration_s` is over.

    Lanes take the ports in turn. A lane sends its next request when it has the last answer. Raises
    `UnexpectedAnswerError` at the first failure.
    """
    outcome = Outcome()
    poll = select.epoll()
    active: dict[int, tuple[Connection, Iterator[bytes]]] = {}
    for lane, port in zip(lanes, itertools.cycle(ports), strict=False):
        connection, requests = Connection(port), iter(lane)
        active[connection.socket.fileno()] = (connection, requests)
        poll.register(connection.socket, select.EPOLLIN)
    cpu_s, start_s = time.process_time(), time.perf_counter()
    for connection, requests in active.values():
        connection.send(next(requests))
    while active:
        for number, _events in poll.poll():
            connection, requests = active[number]
            body = connection.receive()
            if body is None:
                continue
            now_s = time.perf_counter()
            outcome.requests += 1
            outcome.items += body.count(b"},201]")
            outcome.latencies_s.append(now_s - connection.sent_at_s)
            request = next(requests, None) if now_s - start_s < duration_s else None
            if request is None:
                poll.unregister(number)
                active.pop(number)[0].socket.close()
            else:
                connection.send(request)
    outcome.elapsed_s = time.perf_counter() - start_s
    outcome.client_cpu_s = time.process_time() - cpu_s
    poll.close()
    return outcome
