"""What every lake does, on a folder and on S3."""

import io

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.arrow import LAKE_SCHEMA
from storage.errors import StorageError
from storage.lake.columns import PackedRecord, batches_of, frame_of
from storage.lake.reading import MEASURED, read_measured, read_user
from tests.stored import NOON, S, beat, pack_lines

PATH = "heartbeats/date=2023-11-15/log-0-1-2-00000000.parquet"
EVER = 1 << 62
READERS = [read_user, read_measured]


def rows_of(user_id, *heartbeats):
    return frame_of([PackedRecord(user_id, len(heartbeats), pack_lines(heartbeats))])


def ids_by_duckdb(lake, *paths):
    with duckdb.connect() as duck:
        return sorted(row[0] for row in duck.execute(f"SELECT id FROM {lake.table(duck, paths)}").fetchall())


ODD = [
    beat(
        NOON, id=(1 << 63) - 1, entity='a"b\\c\n\x0b\x1f\x7f/é☃\u2028𝄞', project="", language=None, lines=(1 << 63) - 1
    ),
    beat(NOON, id=0, lines=-(1 << 63), dependencies=["", "a", '"'], is_write=False, category="BROWSİNG"),
    beat(1_000_000_000 * S, project="2024-01-01", branch="1", machine="null", is_write=True, ai_input_tokens=0),
    beat(1_999_999_999 * S + 999_999, source_type="test_entry", editor="true", ip_address="::1"),
]


def test_a_heartbeat_comes_back_from_a_file_as_it_was_in_its_record(lake_place):
    assert lake_place.lake.write(PATH, batches_of(rows_of(7, *ODD).sort("user_id", "time", "id"))) == len(ODD)
    found = read_user(lake_place.lake, [PATH], 7, 0, EVER)
    assert sorted(found, key=lambda h: h.id) == sorted(ODD, key=lambda h: h.id)
    assert ids_by_duckdb(lake_place.lake, PATH) == sorted(h.id for h in ODD)


def test_only_the_user_and_the_half_open_interval_are_read(lake_place):
    mine = [beat(NOON + i * S) for i in range(4)]
    lake_place.lake.write(PATH, batches_of(pl.concat([rows_of(7, *mine), rows_of(8, beat(NOON))])))
    assert read_user(lake_place.lake, [PATH], 7, NOON + S, NOON + 3 * S) == mine[1:3]
    measured = read_measured(lake_place.lake, [PATH], 7, NOON + S, NOON + 3 * S)
    assert measured["time_us"].to_list() == [NOON + S, NOON + 2 * S]
    assert measured.schema == MEASURED
    assert read_user(lake_place.lake, [PATH], 9, 0, EVER) == []


def test_several_files_are_read_as_one(lake_place):
    paths = [PATH.replace("00000000", f"0000000{i}") for i in range(3)]
    for i, path in enumerate(paths):
        lake_place.lake.write(path, batches_of(rows_of(7, beat(NOON, id=i))))
    assert sorted(h.id for h in read_user(lake_place.lake, paths, 7, 0, EVER)) == [0, 1, 2]
    assert ids_by_duckdb(lake_place.lake, *paths) == [0, 1, 2]
    assert ids_by_duckdb(lake_place.lake, *paths[1:]) == [1, 2]


def test_a_file_has_the_explicit_schema_and_says_how_it_is_sorted(lake_place):
    lake_place.lake.write(PATH, batches_of(rows_of(7, *ODD)))
    stored = pq.ParquetFile(io.BytesIO(lake_place.get(PATH)))
    assert stored.schema_arrow.equals(LAKE_SCHEMA)
    assert [c.column_index for c in stored.metadata.row_group(0).sorting_columns] == [1, 2, 0]


def test_no_file_is_ever_replaced(lake_place):
    lake_place.lake.write(PATH, batches_of(rows_of(7, ODD[0])))
    with pytest.raises(StorageError, match="exists already"):
        lake_place.lake.write(PATH, batches_of(rows_of(7, *ODD)))
    assert len(read_user(lake_place.lake, [PATH], 7, 0, EVER)) == 1


def test_nothing_that_a_glob_matches_is_there_while_a_file_is_written_nor_after_a_failure(lake_place):
    seen = []

    def failing():
        yield from batches_of(rows_of(7, *ODD))
        seen.extend(path for path in lake_place.files() if path.endswith(".parquet"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lake_place.lake.write(PATH, failing())
    assert seen == []
    assert lake_place.files() == set()


def test_every_parquet_file_is_listed_whoever_put_it_there(lake_place):
    assert lake_place.lake.paths() == []
    lake_place.lake.write(PATH, batches_of(rows_of(7, *ODD)))
    lake_place.put("heartbeats/date=2023-11-14/stranger.parquet", b"hello world")
    lake_place.put("heartbeats/date=2023-11-14/notes.txt", b"hello world")
    assert lake_place.lake.paths() == ["heartbeats/date=2023-11-14/stranger.parquet", PATH]


def test_deleting_does_not_mind_missing_files(lake_place):
    lake_place.lake.write(PATH, batches_of(rows_of(7, *ODD)))
    lake_place.lake.delete([PATH, "never/was.parquet", PATH])
    assert lake_place.files() == set()


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_gone_is_told_from_one_that_is_damaged(lake_place, read):
    with pytest.raises(FileNotFoundError):
        read(lake_place.lake, [PATH], 7, 0, EVER)
    lake_place.put(PATH, b"hello world")
    with pytest.raises(StorageError, match=r"00000000\.parquet"):
        read(lake_place.lake, [PATH], 7, 0, EVER)


def test_row_groups_stay_small_enough_to_find_one_user_quickly(lake_place):
    lake_place.lake.write(PATH, batches_of(rows_of(7, *[beat(NOON + i) for i in range(20_000)])))
    metadata = pq.ParquetFile(io.BytesIO(lake_place.get(PATH))).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [16_384, 3_616]
    assert pa.types.is_timestamp(metadata.schema.to_arrow_schema().field("time").type)
