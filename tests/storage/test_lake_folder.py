import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.arrow import LAKE_SCHEMA
from storage.errors import StorageError, UnavailableError
from storage.lake.columns import PackedRecord, batches_of, frame_of
from storage.lake.folder import FolderLake
from storage.lake.reading import read_user
from tests.stored import NOON, S, beat, pack_lines

PATH = "heartbeats/date=2023-11-15/log-0-1-2-00000000.parquet"
EVER = 1 << 62


def rows_of(user_id, *heartbeats):
    return frame_of([PackedRecord(user_id, len(heartbeats), pack_lines(heartbeats))])


ODD = [
    beat(
        NOON, id=(1 << 63) - 1, entity='a"b\\c\n\x0b\x1f\x7f/é☃\u2028𝄞', project="", language=None, lines=(1 << 63) - 1
    ),
    beat(NOON, id=0, lines=-(1 << 63), dependencies=["", "a", '"'], is_write=False, category="BROWSİNG"),
    beat(1_000_000_000 * S, project="2024-01-01", branch="1", machine="null", is_write=True, ai_input_tokens=0),
    beat(1_999_999_999 * S + 999_999, source_type="test_entry", editor="true", ip_address="::1"),
]


def test_a_heartbeat_comes_back_from_a_file_as_it_was_in_its_record(tmp_path):
    lake = FolderLake(tmp_path)
    assert lake.write(PATH, batches_of(rows_of(7, *ODD).sort("user_id", "time", "id"))) == len(ODD)
    found = read_user([lake.absolute(PATH)], 7, 0, EVER)
    assert sorted(found, key=lambda h: h.id) == sorted(ODD, key=lambda h: h.id)


def test_only_the_user_and_the_half_open_interval_are_read(tmp_path):
    lake = FolderLake(tmp_path)
    mine = [beat(NOON + i * S) for i in range(4)]
    lake.write(PATH, batches_of(pl.concat([rows_of(7, *mine), rows_of(8, beat(NOON))])))
    assert read_user([lake.absolute(PATH)], 7, NOON + S, NOON + 3 * S) == mine[1:3]
    assert read_user([lake.absolute(PATH)], 9, 0, EVER) == []


def test_a_file_has_the_explicit_schema_and_says_how_it_is_sorted(tmp_path):
    lake = FolderLake(tmp_path)
    lake.write(PATH, batches_of(rows_of(7, *ODD)))
    stored = pq.ParquetFile(lake.absolute(PATH))
    assert stored.schema_arrow.equals(LAKE_SCHEMA)
    assert [c.column_index for c in stored.metadata.row_group(0).sorting_columns] == [1, 2, 0]


def test_no_file_is_ever_replaced(tmp_path):
    lake = FolderLake(tmp_path)
    lake.write(PATH, batches_of(rows_of(7, ODD[0])))
    with pytest.raises(StorageError, match="exists already"):
        lake.write(PATH, batches_of(rows_of(7, *ODD)))
    assert len(read_user([lake.absolute(PATH)], 7, 0, EVER)) == 1


def test_nothing_that_a_glob_matches_is_there_while_a_file_is_written_nor_after_a_failure(tmp_path):
    lake = FolderLake(tmp_path)
    seen = []

    def failing():
        yield from batches_of(rows_of(7, *ODD))
        seen.append(list(tmp_path.rglob("*.parquet")))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lake.write(PATH, failing())
    assert seen == [[]]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_and_every_new_folder_on_its_way_are_synced_before_write_returns(tmp_path, monkeypatch):
    synced = []
    sync = os.fsync

    def watch(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    lake = FolderLake(tmp_path / "new" / "lake")
    lake.write(PATH, batches_of(rows_of(7, *ODD)))
    folder = (tmp_path / "new" / "lake" / PATH).parent
    assert {tmp_path, tmp_path / "new", tmp_path / "new" / "lake", folder.parent} <= set(synced)
    assert lake._unfinished(PATH) in synced  # the file itself, before it got its name
    assert synced[-1] == folder


def test_deleting_takes_unfinished_files_along_and_does_not_mind_missing_ones(tmp_path):
    lake = FolderLake(tmp_path)
    lake.write(PATH, batches_of(rows_of(7, *ODD)))
    leftover = lake._unfinished("x/date=2023-11-15/other.parquet")
    leftover.touch()
    lake.delete([PATH, "x/date=2023-11-15/other.parquet", "never/was.parquet"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_refuses_is_unavailable_and_named(tmp_path):
    (tmp_path / "heartbeats").write_text("a file where a folder should be")
    with pytest.raises(UnavailableError, match="cannot be written"):
        FolderLake(tmp_path).write(PATH, batches_of(rows_of(7, *ODD)))


def test_a_record_that_holds_another_number_than_it_says_is_refused():
    with pytest.raises(StorageError, match="hold 1 heartbeats where their counts say 2"):
        frame_of([PackedRecord(7, 2, pack_lines([ODD[0]]))])


def test_a_damaged_file_is_named(tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"hello world")
    with pytest.raises(StorageError, match=r"broken\.parquet"):
        read_user([str(broken)], 7, 0, EVER)


def test_row_groups_stay_small_enough_to_find_one_user_quickly(tmp_path):
    lake = FolderLake(tmp_path)
    lake.write(PATH, batches_of(rows_of(7, *[beat(NOON + i) for i in range(20_000)])))
    metadata = pq.ParquetFile(lake.absolute(PATH)).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [16_384, 3_616]
    assert pa.types.is_timestamp(metadata.schema.to_arrow_schema().field("time").type)
