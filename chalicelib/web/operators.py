"""Which routes are for operators, and how the service tells them whether it is ready."""

from collections.abc import Sequence

import msgspec

from chalicelib import aws
from chalicelib.readiness import Dependency, ill
from chalicelib.web import problems
from chalicelib.web.bodies import Readiness
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.responses import Reply


def are_for_operators(path: str) -> bool:
    """Tell whether a route is for operators alone. A function of its own answers it, which may do more than the API's.

    Takes the route as it is declared, such as `/operator/dead-letters/{letter_id}`.
    """
    return path == "/ready" or path.startswith("/operator/")


def readiness(dependencies: Sequence[Dependency]) -> Reply:
    """Return what each dependency said. Ends the request with a 503 that names those that are ill, if any."""
    if unwell := ill(dependencies):
        shown = [msgspec.structs.asdict(each) for each in dependencies]
        names = [f"{each.name} ({each.reason})" for each in unwell]
        raise ProblemRaised(problems.not_ready(names, shown, aws.DependencyUnavailable.retry_after_s))
    return Reply(msgspec.json.encode(Readiness(status="ready", dependencies=dependencies)))
