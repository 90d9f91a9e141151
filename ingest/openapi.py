"""What `/openapi.json` says of the routes that FastAPI does not serve."""

from typing import Any, Final

import msgspec

from schemas.heartbeat import MAX_HEARTBEATS, HeartbeatAnswer, Wire

Object = dict[str, Any]  # Any: OpenAPI objects have no one type

_SECURITY: Final[list[Object]] = [{"bearer": []}, {"basic": []}, {"api_key": []}]
_, _STRUCTS = msgspec.json.schema_components([Wire, HeartbeatAnswer])


def _object(**properties: Object) -> Object:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _answer(description: str, schema: Object, **headers: str) -> Object:
    described: Object = {"description": description, "content": {"application/json": {"schema": schema}}}
    if headers:
        named = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
        described["headers"] = named
    return described


_HEARTBEAT: Final[Object] = {**_STRUCTS["Wire"], "required": ["time"]}
_HEARTBEATS: Final[Object] = {"type": "array", "items": _HEARTBEAT, "minItems": 1, "maxItems": MAX_HEARTBEATS}
_STORED: Final[Object] = _STRUCTS["HeartbeatAnswer"]
_ERROR: Final = _object(error={"type": "string"})
_REJECTED: Final = _object(error={"type": "string"}, type={"type": "string"})
_PAIR: Final[Object] = {
    "type": "array",
    "minItems": 2,
    "maxItems": 2,
    "prefixItems": [{"anyOf": [_STORED, _REJECTED]}, {"type": "integer", "enum": [201, 400]}],
}
_ENVELOPE: Final = _object(hackatime={"anyOf": [_HEARTBEAT, _object(heartbeats=_HEARTBEATS)]})
_REFUSALS: Final[Object] = {
    "400": _answer(f"No heartbeats, more than {MAX_HEARTBEATS}, or no JSON: nothing was stored.", _ERROR),
    "401": _answer("The API key is missing or unknown: `Invalid API key`.", _ERROR),
    "413": _answer("The body is larger than the limit.", _ERROR),
    "503": _answer("Nothing can be stored now.", _ERROR, Retry_After="Seconds to wait before sending it all again."),
}
_ID: Final[Object] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Anything, such as `current`: the key alone tells the user.",
    "schema": {"type": "string"},
}
_MACHINE: Final[Object] = {
    "name": "X-Machine-Name",
    "in": "header",
    "description": "The machine's name, percent-encoded or not; wins over the body's `machine`.",
    "schema": {"type": "string"},
}


def _operation(name: str, summary: str, bodies: list[Object], answers: Object) -> Object:
    body = {"required": True, "content": {"application/json": {"schema": {"anyOf": bodies}}}}
    return {
        "post": {
            "tags": ["heartbeats"],
            "operationId": name,
            "summary": summary,
            "description": "An answer of 2xx means that what was accepted is durable. Repeats are harmless.",
            "parameters": [_ID, _MACHINE],
            "security": _SECURITY,
            "requestBody": body,
            "responses": {**answers, **_REFUSALS},
        }
    }


def _paths(prefix: str, name: str) -> dict[str, Object]:
    taken = _answer("The heartbeat as stored.", _STORED)
    rejected = _answer("The heartbeat can never be taken; the error says why.", _REJECTED)
    pairs: Object = {"type": "array", "items": _PAIR}
    responses = _answer(
        "One pair for each heartbeat, in order; 400 beside those that can never be taken.", _object(responses=pairs)
    )
    return {
        f"{prefix}/users/{{id}}/heartbeats": _operation(
            f"send_heartbeat_{name}",
            "Send one heartbeat",
            [_HEARTBEAT, _HEARTBEATS, _ENVELOPE],
            {"202": taken, "422": rejected},
        ),
        f"{prefix}/users/{{id}}/heartbeats.bulk": _operation(
            f"send_heartbeats_{name}",
            f"Send up to {MAX_HEARTBEATS} heartbeats",
            [_HEARTBEATS, _ENVELOPE],
            {"201": responses},
        ),
    }


INGEST_PATHS: Final[dict[str, Object]] = {
    **_paths("/api/hackatime/v1", "hackatime"),
    **_paths("/api/v1", "wakatime"),
    **_paths("/api/compat/wakatime/v1", "wakapi"),
}
"""Path to OpenAPI path item, of both routes under each prefix."""
