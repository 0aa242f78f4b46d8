"""Routes and query parameters that clients should leave, and how answers say so. Nothing is deprecated now.

Declare it below the route; the OpenAPI document follows (CONTRIBUTING.md, Deprecating):

    @app.get("/dragons", users)
    @deprecated(since=date(2027, 1, 1), sunset=date(2027, 7, 1), parameter="family")
    def list_dragons(caller: Caller) -> Reply: ...
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from functools import wraps
from typing import Any, TypeVar

import msgspec

from chalicelib.web.requests import Request
from chalicelib.web.responses import Reply

View = TypeVar("View", bound=Callable[..., Reply])


class Deprecation(msgspec.Struct, frozen=True):
    """From when on clients should leave a route, or one of its parameters, and when it goes. Days begin in UTC.

    Raises `ValueError` if it goes before it is deprecated (RFC 9745 §4).
    """

    since: date
    sunset: date
    parameter: str | None = None

    def __post_init__(self) -> None:
        if self.sunset < self.since:
            raise ValueError(f"what is deprecated since {self.since} cannot be gone on {self.sunset}")

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says: `Deprecation` (RFC 9745 §2) and `Sunset` (RFC 8594 §3)."""
        since, sunset = (datetime.combine(day, time(), UTC) for day in (self.since, self.sunset))
        return {"Deprecation": f"@{int(since.timestamp())}", "Sunset": format_datetime(sunset, usegmt=True)}

    def concerns(self, request: Request) -> bool:
        """Tell whether a request of the route uses what is deprecated."""
        return self.parameter is None or self.parameter in request.query


def deprecated(since: date, sunset: date, parameter: str | None = None) -> Callable[[View], View]:
    """Deprecate a view, or a query parameter of it. Raises what `Deprecation` does."""
    made = Deprecation(since, sunset, parameter)

    def mark(view: View) -> View:
        view.__dict__["deprecations"] = (*deprecations_of(view), made)
        return view

    return mark


def deprecations_of(view: Any) -> Sequence[Deprecation]:
    """Return what is deprecated of a view."""
    return getattr(view, "deprecations", ())


def telling(answer: Callable[..., Reply], request: Callable[[], Request]) -> Callable[..., Reply]:
    """Have a route's answers say what is deprecated, errors included. If it is several things, the next one to go."""
    deprecations = sorted(deprecations_of(answer), key=lambda each: each.sunset)

    @wraps(answer)
    def told(**path_parameters: str) -> Reply:
        reply = answer(**path_parameters)
        used = next((each for each in deprecations if each.concerns(request())), None)
        reply.headers.update(used.headers if used else {})
        return reply

    return told
