"""Heartbeats that look like wakatime-cli's: about 400 bytes, on files that stay open for a while, no two alike."""

import base64
import random
from collections.abc import Iterator

LANGUAGES = (
    ("Python", "py"),
    ("TypeScript", "ts"),
    ("Go", "go"),
    ("Rust", "rs"),
    ("Ruby", "rb"),
    ("Markdown", "md"),
    ("YAML", "yml"),
    ("SQL", "sql"),
)
PROJECTS = ("harbor", "ledger-api", "web-frontend", "infra", "notebook", "dotfiles")
FOLDERS = ("src", "src/core", "lib", "tests", "app/models", "pkg/store", "docs", "cmd")
FILES = ("main", "index", "user", "session", "config", "router", "worker", "schema", "parse", "report")
BRANCHES = ("main", "main", "main", "fix/timezones", "feature/export", "release")
CATEGORIES = (*("coding",) * 18, "debugging", "writing tests")
EDITORS = (
    "vscode/1.95.3 vscode-wakatime/24.9.2",
    "IntelliJIDEA/2024.2.4 IntelliJIDEA-wakatime/15.0.1",
    "neovim/0.10.2 vim-wakatime/11.3.0",
    "emacs/29.4 emacs-wakatime/1.0.2",
    "Zed/0.160.7 Zed-wakatime/0.1.8",
)
SYSTEMS = (
    "linux-6.8.0-49-generic-x86_64",
    "darwin-24.1.0-arm64",
    "windows-10.0.22631.4460-x86_64",
)


class Developer:
    """One user at work: every heartbeat is later than the one before, by `step_s` on average."""

    def __init__(self, number: int, key: str, start_s: float, step_s: float) -> None:
        """Begin at `start_s`, seconds since the epoch."""
        self.key = key
        self.agent = f"wakatime/v1.102.1 ({SYSTEMS[number % len(SYSTEMS)]}) go1.22.5 {EDITORS[number % len(EDITORS)]}"
        self._machine = f"dev-{number:03d}"
        self._random = random.Random(number)
        self._time_s = start_s
        self._step_s = step_s
        self._files = self._work()
        self._file, self._left = next(self._files)

    def bulk(self, count: int) -> bytes:
        """Make a whole request with the next `count` heartbeats."""
        body = b"[" + b",".join(self._heartbeat() for _ in range(count)) + b"]"
        return self.request("POST", "heartbeats.bulk", body)

    def single(self) -> bytes:
        """Make a whole request with one bare heartbeat."""
        return self.request("POST", "heartbeats", self._heartbeat())

    def status_bar(self) -> bytes:
        """Make a whole request for the status bar."""
        return self.request("GET", "statusbar/today", b"")

    def request(self, method: str, what: str, body: bytes) -> bytes:
        """Make a request as wakatime-cli does: Basic with the bare key, kept alive."""
        head = (
            f"{method} /api/hackatime/v1/users/current/{what} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"User-Agent: {self.agent}\r\nAccept: application/json\r\n"
            f"Authorization: Basic {base64.b64encode(self.key.encode()).decode()}\r\n"
            f"Content-Type: application/json\r\nTimezone: UTC\r\nX-Machine-Name: {self._machine}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _work(self) -> Iterator[tuple[str, int]]:
        draw = self._random
        project, branch = draw.choice(PROJECTS), draw.choice(BRANCHES)
        while True:
            if draw.random() < 0.25:
                project, branch = draw.choice(PROJECTS), draw.choice(BRANCHES)
            language, extension = draw.choice(LANGUAGES)
            entity = f"/home/dev/code/{project}/{draw.choice(FOLDERS)}/{draw.choice(FILES)}{draw.randrange(40)}"
            lines = 20 + draw.randrange(900)
            fields = (
                f'"branch":"{branch}","entity":"{entity}.{extension}","language":"{language}","lines":{lines},'
                f'"project":"{project}","project_root_count":4,"type":"file","user_agent":"{self.agent}",'
            )
            yield fields, 3 + draw.randrange(20)

    def _heartbeat(self) -> bytes:
        draw = self._random.random
        if self._left == 0:
            self._file, self._left = next(self._files)
        self._left -= 1
        self._time_s += self._step_s * (0.5 + draw())
        extras = '"is_write":true,' if draw() < 0.25 else ""
        extras += '"dependencies":["os","json","requests"],' if draw() < 0.1 else ""
        category = CATEGORIES[int(draw() * len(CATEGORIES))]
        return (
            f'{{"category":"{category}","cursorpos":{int(draw() * 20000)},{extras}'
            f'"line_additions":{int(draw() * 6)},"line_deletions":{int(draw() * 3)},"lineno":{1 + int(draw() * 900)},'
            f'{self._file}"time":{self._time_s:.3f}}}'
        ).encode()
