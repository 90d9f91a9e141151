"""The status bar as a documented route; the front process asks `StatusBarApp` directly."""

from fastapi import APIRouter, Request, Response

from query_api.access import PluginUser, UsedServices
from query_api.config import PLUGINS_PREFIX, PREFIXES
from query_api.errors import invalid_key, json_answer
from query_api.local_days import today_in
from query_api.models import FullStatusBar, StatusBar
from query_api.models_wakatime import WakaToday
from query_api.openapi import KEY, answers
from query_api.parameters import AnyId
from query_api.statusbar import headers_of
from query_api.summaries_report import wakatime_today
from query_api.wakatime_forms import OF_A_DAY

router = APIRouter(tags=["status bar"], default_response_class=Response)


def statusbar_today(request: Request, services: UsedServices, user_id: AnyId) -> Response:  # noqa: ARG001 - the key tells the user
    """Answer your coding time today, in your own time zone: what editors show in their status bar."""
    scope = request.scope
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    status, body = services.statusbar.answer(scope["path"], authorization, scope["query_string"])
    answer = Response(body, status)
    answer.raw_headers = headers_of(status, body)
    return answer


def status_bar_today(services: UsedServices, user: PluginUser, user_id: AnyId) -> Response:  # noqa: ARG001 - the key tells the user
    """Answer your coding time today by project, language and so on.

    WakaTime documents this path, widgets ask it; plugins ask `statusbar/today`, which answers the total alone.
    """
    now_us = services.clock()

    def chosen(timezone: str) -> range:
        today = today_in(timezone, now_us)
        return range(today, today + 1)

    local = services.reader.local_days(user.user_id, chosen, OF_A_DAY)
    if local is None:  # removed since the key was looked up
        raise invalid_key()
    return json_answer(wakatime_today(local, now_us, services.statusbar.words))


for _prefix in (*PREFIXES, PLUGINS_PREFIX):
    _model = StatusBar if _prefix == PREFIXES[0] else FullStatusBar
    _route = router.get(
        f"{_prefix}/users/{{user_id}}/statusbar/today", responses=answers(_model, 401, 422), openapi_extra=KEY
    )
    _route(statusbar_today)
for _prefix in PREFIXES[1:]:
    router.get(
        f"{_prefix}/users/{{user_id}}/status_bar/today", responses=answers(WakaToday, 401, 422), openapi_extra=KEY
    )(status_bar_today)
