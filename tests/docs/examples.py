"""The README's examples: reading them, running them in order against a real server, comparing what they print.

The convention, so that the README stays readable: a `console` block holds commands after `$ ` and what they print; a
command goes on in lines after `> `, as in bash itself. A `python` block is a script, and the `text` block after it is
what it prints. In what is printed, `…` stands for text that is left out. Commands that begin with `make` are for
test_clean_clone.py.
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from heartline.settings import read_settings
from heartline.status import read_status
from tests.server import OPERATOR_KEY, eventually

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
SHOWN_ADDRESS = "127.0.0.1:8000"
USERNAME = "ann"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"

_NEW_EACH_TIME = (
    # When something was made, changed or read is when the example runs.
    (re.compile(rf'("(?:created_at|updated_at|modified_at|cached_at)": ?"){_INSTANT}'), r"\1NOW"),
    # The status bar is about the day on which the example runs.
    (re.compile(rf'"range":{{"date":"\d{{4}}-\d\d-\d\d","start":"{_INSTANT}","end":"{_INSTANT}"'), '"range":{"TODAY"'),
    # The newest heartbeat is dated a minute after the beginning of the session.
    (re.compile(r'"time_ago":"(less than a|1) minute ago"'), '"time_ago":"SOON"'),
)
_LEFT_OUT = "…"


@dataclass(frozen=True)
class Example:
    """A command or script of the README with what it prints; `line` is where it begins."""

    line: int
    command: str
    expected: str
    is_python: bool = False

    def __str__(self):
        return f"line {self.line}: {self.command.splitlines()[0]}"


@dataclass
class Block:
    """A fenced block; `line` is that of its first line of text."""

    language: str
    text: str
    line: int


def blocks(document=README):
    """Give every fenced block of a document."""
    text = document.read_text()
    return [Block(m[1], m[2], text.count("\n", 0, m.start(2)) + 1) for m in _FENCE.finditer(text)]


def examples(document=README):
    """Give all examples in order, those that begin with `make` included."""
    found = []
    all_blocks = blocks(document)
    for block, following in zip(all_blocks, [*all_blocks[1:], None], strict=True):
        if block.language == "console":
            found += _commands(block)
        elif block.language == "python":
            assert following is not None, f"line {block.line}: what does this script print?"
            assert following.language == "text", f"line {following.line}: what the script above prints is `text`"
            found.append(Example(block.line, block.text, following.text, is_python=True))
    return found


def session_examples():
    """Give the examples that run in one shell against one server."""
    return [example for example in examples() if not is_make(example)]


def is_make(example):
    return example.command.startswith("make ")


def _commands(block):
    found = []
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if line.startswith("$ "):
            found.append(Example(number, line.removeprefix("$ "), ""))
            continue
        assert found, f"line {number}: a block begins with a command, after `$ `"
        last = found.pop()
        if line.startswith("> ") and not last.expected:
            found.append(replace(last, command=f"{last.command}\n{line.removeprefix('> ')}"))
        else:
            found.append(replace(last, expected=f"{last.expected}{line}\n"))
    return found


def normalised(text):
    """Replace what is new each time by fixed words."""
    for pattern, fixed in _NEW_EACH_TIME:
        text = pattern.sub(fixed, text)
    # Blank lines are left out of the comparison: DuckDB prints one after each table.
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def agrees(printed, expected):
    """Tell whether a program printed what the README shows, its `…` being anything."""
    parts = [re.escape(part) for part in normalised(expected).split(_LEFT_OUT)]
    return re.fullmatch(".*".join(parts), normalised(printed), re.DOTALL) is not None


@dataclass
class Shell:
    """One bash for all commands, in the folder above the server's data, as if that were the checkout."""

    server: object
    key: str
    process: subprocess.Popen = field(init=False)

    def __enter__(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEARTLINE_")}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "80",
            "KEY": self.key,
            "OPERATOR_KEY": OPERATOR_KEY,
        }
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.server.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)

    def run(self, example):
        """Run one example; return what it printed, written as the README would, and its exit code."""
        command = (
            f"python - <<'END_OF_SCRIPT'\n{example.command}END_OF_SCRIPT" if example.is_python else example.command
        )
        command = command.replace(SHOWN_ADDRESS, f"127.0.0.1:{self.server.port}")
        mark = f"--- {time.monotonic_ns()} ---"
        self.process.stdin.write(f"{{\n{command}\n}} </dev/null\nprintf '\\n%s %d\\n' '{mark}' $?\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            if line.startswith(mark):
                self._settle()
                shown = "".join(printed).replace(f"127.0.0.1:{self.server.port}", SHOWN_ADDRESS)
                return shown, int(line.removeprefix(mark))
            printed.append(line)
        raise AssertionError(f"bash ended at {example}:\n{''.join(printed)}")

    def _settle(self):
        """Wait until what was sent is counted: a reader does not type the next command within milliseconds."""
        settings = read_settings({"data": str(self.server.data)})
        assert eventually(lambda: read_status(settings)["log"]["lag_records"], 0) == 0
