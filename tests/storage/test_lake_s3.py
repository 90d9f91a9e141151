"""S3 answering 5xx, breaking connections, being slow or away: nothing lost, nothing double, nothing half-written."""

import io
import itertools
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from aggregator.checks.lake import check_files
from aggregator.compact import compact
from aggregator.flush import begin_flush, flush_tail, write_files
from aggregator.recompute import rebuild
from aggregator.recover import recover
from aggregator.verify import verify
from storage.errors import UnavailableError
from storage.lake.opening import open_lake
from storage.lake.s3 import S3Lake
from storage.stats.shard import Shard
from tests.lakes import S3Place
from tests.servers.s3 import FaultyS3
from tests.stored import DAY, NOON, S, Store, beat

EVER = 1 << 62
BEGIN, PART, COMPLETE = r"^POST .*\?uploads", r"^PUT .*partNumber", r"^POST .*\?uploadId"
BREAKS = [500, 503, "reset"]


@pytest.fixture
def faulty(bucket):
    with FaultyS3(bucket.endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(tmp_path, bucket, faulty):
    place = S3Place(bucket)
    place.lake = S3Lake.at(bucket.url, bucket.environment(faulty.url))
    opened = Store.open(tmp_path, place=place)
    opened.add_user(7)
    yield opened
    opened.database.close()


def filled(store, flushes=3):
    """Heartbeats of two days, in a file each for every flush."""
    sent = []
    for i in range(flushes):
        some = [beat(NOON + i * S, entity=str(i)), beat(NOON + DAY + i * S)]
        sent += some
        store.append(7, *some)
        flush_tail(store.shard, store.lake)
    return sorted(sent, key=lambda h: h.time_us)


@pytest.mark.parametrize("request_", [BEGIN, PART, COMPLETE, "^HEAD"])
@pytest.mark.parametrize("fault", BREAKS)
def test_a_request_that_fails_once_is_repeated_and_the_flush_succeeds(store, faulty, fault, request_):
    store.append(7, beat(NOON, id=1), beat(NOON + S, id=2))
    faulty.fail(fault, request_, times=1)
    assert flush_tail(store.shard, store.lake) == 2
    assert faulty.met == 1
    assert store.place.files() == set(store.files())
    assert [h.id for h in store.history.read(7, 0, EVER)] == [1, 2]


@pytest.mark.parametrize(
    ("fault", "request_"),
    [(500, BEGIN), (503, PART), ("reset", PART), ("cut", PART), ("lost", PART), (500, COMPLETE), ("lost", COMPLETE)],
)
def test_a_flush_to_a_server_that_stays_away_keeps_the_tail_and_leaves_no_object(store, faulty, fault, request_):
    store.append(7, beat(NOON, id=1), beat(NOON + DAY, id=2))
    flush = begin_flush(store.shard)
    faulty.fail(fault, request_)
    with pytest.raises(UnavailableError, match="cannot be written"):
        write_files(flush, store.database, store.lake)
    assert faulty.met > 1
    assert store.tail_rows() == 2
    assert store.place.files() == set()
    faulty.heal()
    assert flush_tail(store.shard, store.lake) == 2
    recover(store.shard, store.lake)
    assert store.place.files() == set(store.files())
    assert sorted(store.place.rows_of_glob()["id"]) == [1, 2]


@pytest.mark.parametrize("fault", ["reset", "lost"])
def test_what_cannot_even_be_deleted_again_is_recovered_later(store, faulty, fault):
    store.append(7, beat(NOON), beat(NOON + DAY))
    flush = begin_flush(store.shard)
    name = flush.files[1].path.rpartition("/")[2]
    faulty.fail(fault, f"{name}|^DELETE")  # the first file is written by then
    with pytest.raises(UnavailableError):
        write_files(flush, store.database, store.lake)
    faulty.heal()
    successor = Shard.take(store.database, "log")
    assert recover(successor, store.lake) == 2
    assert store.place.files() == set()
    assert flush_tail(successor, store.lake) == 2
    assert len(store.place.rows_of_glob()) == 2


def test_a_large_file_that_breaks_off_between_two_parts_never_becomes_an_object(store, faulty, monkeypatch):
    """Whoever closes an upload of pyarrow's completes it: also its destructor."""
    monkeypatch.setattr("storage.lake.s3._BYTES_AT_ONCE", 11 << 20)  # more than pyarrow's part
    faulty.fail("cut", "partNumber=2")
    with pytest.raises(OSError, match="UploadPart"):
        store.lake._upload("heartbeats/large.parquet", io.BytesIO(bytes(25 << 20)))
    assert faulty.met > 1
    assert store.place.files() == set()


def test_a_slow_server_is_waited_for(store, faulty):
    store.append(7, beat(NOON))
    faulty.fail("slow", PART, times=1)
    assert flush_tail(store.shard, store.lake) == 1
    assert len([request for request in faulty.requests if request.startswith("PUT")]) == 1


@pytest.mark.parametrize("fault", BREAKS)
def test_a_read_that_fails_once_is_repeated_and_one_that_keeps_failing_is_unavailable(store, faulty, fault):
    sent = filled(store)
    faulty.fail(fault, "^GET", times=1)
    assert store.history.read(7, 0, EVER) == sent
    assert faulty.met == 1
    faulty.fail(fault)
    with pytest.raises(UnavailableError, match="cannot be read"):
        store.history.read(7, 0, EVER)
    with pytest.raises(UnavailableError, match="DuckDB failed on the lake"):
        list(verify(store.database, store.lake))
    faulty.heal()
    assert store.history.read(7, 0, EVER) == sent


@pytest.mark.parametrize("fault", BREAKS)
def test_a_server_that_is_away_is_not_taken_for_damage(store, faulty, fault):
    """What is damaged may be given up; what cannot be asked for now must not be."""
    filled(store, flushes=1)
    assert list(check_files(store.database, store.lake)) == []
    faulty.fail(fault)
    with pytest.raises(UnavailableError, match="cannot be read"):
        list(check_files(store.database, store.lake))
    faulty.heal()
    gone, damaged = sorted(store.place.files())
    store.place.remove(gone)
    store.place.put(damaged, store.place.get(damaged)[:-100])
    found = {damage.file.path: damage.what for damage in check_files(store.database, store.lake)}
    assert found[gone] == "is missing"
    assert "cannot be read" in found[damaged]


def test_what_needs_no_object_is_answered_while_the_server_is_away(store, faulty):
    store.append(7, beat(NOON, id=1))
    faulty.fail("reset")
    assert [h.id for h in store.history.read(7, 0, EVER)] == [1]
    assert faulty.requests == []


@pytest.mark.parametrize("fault", [500, "lost"])
def test_a_compaction_that_fails_leaves_the_old_objects_and_the_next_one_succeeds(store, faulty, fault):
    sent = filled(store)
    rebuild(store.shard, store.lake)
    before = store.files()
    faulty.fail(fault, COMPLETE)
    with pytest.raises(UnavailableError):
        compact(store.shard, store.lake, now_s=2e9)
    assert store.files() == before
    assert store.place.files() == set(before)
    faulty.heal()
    assert compact(store.shard, store.lake, now_s=2e9) == 2
    assert store.place.files() == set(store.files())
    assert store.history.read(7, 0, EVER) == sent
    assert list(verify(store.database, store.lake)) == []


class CompactsBeforeReading:
    """A lake whose objects are compacted after a job's snapshot of the catalog, before the first of them is read."""

    def __init__(self, store):
        self.store = store
        self.compacted = 0

    def table(self, duck, paths):
        if not self.compacted:
            self.compacted = 1
            compact(self.store.shard, self.store.lake, now_s=2e9)
        return self.store.lake.table(duck, paths)


def test_a_job_whose_objects_were_compacted_away_takes_a_new_snapshot(store):
    filled(store)
    rebuild(store.shard, store.lake)
    lake = CompactsBeforeReading(store)
    assert list(verify(store.database, lake, 7)) == []
    assert lake.compacted


def compact_before(store, faulty, get):
    """Let closed days be compacted between two requests: before the answer to the GET of that number, from 1."""
    gets = itertools.count(1)

    def compact_now():
        if next(gets) == get:
            faulty.heal()
            compact(store.shard, store.lake, now_s=2e9)

    faulty.fail(compact_now, "^GET")


@pytest.mark.parametrize("get", [1, 2, 3])
@pytest.mark.parametrize("stream", [False, True])
def test_an_object_that_is_deleted_in_the_midst_of_reading_means_a_new_snapshot(store, faulty, stream, get):
    """pyarrow asks for an object's length, for its footer, for its columns: compaction can come between any two."""
    sent = filled(store)
    rebuild(store.shard, store.lake)
    compact_before(store, faulty, get)
    history = store.history
    found = [h for chunk in history.stream(7, 0, EVER) for h in chunk] if stream else history.read(7, 0, EVER)
    assert found == sent
    assert len(store.files()) == 2, "nothing was compacted"


def test_an_object_that_is_deleted_in_the_midst_of_a_jobs_reading_means_a_new_snapshot(store, faulty):
    filled(store)
    rebuild(store.shard, store.lake)
    compact_before(store, faulty, 2)
    assert list(verify(store.database, store.lake, 7)) == []
    assert len(store.files()) == 2, "nothing was compacted"


def test_an_object_that_is_deleted_while_it_is_fetched_is_gone_and_not_damaged(store, faulty):
    filled(store)
    path = min(store.files())
    compact_before(store, faulty, 1)
    with pytest.raises(FileNotFoundError):
        store.lake.open(path)


def test_objects_that_stay_missing_are_an_error_and_not_a_loop(store):
    filled(store)
    for path in store.place.files():
        store.place.remove(path)
    with pytest.raises(UnavailableError, match="missing"):
        store.history.read(7, 0, EVER)
    with pytest.raises(UnavailableError, match="cannot be read"):
        list(verify(store.database, store.lake))


def test_one_users_rows_are_found_without_reading_the_rest(store, faulty):
    """Row groups by their statistics, columns by name: the rest of the object is never asked for."""
    for user_id in range(1, 5):
        store.append(user_id, *[beat(NOON + i, entity=f"{user_id}{i * 7919}") for i in range(16_384)])
    flush_tail(store.shard, store.lake)
    (path,) = store.files()
    assert pq.ParquetFile(io.BytesIO(store.place.get(path))).metadata.num_row_groups == 4
    faulty.sent_bytes = 0
    assert len(store.history.read(3, NOON, NOON + 10)) == 10
    assert 0 < faulty.sent_bytes < len(store.place.get(path)) / 2


def test_the_usual_variables_say_where_the_server_is(bucket, monkeypatch):
    away = "http://127.0.0.1:1"
    variables = bucket.environment(away) | {"AWS_ENDPOINT_URL_S3": bucket.endpoint, "AWS_REGION": ""}
    for name, value in (variables | {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_SESSION_TOKEN": "token"}).items():
        monkeypatch.setenv(name, value)
    lake = open_lake(f"{bucket.url}/")
    lake.delete(["never/was.parquet"])
    assert (lake.root, lake._files.region) == (bucket.url.removeprefix("s3://"), "eu-central-1")


def test_a_bucket_that_is_not_there_is_unavailable_and_named(bucket):
    lake = S3Lake.at("s3://no-such-bucket/lake", bucket.environment())
    with pytest.raises(UnavailableError, match="no-such-bucket"):
        lake.write("x.parquet", [])


def test_a_process_that_used_the_lake_ends_by_itself(bucket):
    """The AWS client keeps threads; arrow's issue 50188 tells of processes that never ended."""
    use = f"from storage.lake.opening import open_lake\nlake = open_lake({bucket.url!r})\nlake.write('x.parquet', [])"
    done = subprocess.run(
        [sys.executable, "-c", use], env=bucket.environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert bucket.keys() == {"lake/x.parquet"}
