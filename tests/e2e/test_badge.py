"""Badges over HTTP, sent through ingest (semantics.md, section 7 and its first table)."""

import re

from tests.e2e.history import beat

START_S = 1_700_000_000


def badge(account, project, **params):
    response = account.server.http.get(f"/api/v1/badge/{account.username}/{project}", params=params or None)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/svg+xml"
    return response.text


def texts(svg):
    return re.findall("<text[^>]*>([^<]*)</text>", svg)


def test_a_badge_shows_a_projects_time_of_all_times(account):
    account.send(
        *(beat(START_S + 120 * i, project="app") for i in range(33)),
        *(beat(START_S + 86_400 * 400 + 60 * i, project="app") for i in range(2)),
        beat(START_S, project="lone"),
    )
    account.send(*(beat(START_S + 120 * i, project="apple") for i in range(99)))
    assert texts(badge(account, "app")) == ["hackatime", "1h 7m"]
    assert texts(badge(account, "team/app", label="time & more")) == ["time &amp; more", "1h 7m"]
    assert texts(badge(account, "app", aliases="apple,lone"))[-1] == "4h 23m"
    assert 'fill="#97ca00"' in badge(account, "app", color="green")
    for project, status in (("lone", 400), ("ap", 404), ("APP", 404)):
        response = account.get(f"/api/v1/badge/{account.username}/{project}")
        assert (response.status_code, list(response.json())) == (status, ["error"])
