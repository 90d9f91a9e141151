"""`/openapi.json`: FastAPI's description of the routes, with the schemas of the structs that answers are made of."""

from collections import Counter
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from ingest.openapi import INGEST_PATHS, INGEST_SCHEMAS
from query_api import models, models_days, models_projects, models_wakatime
from query_api.config import PLUGINS_PREFIX, PREFIXES
from schemas import openapi
from schemas.openapi import REF, SECURITY_SCHEMES, TOO_MANY, Object, always_answered, answer, reference

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's `responses`; Any: OpenAPI objects have no one type."""

KEY: Final[Object] = {"security": openapi.KEY}
"""For `openapi_extra` of a route that needs a key."""

OPTIONAL_KEY: Final[Object] = {"security": openapi.OPTIONAL_KEY}
"""For `openapi_extra` of a route that knows its caller by the key, if there is one."""

TAGS: Final = (
    {"name": "heartbeats", "description": "What plugins send."},
    {"name": "status bar", "description": "What editors show all day."},
    {"name": "stats", "description": "Coding time over a range, in Hackatime's form."},
    {"name": "summaries", "description": "Local days one by one."},
    {"name": "projects", "description": "Projects, stretches of work, totals, badges."},
    {"name": "my heartbeats", "description": "Your own heartbeats as they were stored."},
    {"name": "users", "description": "Profiles, trust, lookups."},
    {"name": "WakaTime and Wakapi", "description": "What was made for those finds its routes and forms here."},
    {"name": "health", "description": "For monitors."},
)
"""In the order in which people read of them."""

_FAMILIES: Final = dict(
    zip((*PREFIXES, PLUGINS_PREFIX), ("hackatime", "wakatime", "wakapi", "wakapis_plugins"), strict=True)
)
_ANSWERS: Final = (*models.ANSWERS, *models_days.ANSWERS, *models_projects.ANSWERS, *models_wakatime.ANSWERS)

_ERRORS: Final = {
    400: "The request cannot be read, or not answered as it is asked; the error says why.",
    401: "The API key is missing or unknown: `Invalid API key`.",
    403: "The user shows their stats to nobody else.",
    404: "There is no such user.",
    422: "A parameter cannot be used; the error says which and why.",
    429: TOO_MANY,
    500: "Something broke on our end.",
    503: "The database is unavailable, or too much is being computed.",
}


def answers(model: type, *errors: int, not_found: type = models.ErrorAnswer, is_limited: bool = True) -> Responses:
    """Describe a route's answers: `model` as JSON, these errors, and 400, 500 and 503, which every route may give.

    `is_limited`: 429 as well, where the operator limits requests.
    """
    described: Responses = {200: answer(200, str(model.__doc__), reference(model.__name__))}
    limits = (429,) if is_limited else ()
    for status in sorted({400, *errors, *limits, 500, 503}):
        body = not_found if status == 404 else models.ErrorAnswer
        described[status] = answer(status, _ERRORS[status], reference(body.__name__))
    return described


def either(first: type, second: type, *errors: int) -> Responses:
    """Describe a route that answers with one of two models."""
    described = answers(first, *errors)
    schema = {"anyOf": [reference(model.__name__) for model in (first, second)]}
    described[200]["content"]["application/json"]["schema"] = schema
    return described


class HeartlineApi(FastAPI):
    """A FastAPI application whose description also covers ingest and the answers' structs."""

    def openapi(self) -> dict[str, Any]:
        """Describe the whole API; made once."""
        if self.openapi_schema is None:
            schema = super().openapi()
            _name_operations(schema["paths"])
            for operation in _operations(schema["paths"]):
                _summarise(operation)
                _drop_nulls(operation)
            for path, operations in INGEST_PATHS.items():
                schema["paths"].setdefault(path, {}).update(operations)
            schema["components"] = {"schemas": _schemas(), "securitySchemes": SECURITY_SCHEMES}
            self.openapi_schema = schema
        return self.openapi_schema


def _operations(paths: Object) -> list[Object]:
    return [operation for item in paths.values() for operation in item.values()]


def _name_operations(paths: Object) -> None:
    """Name each operation as its handler, of which FastAPI makes the summary; where it has several, with the prefix."""
    handlers = Counter(operation["summary"] for operation in _operations(paths))
    for path, item in paths.items():
        family = next((name for prefix, name in _FAMILIES.items() if path.startswith(prefix)), "")
        for operation in item.values():
            name = operation["summary"].lower().replace(" ", "_")
            operation["operationId"] = name if handlers[operation["summary"]] == 1 else f"{name}_{family}"


def _summarise(operation: Object) -> None:
    """Take the handler's first line for the summary, and the rest for the description."""
    operation["summary"], _, operation["description"] = operation["description"].partition("\n\n")


def _drop_nulls(operation: Object) -> None:
    """Say nothing of null in parameters: no address can hold it. It stands for "not there" in the handlers."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        choices = [choice for choice in schema.pop("anyOf", ()) if choice != {"type": "null"}]
        parameter["schema"] = (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}) | schema


def _schemas() -> Object:
    _, structs = msgspec.json.schema_components(_ANSWERS, ref_template=REF)
    return INGEST_SCHEMAS | {name: always_answered(schema) for name, schema in structs.items()}
