"""The status bar as a documented route; the front process asks `StatusBarApp` directly."""

from fastapi import APIRouter, Request, Response

from query_api.access import UsedServices
from query_api.config import PREFIXES
from query_api.models import FullStatusBar, StatusBar
from query_api.openapi import KEY, answers
from query_api.parameters import AnyId
from query_api.statusbar import headers_of

router = APIRouter(tags=["status bar"], default_response_class=Response)


def statusbar_today(request: Request, services: UsedServices, user_id: AnyId) -> Response:  # noqa: ARG001 - the key tells the user
    """Answer your coding time today, in your own time zone: what editors show in their status bar."""
    scope = request.scope
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    status, body = services.statusbar.answer(scope["path"], authorization, scope["query_string"])
    answer = Response(body, status)
    answer.raw_headers = headers_of(status, body)
    return answer


for _prefix, _model in zip(PREFIXES, (StatusBar, FullStatusBar, FullStatusBar), strict=True):
    _route = router.get(
        f"{_prefix}/users/{{user_id}}/statusbar/today", responses=answers(_model, 401, 422), openapi_extra=KEY
    )
    _route(statusbar_today)
