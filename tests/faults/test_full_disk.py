"""A disk that is really full, to its last byte: a small file system of the test's own, which only root can mount."""

import contextlib
import itertools
import os
import subprocess

import pytest

from tests.faults.checks import EVER, rows
from tests.lakes import FolderPlace
from tests.server import Server, eventually

SIZE = "64m"
T = 1_700_000_000
CHUNK = 1 << 16


class Disk:
    def __init__(self, folder):
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self):
        """Leave not a single byte free."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (CHUNK, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        with pytest.raises(OSError, match="No space left"):
            (self.folder / "probe").write_bytes(b"!")
        (self.folder / "probe").unlink()

    def free(self):
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root alone: run this as root, as CI does")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


def beats(numbers):
    return [{"entity": f"/{n}", "type": "file", "project": "p", "time": T + n} for n in numbers]


def test_a_lake_on_a_full_disk_keeps_the_tail_and_leaves_no_part_of_a_file(tmp_path, disk):
    place = FolderPlace(disk.folder / "lake")
    environment = {"HEARTLINE_LAKE_URL": str(place.root), "HEARTLINE_MIN_FREE": "0"}
    with Server(tmp_path, **environment) as server:
        account = server.new_account()
        account.send(*beats(range(10)))
        disk.fill()
        refused = server.cli("flush", check=False)
        assert (refused.returncode, "No space left on device" in refused.stderr) == (2, True), refused.stderr
        assert place.files() == set()
        account.send(*beats(range(5, 20)))  # it is taken and counted all the same
        assert account.total(start_date="2023-11-01") == 19
        server.cli("verify")
        disk.free()
        server.cli("flush")
        assert place.files() == {row["path"] for row in server.sql("SELECT path FROM lake_files")}
        mine = place.rows_of_glob().rows()
        assert len([user for user, _ in mine if user == account.user_id]) == len(set(rows(account))) == 20
        server.cli("verify")


def test_what_a_full_disk_cannot_keep_is_not_acknowledged_and_all_goes_on_by_itself_once_there_is_room(tmp_path, disk):
    with Server(tmp_path, HEARTLINE_DATA=str(disk.folder / "data"), HEARTLINE_MIN_FREE="0") as server:
        account = server.new_account()
        account.send(*beats(range(100)))
        disk.fill()
        acknowledged, numbers = 100, itertools.count(1)
        while account.bulk(some := beats(range(100 * (n := next(numbers)), 100 * n + 100))).status_code == 201:
            acknowledged += 100
        answer = account.bulk(some)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), answer.text
        disk.free()
        assert eventually(lambda: account.bulk(some).status_code, 201, 30) == 201
        acknowledged += 100
        server.settle()
        assert account.total(start_date="2023-11-01") == acknowledged - 1
        listed = account.heartbeats(**EVER)["heartbeats"]
        assert sorted(round(h["time"]) for h in listed) == list(range(T, T + acknowledged))
        server.cli("flush")
        server.cli("verify")
        assert server.process.poll() is None
