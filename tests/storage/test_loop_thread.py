import asyncio
import socket

from storage.log.loop_thread import LoopThread


async def connect(port):
    return await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)


def test_a_connection_that_a_cancelled_client_forgot_is_hung_up_with_its_loop():
    with socket.create_server(("127.0.0.1", 0)) as server:
        loop = LoopThread("forgetful")
        forgotten = loop.run(connect(server.getsockname()[1]), 10)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(10)
            loop.close()
            assert peer.recv(1) == b""
        del forgotten
