"""Every error of the API in one shape, `{"error": "…"}`, and the one place where exceptions become statuses."""

import logging
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from query_api.config import RETRY_AFTER_S
from schemas.openapi import CHALLENGE
from storage.errors import UnavailableError

_log = logging.getLogger(__name__)

_PHRASES: Final = {404: "Not found", 405: "Method not allowed"}


class ApiError(Exception):
    """An answer other than success; `fields` stand beside the error in its body."""

    def __init__(self, status: int, message: str, **fields: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": message, **fields}


def invalid_key() -> ApiError:
    """Say that a key is missing or unknown."""
    return ApiError(401, "Invalid API key")


def user_not_found(**fields: str) -> ApiError:
    """Say that there is no such user."""
    return ApiError(404, "User not found", **fields)


def json_answer(body: object, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def install_error_handlers(app: FastAPI) -> None:
    """Give every error of `app` the one shape."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_exception_handler(Exception, _unexpected)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this type alone
    answer = json_answer(error.body, error.status)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = CHALLENGE
    elif error.status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    answer = json_answer({"error": _PHRASES.get(error.status_code, error.detail)}, error.status_code)
    answer.headers.update(error.headers or {})
    if answer.headers.get("Allow") == "GET":  # every route here; HEAD is made of it before
        answer.headers["Allow"] = "GET, HEAD"
    return answer


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    return json_answer({"error": "; ".join(_sentence(problem) for problem in error.errors())}, 422)


def _sentence(problem: dict[str, Any]) -> str:  # Any: pydantic's own description of a problem
    return f"{problem['loc'][-1]}: {problem['msg']}"


async def _unavailable(request: Request, error: Exception) -> Response:
    _log.error("%s cannot be answered now: %s", request.scope["path"], error)
    answer = json_answer({"error": "The database is unavailable, try again soon"}, 503)
    answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


async def _unexpected(_: Request, __: Exception) -> Response:
    # The server logs the traceback. This answer is made outside of the middleware, hence its headers.
    answer = json_answer({"error": "Internal server error"}, 500)
    answer.headers.update({"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"})
    return answer
