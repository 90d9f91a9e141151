"""What `/openapi.json` says of the routes that FastAPI does not serve."""

from typing import Final

import msgspec

from schemas.heartbeat import MAX_HEARTBEATS, HeartbeatAnswer, Wire
from schemas.normalise import (
    MAX_DEPENDENCIES,
    MAX_ENTITY_BYTES,
    MAX_INTEGER,
    MAX_KEY_BYTES,
    MAX_USER_AGENT_BYTES,
    MIN_INTEGER,
)
from schemas.openapi import KEY, TOO_MANY, Object, always_answered, answer, reference

_ERROR: Final = reference("ErrorAnswer")
_REJECTED: Final = reference("Rejected")
_STORED: Final = reference("HeartbeatAnswer")
_HEARTBEAT: Final = reference("Heartbeat")
_HEARTBEATS: Final = reference("Heartbeats")
_ENVELOPE: Final = reference("Envelope")
_PAIRS: Final = reference("HeartbeatPairs")

_TIME: Final[Object] = {
    "type": "number",
    "minimum": 1_000_000_000,
    "maximum": 1_999_999_999,
    "description": "Unix epoch seconds with a fraction. Milli-, micro- and nanoseconds, numbers in text, and dates "
    "such as 2026-01-31T12:00:00Z are understood as well.",
    "examples": [1_769_860_800.25],
}
_DESCRIBED: Final[Object] = {
    "time": _TIME,
    "entity": {"description": "What was worked on, such as a file's path.", "examples": ["/work/app/main.py"]},
    "type": {"description": "`file`, `app`, `domain`, `url`…"},
    "category": {"description": "Default: `coding`; `browsing` for a domain or url.", "examples": ["coding"]},
    "language": {"description": "Found by the file's name where it is missing. `<<LAST_LANGUAGE>>`: as before."},
    "branch": {"description": "`<<LAST_BRANCH>>`: as before."},
    "machine": {"description": "The header `X-Machine-Name` wins."},
    "user_agent": {"description": "Tells editor and system. Where it is missing: `plugin`, else the header."},
}
_BYTES: Final = {"entity": MAX_ENTITY_BYTES, "user_agent": MAX_USER_AGENT_BYTES, "plugin": MAX_USER_AGENT_BYTES}


def _object(description: str, **properties: Object) -> Object:
    return {"type": "object", "description": description, "properties": properties, "required": list(properties)}


def _bounded(name: str, schema: Object) -> Object:
    """Add the bounds of schemas/normalise.py, which are in bytes, to a field's schema."""
    choices = [
        {
            "string": {"type": "string", "maxLength": _BYTES.get(name, MAX_KEY_BYTES)},
            "integer": {"type": "integer", "minimum": MIN_INTEGER, "maximum": MAX_INTEGER},
            "array": {
                "type": "array",
                "items": {"type": "string", "maxLength": MAX_KEY_BYTES},
                "maxItems": MAX_DEPENDENCIES,
            },
        }.get(choice["type"], choice)
        for choice in schema["anyOf"]
    ]
    return {"anyOf": choices}


def _heartbeat() -> Object:
    _, structs = msgspec.json.schema_components([Wire])
    fields = {name: _bounded(name, schema) for name, schema in structs["Wire"]["properties"].items() if name != "time"}
    properties = {"time": {}, **fields}
    described = {name: {**schema, **_DESCRIBED.get(name, {})} for name, schema in properties.items()}
    return {
        "type": "object",
        "description": "A heartbeat as a plugin sends it. Only `time` is needed; unknown fields are ignored. Texts are "
        "bounded in bytes of UTF-8, and numbers and booleans may be in text.",
        "properties": described,
        "required": ["time"],
    }


def _answered() -> Object:
    _, structs = msgspec.json.schema_components([HeartbeatAnswer])
    return always_answered(structs["HeartbeatAnswer"])


INGEST_SCHEMAS: Final[Object] = {
    "Heartbeat": _heartbeat(),
    "Heartbeats": {"type": "array", "items": _HEARTBEAT, "minItems": 1, "maxItems": MAX_HEARTBEATS},
    "Envelope": _object(
        "What Hackatime's own clients wrap heartbeats in.",
        hackatime={"anyOf": [_HEARTBEAT, _object("Several.", heartbeats=_HEARTBEATS)]},
    ),
    "HeartbeatAnswer": _answered(),
    "Rejected": _object("Why a heartbeat can never be taken.", error={"type": "string"}, type={"type": "string"}),
    "ErrorAnswer": _object("What went wrong, in words.", error={"type": "string"}),
    "HeartbeatPair": {
        "description": "A stored heartbeat and 201, or why it was rejected and 400.",
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "prefixItems": [{"anyOf": [_STORED, _REJECTED]}, {"type": "integer", "enum": [201, 400]}],
    },
    "HeartbeatPairs": _object(
        "One pair for each heartbeat, in order.", responses={"type": "array", "items": reference("HeartbeatPair")}
    ),
}
"""Name to schema, of what the paths below refer to."""

_REFUSALS: Final[Object] = {
    "400": answer(400, f"No heartbeats, more than {MAX_HEARTBEATS}, or no JSON: nothing was stored.", _ERROR),
    "401": answer(401, "The API key is missing or unknown: `Invalid API key`.", _ERROR),
    "408": answer(408, "The request did not arrive in time: nothing was stored.", _ERROR),
    "413": answer(413, "The body is larger than the limit.", _ERROR),
    "429": answer(429, TOO_MANY, _ERROR),
    "500": answer(500, "Something broke on our end.", _ERROR),
    "503": answer(503, "Nothing can be stored now: send it all again.", _ERROR),
}
_ID: Final[Object] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Anything, such as `current`: the key alone tells the user.",
    "schema": {"type": "string", "examples": ["current"]},
}
_MACHINE: Final[Object] = {
    "name": "X-Machine-Name",
    "in": "header",
    "description": "The machine's name, percent-encoded or not; wins over the body's `machine`.",
    "schema": {"type": "string", "maxLength": MAX_KEY_BYTES},
}


def _operation(name: str, summary: str, bodies: list[Object], answers: Object) -> Object:
    return {
        "post": {
            "tags": ["heartbeats"],
            "operationId": name,
            "summary": summary,
            "description": "2xx means that what was accepted is durable. Repeats are harmless. The body is JSON, "
            "whatever its Content-Type says, and not compressed.",
            "parameters": [_ID, _MACHINE],
            "security": KEY,
            "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": bodies}}}},
            "responses": {**answers, **_REFUSALS},
        }
    }


def _paths(prefix: str, name: str) -> dict[str, Object]:
    pairs = answer(201, "One pair for each heartbeat, in order; 400 beside those that can never be taken.", _PAIRS)
    single: Object = {
        "202": answer(202, "The heartbeat as stored.", _STORED),
        "422": answer(422, "The heartbeat can never be taken; the error says why.", _REJECTED),
    }
    return {
        f"{prefix}/users/{{id}}/heartbeats": _operation(
            f"send_heartbeat_{name}",
            "Send one heartbeat, the first where there are several",
            [_HEARTBEAT, _HEARTBEATS, _ENVELOPE],
            single,
        ),
        f"{prefix}/users/{{id}}/heartbeats.bulk": _operation(
            f"send_heartbeats_{name}",
            f"Send up to {MAX_HEARTBEATS} heartbeats",
            [_HEARTBEATS, _ENVELOPE],
            {"201": pairs},
        ),
    }


INGEST_PATHS: Final[dict[str, Object]] = {
    **_paths("/api/hackatime/v1", "hackatime"),
    **_paths("/api/v1", "wakatime"),
    **_paths("/api/compat/wakatime/v1", "wakapi"),
    **_paths("/api", "wakapis_plugins"),
}
"""Path to OpenAPI path item, of both routes under each prefix."""
