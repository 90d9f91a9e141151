"""Profiles, trust and lookups (semantics.md, sections 5 and 7)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from query_api.access import AnyCaller, PluginUser, UsedServices
from query_api.config import PREFIXES
from query_api.errors import invalid_key, json_answer, user_not_found
from query_api.lookup import find_named
from query_api.models import (
    EmailNotFound,
    FoundByEmail,
    FoundBySlackUid,
    Profile,
    ProfileAnswer,
    SlackUidNotFound,
    TrustFactor,
)
from query_api.openapi import KEY, OPTIONAL_KEY, answers
from query_api.parameters import MAX_NAME, AnyId, Username
from query_api.wording import whole_second

lookups = APIRouter(tags=["users"], default_response_class=Response)
router = APIRouter(tags=["users"], default_response_class=Response)


async def _require_lookups(services: UsedServices, caller: AnyCaller) -> None:
    if caller.is_operator or (services.config.lookups == "any" and caller.trusted_user is not None):
        return
    raise invalid_key()


# An address may have a slash in it; a username may not, and is looked up all the same.
@lookups.get(
    "/api/v1/users/lookup_email/{email:text}",
    responses=answers(FoundByEmail, 401, 404, 422, not_found=EmailNotFound),
    openapi_extra=KEY,
    dependencies=[Depends(_require_lookups)],
)
def lookup_email(
    services: UsedServices,
    email: Annotated[str, Path(max_length=MAX_NAME, description="The whole address.", examples=["ann@example.com"])],
) -> Response:
    """Find a user by their exact email address.

    Any key will do, unless the operator keeps lookups to their own.
    """
    user = services.directory.by_email(email)
    if user is None:
        raise user_not_found(email=email)
    return json_answer(FoundByEmail(user.user_id, email))


@lookups.get(
    "/api/v1/users/lookup_slack_uid/{slack_uid:text}",
    responses=answers(FoundBySlackUid, 401, 404, 422, not_found=SlackUidNotFound),
    openapi_extra=KEY,
    dependencies=[Depends(_require_lookups)],
)
def lookup_slack_uid(
    services: UsedServices,
    slack_uid: Annotated[str, Path(max_length=MAX_NAME, description="The whole id.", examples=["U0123ABCDEF"])],
) -> Response:
    """Find a user by their exact Slack id.

    Any key will do, unless the operator keeps lookups to their own.
    """
    user = services.directory.by_slack_uid(slack_uid)
    if user is None:
        raise user_not_found(slack_uid=slack_uid)
    return json_answer(FoundBySlackUid(user.user_id, slack_uid))


@router.get(
    "/api/v1/users/{username:text}/trust_factor",
    responses=answers(TrustFactor, 401, 404, 422),
    openapi_extra=OPTIONAL_KEY,
)
def trust_factor(services: UsedServices, caller: AnyCaller, username: Username) -> Response:
    """Answer how far the operator trusts a user's figures."""
    user = find_named(services, caller, username)
    return json_answer(TrustFactor(user.trust_level, user.trust_value))


def profile(user: PluginUser, user_id: AnyId) -> Response:  # noqa: ARG001 - whatever it is, the key tells the user
    """Answer who the key's owner is: extensions and desktop apps test a key with it."""
    answer = Profile(
        id=str(user.user_id),
        username=user.username,
        display_name=user.username,
        full_name=None,
        photo=None,
        timezone=user.timezone,
        created_at=whole_second(user.created_at_us),
        modified_at=whole_second(user.modified_at_us),
        plan="free",
    )
    return json_answer(ProfileAnswer(answer))


for _prefix in PREFIXES:
    router.get(f"{_prefix}/users/{{user_id}}", responses=answers(ProfileAnswer, 401, 422), openapi_extra=KEY)(profile)
