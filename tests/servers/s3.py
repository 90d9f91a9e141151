"""moto's S3 server in a process of its own, and a proxy before it that brings about what networks and services do."""

import contextlib
import http.client
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3

from tests.server import free_port

READY_WITHIN_S = 120
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key-of-the-tests", "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests"}
_REGION = "us-east-1"
_NOT_PASSED = {"connection", "content-length", "expect", "transfer-encoding"}
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>by the test</Message></Error>"


class S3Server:
    """Starts on entry and ends on leaving; what it holds is in its memory."""

    def __init__(self, folder):
        self.log_path = Path(folder) / "moto.log"
        self.port = free_port()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        command = [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"moto's S3 server is not ready:\n{self.log_path.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def new_bucket(self):
        return Bucket(self.url, f"bucket-{uuid.uuid4().hex}")


class Bucket:
    """A bucket of a test's own, and the client that looks into it past Heartline and the proxy."""

    def __init__(self, endpoint, name):
        self.endpoint = endpoint
        self.name = name
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=_REGION,
            aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        self.client.create_bucket(Bucket=name)

    @property
    def url(self):
        return f"s3://{self.name}/lake"

    def environment(self, endpoint=None):
        """The variables by which a client finds the server, or what stands before it."""
        return _CREDENTIALS | {"AWS_REGION": _REGION, "AWS_ENDPOINT_URL": endpoint or self.endpoint}

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    def unfinished_uploads(self):
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]

    def close(self):
        self.client.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # by default 5 may wait: several services would wait for seconds


class FaultyS3:
    """A proxy before an S3 server. Requests for which `fail` was told fail so; all others pass.

    Faults: an HTTP status; "reset" before the request is passed on; "cut" in the midst of its body; "lost", the answer
    alone; "slow", the answer comes `slow_s` later; a function, what it does comes before the request is passed on.
    """

    def __init__(self, endpoint, slow_s=4.0):
        self.address = endpoint.removeprefix("http://")
        self.slow_s = slow_s
        self.requests = []
        self.met = 0
        self.sent_bytes = 0
        self._fault = None
        self._pattern = re.compile("")
        self._left = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="faulty-s3")

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, fault, pattern="", times=1 << 30):
        """Let the next `times` requests fail whose "METHOD path?query" matches `pattern`."""
        with self._lock:
            self._fault, self._pattern, self._left, self.met = fault, re.compile(pattern), times, 0

    def heal(self):
        self.fail(None, times=0)

    def _next_fault(self, request):
        with self._lock:
            self.requests.append(request)
            if self._left == 0 or not self._pattern.search(request):
                return None
            self._left -= 1
            self.met += 1
            return self._fault

    def _handler(proxy):  # noqa: N805 - the handlers have a self of their own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                fault = proxy._next_fault(f"{self.command} {self.path}")
                if fault == "reset":
                    return self._reset()
                if fault == "cut":
                    next(self._body(), None)
                    return self._reset()
                body = b"".join(self._body())
                if isinstance(fault, int):
                    code = "SlowDown" if fault == 503 else "InternalError"
                    return self._send(fault, [("Content-Type", "application/xml")], _ERROR.format(code=code).encode())
                if callable(fault):
                    fault()
                if fault == "slow":
                    proxy._closed.wait(proxy.slow_s)
                status, headers, answer = self._pass_on(body)
                if fault == "lost":
                    return self._reset()
                return self._send(status, headers, answer)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - names of the library

            def _body(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    return
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            def _pass_on(self, body):
                with contextlib.closing(http.client.HTTPConnection(proxy.address, timeout=60)) as connection:
                    headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    return answer.status, answer.getheaders(), answer.read()

            def _send(self, status, headers, body):
                length = dict(headers).get("Content-Length") if self.command == "HEAD" else None
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", length or str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                    proxy.sent_bytes += len(body)

            def _reset(self):
                linger = struct.pack("ii", 1, 0)  # closing sends a reset instead of an end
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()

            def handle(self):
                with contextlib.suppress(OSError):  # who asked has hung up
                    super().handle()

            def finish(self):
                with contextlib.suppress(OSError, ValueError):
                    super().finish()

            def log_message(self, *_):
                pass

        return Handler
