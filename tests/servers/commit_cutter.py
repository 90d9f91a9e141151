"""A proxy before PostgreSQL that cuts a connection at its COMMIT, before or after the server has heard it."""

import contextlib
import enum
import socket
import threading

_COMMIT = b"COMMIT\0"  # a whole statement, not a part of one


class Cut(enum.Enum):
    BEFORE = enum.auto()  # the server never hears the COMMIT
    AFTER = enum.auto()  # the server commits, its answer is lost


class CommitCutter:
    """Passes everything on, but for the next COMMIT after `cut_next`; on leaving, ends what it passes on."""

    def __init__(self, port):
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cut = None
        self._sockets = []
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self):
        return self._listener.getsockname()[1]

    def cut_next(self, cut):
        self._cut = cut

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            one.close()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                losing = threading.Event()
                threading.Thread(target=self._up, args=(client, server, losing), daemon=True).start()
                threading.Thread(target=self._down, args=(client, server, losing), daemon=True).start()

    def _up(self, client, server, losing):
        with contextlib.suppress(OSError):  # the other thread may have ended both
            while data := client.recv(65_536):
                if self._cut is not None and _COMMIT in data:
                    cut, self._cut = self._cut, None
                    self.cuts += 1
                    losing.set()
                    if cut is Cut.BEFORE:
                        break
                server.sendall(data)
        _end(client, server)

    def _down(self, client, server, losing):
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if losing.is_set():
                    break  # this is the answer to the COMMIT
                client.sendall(data)
        _end(client, server)


def _end(*sockets):
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
