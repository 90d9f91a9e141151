"""What both halves of `/openapi.json` say in the same words: how a key is given, and what an answer looks like."""

from typing import Any, Final

Object = dict[str, Any]
"""A part of an OpenAPI document; Any: these have no one type."""

REF: Final = "#/components/schemas/{name}"

CHALLENGE: Final = 'Bearer realm="Heartline"'
"""`WWW-Authenticate` of every 401. Not Basic as well: browsers would ask people for a password."""

KEY: Final[list[Object]] = [{"bearer": []}, {"basic": []}, {"api_key": []}]
"""The `security` of an operation that needs a key: any of the three ways."""

OPTIONAL_KEY: Final[list[Object]] = [{}, *KEY]
"""The `security` of an operation that knows its caller by the key, if there is one."""

SECURITY_SCHEMES: Final[Object] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key, bare or in base64."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "base64 of the API key alone (as wakatime-cli sends it), of `key:` or of `user:key`.",
    },
    "api_key": {"type": "apiKey", "in": "query", "name": "api_key", "description": "The API key."},
}

TOO_MANY: Final = "More requests than the operator allows for a key or an address; by default there is no limit."
"""What 429 says of itself."""

_HEADERS: Final[Object] = {
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to give a key.", "required": True, "schema": {"type": "string"}},
}
_HEADERS_OF: Final = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def reference(name: str) -> Object:
    """Point at a schema of `components`."""
    return {"$ref": REF.format(name=name)}


def answer(status: int, description: str, schema: Object) -> Object:
    """Describe a JSON answer, with the headers that every answer of its status has."""
    described: Object = {"description": description, "content": {"application/json": {"schema": schema}}}
    if status in _HEADERS_OF:
        described["headers"] = {name: _HEADERS[name] for name in _HEADERS_OF[status]}
    return described


def always_answered(schema: Object) -> Object:
    """Require what an answer always has: msgspec calls a field with a default optional, and encodes it all the same.

    `schema`: of a struct, as `msgspec.json.schema_components` gives it. Fields that may be unset have no default in it.
    """
    named = schema.get("properties", {})
    required = [name for name in named if name in schema.get("required", ()) or "default" in named[name]]
    return {**schema, "required": required} if required else schema
