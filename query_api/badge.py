"""`GET /api/v1/badge/{user}/{project}`: a project's time as a picture for a README (semantics.md, section 7)."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import StringConstraints

from query_api.access import AnyCaller, Services, UsedServices
from query_api.badge_picture import badge_svg
from query_api.errors import ApiError
from query_api.lookup import find_shown
from query_api.measuring import measure_selection
from query_api.models import ErrorAnswer
from query_api.one_state import in_one_state
from query_api.openapi import OPTIONAL_KEY, answers
from query_api.parameters import MAX_PROJECT, Names, Username
from query_api.selection import TOTAL, Selection
from schemas.instants import MAX_TIME_US, MIN_TIME_US
from schemas.segment import whole_seconds
from storage.stats.reader import Span

router = APIRouter(tags=["projects"], default_response_class=Response)

_ALWAYS: Final = Span(MIN_TIME_US, MAX_TIME_US)
_DEFAULT_LABEL: Final = "hackatime"
_DEFAULT_COLOUR: Final = "blue"
_SVG: Final = {"description": "The badge.", "content": {"image/svg+xml": {"schema": {"type": "string"}}}}

Label = Annotated[str, StringConstraints(max_length=100)] | None
Colour = Annotated[str, StringConstraints(max_length=32)] | None


@router.get(
    "/api/v1/badge/{username}/{project:text}",
    responses=answers(ErrorAnswer, 401, 403, 404, 422) | {200: _SVG},
    openapi_extra=OPTIONAL_KEY,
)
def badge(
    services: UsedServices,
    caller: AnyCaller,
    username: Username,
    project: Annotated[
        str, Path(max_length=MAX_PROJECT, description="A project's exact name, or OWNER/REPOSITORY for REPOSITORY.")
    ],
    label: Annotated[Label, Query(description="The left text.")] = None,
    color: Annotated[Colour, Query(description="A colour by name, or in hexadecimal. Default: blue.")] = None,
    aliases: Annotated[Names, Query(description="Further names of the project, separated by commas.")] = None,
) -> Response:
    """Draw a project's coding time of all times as an SVG. 400: it has none."""
    user = find_shown(services, caller, username)
    named = {alias.strip() for alias in (aliases or "").split(",")} - {""}
    seconds = in_one_state(services, user.user_id, lambda: _with_aliases(services, user.user_id, project, named))
    if seconds <= 0:
        raise ApiError(400, "The project has no coding time yet")
    shown_label = _DEFAULT_LABEL if label is None else label
    picture = badge_svg(shown_label, time_text(seconds), color or _DEFAULT_COLOUR)
    return Response(picture, media_type="image/svg+xml")


def time_text(seconds: int) -> str:
    """Say hours and minutes: "1h 5m", "2h 0m"; "20m" below an hour."""
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m"


def _with_aliases(services: Services, user_id: int, project: str, aliases: set[str]) -> int:
    name, seconds = _named(services, user_id, project)
    further = frozenset(aliases - {name})
    return seconds + (_seconds(services, user_id, further) or 0) if further else seconds


def _named(services: Services, user_id: int, project: str) -> tuple[str, int]:
    """Find the project and its seconds, by its name or by the last part of it. Raises 404."""
    for name in dict.fromkeys((project, project.rpartition("/")[2])):
        seconds = _seconds(services, user_id, frozenset({name})) if name else None
        if seconds is not None:
            return name, seconds
    raise ApiError(404, "Project not found")


def _seconds(services: Services, user_id: int, projects: frozenset[str]) -> int | None:
    """Measure the projects' heartbeats as one sequence; None where there are none."""
    total = measure_selection(services, user_id, _ALWAYS, Selection(projects)).get(TOTAL)
    return None if total is None else whole_seconds(total.duration_us)
