"""Metrics of all processes at the one port."""

from prometheus_client.parser import text_string_to_metric_families

from tests.server import HACKATIME, eventually


def read(server):
    """{(name, labels): value} of what /metrics answers."""
    response = server.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    samples = [s for family in text_string_to_metric_families(response.text) for s in family.samples]
    return {(s.name, *sorted(s.labels.values())): s.value for s in samples}


def test_every_process_counts_and_the_database_tells_the_rest(server, account):
    before = read(server)
    beat = {"entity": "/a.py", "type": "file", "time": 1_700_000_000}
    account.send(beat, {**beat, "time": 1_700_000_060}, settle=False)
    account.send(beat, settle=False)
    refused = account.bulk([{**beat, "time": "nonsense"}])
    assert refused.status_code == 201
    account.send({**beat, "time": 1_700_000_120})
    after = read(server)

    def grown(*key):
        return after.get(key, 0) - before.get(key, 0)

    assert grown("heartline_ingest_heartbeats_total", "accepted") >= 4
    assert grown("heartline_ingest_heartbeats_total", "rejected") == 1
    assert grown("heartline_aggregator_heartbeats_total", "new") >= 3
    assert grown("heartline_aggregator_heartbeats_total", "duplicate") == 1
    assert grown("heartline_tail_heartbeats") >= 3
    assert grown("heartline_request_seconds_count", "2xx", "front") >= 4
    assert any(name == "heartline_watermark" for name, *_ in after)


def test_what_was_flushed_shows_as_parquet(server, account):
    account.send({"entity": "/a.py", "type": "file", "time": 1_700_000_000})
    server.cli("flush")
    after = read(server)
    assert (after["heartline_tail_heartbeats",], after["heartline_lake_heartbeats",] > 0) == (0, True)


def test_metrics_show_no_names_and_no_keys(server, account):
    account.get(f"{HACKATIME}/users/current/statusbar/today", api_key=account.key)
    text = server.http.get("/metrics").text
    assert account.key not in text
    assert account.username not in text
    assert eventually(lambda: server.http.head("/metrics").status_code, 200) == 200
