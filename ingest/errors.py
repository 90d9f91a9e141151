"""Why a whole request is refused, with its HTTP status."""

from typing import ClassVar


class RequestError(Exception):
    """A request of which nothing was taken; the text is the answer's `error`."""

    status: ClassVar[int] = 500


class BodyError(RequestError):
    """The body holds no heartbeats, too many, or is not JSON."""

    status = 400


class UnauthorizedError(RequestError):
    """No key, or a wrong one."""

    status = 401


class BodyTooLargeError(RequestError):
    """The body is larger than the limit."""

    status = 413


class NotReadyError(RequestError):
    """Nothing can be kept now; the same request may succeed later."""

    status = 503
