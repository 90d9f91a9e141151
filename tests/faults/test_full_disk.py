"""A disk that is really full, to its last byte: a small file system of the test's own, which only root can mount."""

import contextlib
import itertools
import os
import subprocess

import pytest

from aggregator.verify import findings
from storage.directory import Directory, NewUser
from storage.errors import UnavailableError
from tests.aggregator.running import Running
from tests.lakes import FolderPlace
from tests.stored import DAY, NOON, S, beat

SIZE = "16m"
CHUNK = 1 << 16


class Disk:
    def __init__(self, folder):
        self.folder = folder
        self._ballast = folder / "ballast"

    @contextlib.contextmanager
    def full(self, but_bytes=0):
        """Leave not a single byte free meanwhile, or so many."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (CHUNK, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        with pytest.raises(OSError, match="No space left"):
            (self.folder / "probe").write_bytes(b"!")
        (self.folder / "probe").unlink()
        os.truncate(self._ballast, self._ballast.stat().st_size - but_bytes)
        yield
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        how = "a small file system can be mounted by root alone: run this as root"
        pytest.fail(how) if os.environ.get("CI") else pytest.skip(how)
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def an_aggregator(log_folder, stats_folder, place):
    running = Running(log_folder, f"sqlite:///{stats_folder}/stats.db", flush_interval_s=1e12)
    running.lake = place.lake
    with contextlib.closing(running):
        Directory(running.database).add(NewUser(username="ann"))
        running.start()
        yield running


def beats(number):
    return [beat(NOON + n * DAY // 4, entity="x" * 400) for n in range(number)]


def append_until_refused(running):
    """How many requests, of a heartbeat that does not compress, were taken."""
    for taken in itertools.count():
        try:
            running.append(beat(NOON + taken * S, entity=os.urandom(200).hex()))
        except UnavailableError:
            return taken
    raise AssertionError


def assert_exact(running, place, number):
    assert len(set(place.rows_of_glob().rows())) == len(place.rows_of_glob()) == number
    assert list(findings(running.database, place.lake)) == []


def test_a_lake_on_a_full_disk_keeps_the_tail_and_leaves_no_part_of_a_file(tmp_path, disk):
    place = FolderPlace(disk.folder / "lake")
    with an_aggregator(tmp_path, tmp_path, place) as running:
        running.aggregator.run_until(running.append(*beats(20)))
        with disk.full():
            with pytest.raises(UnavailableError, match="No space left on device"):
                running.aggregator.flush_now()
            assert place.files() == set()
            running.aggregator.run_until(running.append(*beats(20)))  # counting goes on
        assert running.aggregator.flush_now() == 40
        assert_exact(running, place, 40)


def test_a_database_on_a_full_disk_counts_nothing_until_there_is_room_and_then_all_once(tmp_path, disk):
    place = FolderPlace(tmp_path / "lake")
    with an_aggregator(tmp_path, disk.folder, place) as running:
        running.aggregator.run_until(running.append(*beats(20)))
        running.aggregator.close()
        with disk.full():
            requests = [running.append(*beats(100)) for _ in range(100)]  # more than the WAL has room for
            with pytest.raises(UnavailableError, match="full"):
                running.start().run_until(requests[-1])
            assert running.counted() < requests[-1]
        with running.following():
            assert running.is_counted(requests[-1])
        assert_exact(running, place, 20 + 100 * 100)


def test_a_log_on_a_full_disk_acknowledges_nothing_that_it_does_not_keep(tmp_path, disk):
    place = FolderPlace(tmp_path / "lake")
    with an_aggregator(disk.folder, tmp_path, place) as running:
        with disk.full(but_bytes=1 << 18):
            taken = append_until_refused(running)
            with pytest.raises(UnavailableError, match="full"):
                running.append(beat(NOON - S))
        assert taken > 10
        offset = running.append(beat(NOON - S))
        assert offset == taken + 1
        running.aggregator.run_until(offset)
        running.aggregator.flush_now()
        assert_exact(running, place, taken + 1)
