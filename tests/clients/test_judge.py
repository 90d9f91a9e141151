"""The judge itself, against the recorded tables of clients.md, sections 2 and 3."""

import json

import pytest

from tests.clients.judge import DROPPED, KEPT, LOST, RESENT, TAKEN, fates, printed_status

GOOD = [{"id": 1}, 201]


def bulk(*pairs):
    return json.dumps({"responses": list(pairs)})


@pytest.mark.parametrize("first", [None, {}, {"id": 1, "category": None}])
def test_a_flat_object_or_none_with_201_or_202_is_taken(first):
    assert fates(201, bulk([first, 201], [first, 202]), 2) == [TAKEN, TAKEN]


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 503])
def test_any_other_status_of_the_request_keeps_everything_offline(status):
    assert fates(status, bulk(GOOD), 1) == [KEPT]


def test_an_item_with_400_and_a_reason_is_dropped_and_the_others_taken():
    assert fates(201, bulk(GOOD, [{"error": "time"}, 400], GOOD), 3) == [TAKEN, DROPPED, TAKEN]


@pytest.mark.parametrize("status", [200, 409, 422, 500])
def test_any_other_item_status_is_sent_again_for_ever(status):
    assert fates(201, bulk([{"error": "no"}, status]), 1) == [RESENT]


def test_missing_pairs_are_sent_again_for_ever_and_extra_ones_ignored():
    assert fates(201, bulk(GOOD), 2) == [TAKEN, RESENT]
    assert fates(201, bulk(GOOD, GOOD), 1) == [TAKEN]


@pytest.mark.parametrize("pair", [[{}, "201"], [{"data": {"category": "ai coding"}}, 201], [{}, 400], "ok"])
def test_what_cannot_be_parsed_keeps_everything_offline(pair):
    assert fates(201, bulk(GOOD, pair), 2) == [KEPT, KEPT]


@pytest.mark.parametrize("pair", [[{}], [{"errors": {"time": "text"}}, 400]])
def test_a_pair_that_crashes_the_client_loses_the_heartbeats(pair):
    assert fates(201, bulk(pair), 1) == [LOST]


def test_the_status_bar_prints_its_text_only_when_every_type_fits():
    assert printed_status(200, '{"data":{"grand_total":{"text":"1 hr","total_seconds":3600.0}}}') == "1 hr"
    assert printed_status(200, '{"data":{"grand_total":{"text":"1 hr","decimal":1.0}}}') is None
    assert printed_status(200, '{"data":{"grand_total":{"text":"1 hr","hours":1.5}}}') is None
    assert printed_status(200, '{"data":[]}') is None
    assert printed_status(200, '{"data":null}') == ""
    assert printed_status(201, '{"data":{"grand_total":{"text":"1 hr"}}}') is None
