"""`/openapi.json`: FastAPI's description of the routes, with the schemas of the structs that answers are made of."""

from typing import Any, Final

import msgspec
from fastapi import FastAPI

from ingest.openapi import INGEST_PATHS
from query_api import models, models_days, models_projects, models_wakatime

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's `responses`; Any: OpenAPI objects have no one type."""

_REF: Final = "#/components/schemas/{name}"

KEY: Final[dict[str, Any]] = {"security": [{"bearer": []}, {"basic": []}, {"api_key": []}]}
"""For `openapi_extra` of a route that needs a key."""

OPTIONAL_KEY: Final[dict[str, Any]] = {"security": [{}, *KEY["security"]]}
"""For `openapi_extra` of a route that knows its caller by the key, if there is one."""

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key, bare or in base64."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "base64 of the API key alone (as wakatime-cli sends it), of `key:` or of `user:key`.",
    },
    "api_key": {"type": "apiKey", "in": "query", "name": "api_key", "description": "The API key."},
}

_ANSWERS: Final = (*models.ANSWERS, *models_days.ANSWERS, *models_projects.ANSWERS, *models_wakatime.ANSWERS)

_ERRORS: Final = {
    400: "The question cannot be answered as it is asked; the error says why.",
    401: "The API key is missing or unknown: `Invalid API key`.",
    403: "The user shows their stats to nobody else.",
    404: "There is no such user.",
    422: "A parameter cannot be used; the error says which and why.",
    500: "Something broke on our end.",
    503: "The database is unavailable, or too much is being computed; `Retry-After` says when to try again.",
}


def answers(model: type, *errors: int, not_found: type = models.ErrorAnswer) -> Responses:
    """Describe a route's answers: `model` as JSON, these errors, and those that every route may give."""
    described: Responses = {error: _described(_ERRORS[error], models.ErrorAnswer) for error in (*errors, 500, 503)}
    if 404 in errors:
        described[404] = _described(_ERRORS[404], not_found)
    return {200: _described(str(model.__doc__), model), **described}


def either(first: type, second: type, *errors: int) -> Responses:
    """Describe a route that answers with one of two models."""
    described = answers(first, *errors)
    schema = {"anyOf": [{"$ref": _REF.format(name=model.__name__)} for model in (first, second)]}
    described[200]["content"]["application/json"]["schema"] = schema
    return described


def _described(description: str, model: type) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=model.__name__)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


class HeartlineApi(FastAPI):
    """A FastAPI application whose description also covers ingest and the answers' structs."""

    def openapi(self) -> dict[str, Any]:
        """Describe the whole API; made once."""
        if self.openapi_schema is None:
            schema = super().openapi()
            components = schema.setdefault("components", {})
            _, schemas = msgspec.json.schema_components(_ANSWERS, ref_template=_REF)
            components.setdefault("schemas", {}).update(schemas)
            components["securitySchemes"] = _SCHEMES
            for path, operations in INGEST_PATHS.items():
                schema["paths"].setdefault(path, {}).update(operations)
            self.openapi_schema = schema
        return self.openapi_schema
