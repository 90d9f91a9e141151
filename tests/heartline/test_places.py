import shutil
import socket

import pytest

from heartline.places import FreeSpace, StartError, listen, prepare_folders, public_url
from heartline.settings import read_settings


def test_every_folder_is_made(tmp_path):
    settings = read_settings({"data": str(tmp_path / "a" / "b"), "lake_url": str(tmp_path / "c")})
    prepare_folders(settings)
    assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "c").is_dir()
    assert list((tmp_path / "c").iterdir()) == []


def test_a_lake_on_s3_needs_no_folder_and_no_room_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = read_settings({"data": str(tmp_path / "data"), "lake_url": "s3://bucket/some/lake"})
    prepare_folders(settings)
    assert settings.lake_path is None
    assert FreeSpace(settings).reason() is None
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    settings = read_settings({"data": str(tmp_path / "data"), "lake_url": str(tmp_path / "file" / "lake")})
    with pytest.raises(StartError, match="file/lake cannot be written: Not a directory"):
        prepare_folders(settings)


def test_a_port_in_use_is_named():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"Port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_named():
    with pytest.raises(StartError, match=r"Cannot listen at 192\.0\.2\.1, port 0"):
        listen("192.0.2.1", 0)


def test_connections_wait_from_the_moment_of_listening():
    with listen("localhost", 0) as listener, socket.create_connection(listener.getsockname()[:2], timeout=5):
        host, port = listener.getsockname()[:2]
        assert public_url(listener) in (f"http://{host}:{port}", f"http://[{host}]:{port}")


def test_the_address_of_all_interfaces_is_shown_as_one_that_can_be_reached():
    with listen("0.0.0.0", 0) as listener:  # noqa: S104 - that is the case
        assert public_url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_too_little_room_is_a_reason_until_there_is_room_again(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    roomy = FreeSpace(read_settings({"data": str(tmp_path), "lake_url": str(tmp_path), "min_free": free // 2}))
    assert roomy.reason() is None
    narrow = FreeSpace(read_settings({"data": str(tmp_path), "lake_url": str(tmp_path), "min_free": free * 2}))
    assert "bytes are free" in narrow.reason()
    narrow._min_free_bytes = 0
    narrow.check()
    assert narrow.reason() is None
