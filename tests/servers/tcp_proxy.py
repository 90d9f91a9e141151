"""A proxy before any server that speaks TCP: it cuts connections off, lets them hang, or slows them down."""

import asyncio
import contextlib

from storage.log.loop_thread import LoopThread

_ANSWER_WITHIN_S = 10
_PIECES = 64  # that one direction of a connection holds while they may not pass


class TcpProxy:
    """Passes bytes on to the server at port `target` of this machine, which may be named once it is known.

    When `cut` or `hang` has returned, no byte passes any more. Starts when made, ends on leaving.
    """

    def __init__(self):
        self.target = None
        self._refuses = False
        self._delay_s = 0.0
        self._writers = set()
        self._loop = LoopThread("tcp-proxy")
        self._server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._run(self._end())
        self._loop.close()

    def cut(self):
        """End every connection and take no new one, until `heal`."""
        self._run(self._cut())

    def hang(self):
        """Pass nothing on, as a network that loses every packet; what waits goes on after `heal`."""
        self._run(self._set_passing(False))

    def slow(self, delay_s):
        """Let every answer come `delay_s` later."""
        self._delay_s = delay_s

    def heal(self):
        """Pass everything on at once."""
        self._refuses = False
        self._delay_s = 0.0
        self._run(self._set_passing(True))

    def _run(self, coroutine):
        return self._loop.run(coroutine, _ANSWER_WITHIN_S)

    async def _listen(self):
        self._passing = asyncio.Event()
        self._passing.set()
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _set_passing(self, passing):
        self._passing.set() if passing else self._passing.clear()

    async def _cut(self):
        self._refuses = True
        for writer in self._writers:
            writer.transport.abort()

    async def _end(self):
        self._server.close()
        await self._cut()

    async def _serve(self, client, to_client):
        """One connection, until either side ends it or `cut` does."""
        self._writers.add(to_client)
        try:
            await self._connect(client, to_client)
        except OSError:
            pass  # the server is away, or a side has hung up
        finally:
            self._writers.discard(to_client)
            to_client.transport.abort()

    async def _connect(self, client, to_client):
        await self._passing.wait()
        if self._refuses:
            return
        server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.add(to_server)
        ways = [
            asyncio.create_task(self._pass_on(client, to_server, is_answer=False)),
            asyncio.create_task(self._pass_on(server, to_client, is_answer=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.discard(to_server)
            to_server.transport.abort()

    async def _pass_on(self, source, sink, *, is_answer):
        """Give every piece to `sink` when it is due, in order; collect the next ones meanwhile."""
        pieces = asyncio.Queue(_PIECES)
        collecting = asyncio.create_task(self._collect(source, pieces, is_answer))
        try:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(due - asyncio.get_running_loop().time())
                await self._passing.wait()
                if not piece:
                    return
                sink.write(piece)
                await sink.drain()
        finally:
            collecting.cancel()

    async def _collect(self, source, pieces, is_answer):
        piece = None
        while piece != b"":
            piece = b""
            with contextlib.suppress(OSError):  # an end like any other
                piece = await source.read(65_536)
            await pieces.put((asyncio.get_running_loop().time() + self._delay_s * is_answer, piece))
