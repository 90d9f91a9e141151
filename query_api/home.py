"""The home page, the page of docs and the health check."""

import html
import re
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from query_api.access import UsedServices
from query_api.config import PREFIXES
from query_api.docs import docs_page
from query_api.errors import json_answer
from query_api.models import Health
from query_api.openapi import answers
from query_api.page import page

router = APIRouter(default_response_class=Response)

_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_FALLBACK_HOST: Final = "127.0.0.1:8000"

_HOME: Final = """
<h1>Heartline</h1>
<p>This server takes the coding-time heartbeats of WakaTime-compatible editor plugins, keeps every one of them,
and answers how long you coded.</p>
<h2>Connect an editor</h2>
<p>Install the WakaTime plugin of your editor and put this into <code>~/.wakatime.cfg</code>:</p>
<pre>[settings]
api_url = {api_url}
api_key = YOUR_API_KEY</pre>
<p>Whoever runs this server gives you the key.</p>
<h2>Ask it</h2>
<pre>curl -H "Authorization: Bearer YOUR_API_KEY" \\
  {api_url}/users/current/statusbar/today</pre>
<p>Every endpoint is described in the <a href="/docs">docs</a>, for programs in
<a href="/openapi.json">/openapi.json</a>.</p>
"""


@router.get("/", include_in_schema=False)
def home(request: Request) -> Response:
    """Say what this is and how to connect an editor."""
    api_url = html.escape(_origin(request) + PREFIXES[0])
    return HTMLResponse(page("Heartline", _HOME.format(api_url=api_url)))


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> Response:
    """Show `/openapi.json` to people, without fetching anything from other sites."""
    return HTMLResponse(docs_page(request.app.openapi()))


@router.get("/up", responses=answers(Health, is_limited=False), tags=["health"])
def up(services: UsedServices) -> Response:
    """Tell that the service answers, and so does its database."""
    services.reader.ping()
    return json_answer(Health("ok"))


def _origin(request: Request) -> str:
    """Tell under which address the caller sees this server; behind a proxy it says so."""
    host = request.headers.get("x-forwarded-host") or request.headers.get("host", "")
    scheme = request.headers.get("x-forwarded-proto") or request.url.scheme
    known_host = host if _HOST.fullmatch(host) else _FALLBACK_HOST
    return f"{scheme if scheme in {'http', 'https'} else 'http'}://{known_host}"
