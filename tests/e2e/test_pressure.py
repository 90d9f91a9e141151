"""Many at once, much for one, and no room: what is acknowledged is there once, and nothing else is acknowledged."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests import oracle
from tests.e2e.history import beat, seen
from tests.server import HACKATIME, Server

T = 1_700_000_000
WINDOW = {"start": "2023-11-14", "end": "2023-11-20"}
BULK = f"{HACKATIME}/users/current/heartbeats.bulk"


def test_many_requests_at_once_are_all_kept_once(server):
    account = server.new_account(timezone="Asia/Kolkata")
    bulks = [[beat(T + 7 * i + 1_000 * (n % 10), project=f"p{i % 3}") for i in range(25)] for n in range(40)]

    def send(bulk):
        with httpx.Client(base_url=server.url, headers=account.headers, timeout=30) as client:
            response = client.post(BULK, json=bulk)
        assert response.status_code == 201
        return [stored for stored, _ in response.json()["responses"]]

    with ThreadPoolExecutor(8) as pool:
        answered = [h for stored in pool.map(send, bulks) for h in stored]
    server.settle()
    body = account.heartbeats(**WINDOW)
    accepted = oracle.accepted(seen(answered))
    assert len(accepted) == 10 * 25  # each was sent four times
    assert [h["id"] for h in body["heartbeats"]] == [h["id"] for h in accepted]
    assert body["total_seconds"] == account.total() == oracle.total_seconds(accepted)


def test_thousands_of_heartbeats_are_listed_in_order_from_tail_and_parquet(account):
    answered = []
    for n in range(30):
        request = [beat(T + (n * 7_919 + i * 104_729) % 400_000 + i / 128, lineno=i) for i in range(100)]
        answered += account.send(*request, settle=False)
        if n == 15:
            account.server.settle()
            account.server.cli("flush")
    account.server.settle()
    expected = oracle.window(seen(answered), 0, 2**61)
    body = account.heartbeats(**WINDOW)
    assert len(expected["ids"]) == 3_000
    assert [h["id"] for h in body["heartbeats"]] == expected["ids"]
    assert body["total_seconds"] == expected["total_seconds"]
    assert [h["id"] for h in account.heartbeats(limit=100)["heartbeats"]] == expected["ids"][-100:]


def test_a_full_disk_is_a_503_to_try_again_and_reading_goes_on(tmp_path, places):
    with Server(tmp_path, HEARTLINE_MIN_FREE=str(1 << 60), **places.new()) as server:
        account = server.new_account()
        for response in (account.bulk([beat(T)]), account.single(beat(T))):
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) > 0
            assert set(response.json()) == {"error"}
        assert account.heartbeats(**WINDOW)["heartbeats"] == []
        assert account.statusbar()["total_seconds"] == 0
        assert server.stop() == 0
