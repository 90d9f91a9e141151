"""What only a lake on a folder does; the rest is in test_lake_contract.py."""

import os
from pathlib import Path

import pytest

from storage.errors import StorageError, UnavailableError
from storage.lake.columns import PackedRecord, batches_of, frame_of
from storage.lake.folder import FolderLake
from tests.stored import NOON, beat, pack_lines

PATH = "heartbeats/date=2023-11-15/log-0-1-2-00000000.parquet"


def some_batches():
    return batches_of(frame_of([PackedRecord(7, 1, pack_lines([beat(NOON)]))]))


def test_a_file_and_every_new_folder_on_its_way_are_synced_before_write_returns(tmp_path, monkeypatch):
    synced = []
    sync = os.fsync

    def watch(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    lake = FolderLake(tmp_path / "new" / "lake")
    lake.write(PATH, some_batches())
    folder = (tmp_path / "new" / "lake" / PATH).parent
    assert {tmp_path, tmp_path / "new", tmp_path / "new" / "lake", folder.parent} <= set(synced)
    assert lake._unfinished(PATH) in synced  # the file itself, before it got its name
    assert synced[-1] == folder


def test_deleting_takes_unfinished_files_along(tmp_path):
    lake = FolderLake(tmp_path)
    lake.write(PATH, some_batches())
    leftover = lake._unfinished("x/date=2023-11-15/other.parquet")
    leftover.touch()
    lake.delete([PATH, "x/date=2023-11-15/other.parquet"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_refuses_is_unavailable_and_named(tmp_path):
    (tmp_path / "heartbeats").write_text("a file where a folder should be")
    with pytest.raises(UnavailableError, match="cannot be written"):
        FolderLake(tmp_path).write(PATH, some_batches())


def test_a_record_that_holds_another_number_than_it_says_is_refused():
    with pytest.raises(StorageError, match="hold 1 heartbeats where their counts say 2"):
        frame_of([PackedRecord(7, 2, pack_lines([beat(NOON)]))])
