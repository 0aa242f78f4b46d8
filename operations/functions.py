"""The Lambda functions that app.py declares: their names and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalice.utils import to_cfn_resource_name

from app import app
from chalicelib.web.operators import are_for_operators

API = "api_handler"  # what Chalice calls the function of all routes
OPERATORS = "operator_api"  # that of the routes for operators, wherever they can be sent to it
ROUTED = (API, OPERATORS)  # those that API Gateway calls


class FunctionIncomplete(Exception):
    """app.py declares a function that lacks something; the message says what, and where to write it."""


@dataclass(frozen=True)
class Limits:
    """A function's time limit and memory, and whether the stage's `workflow_concurrency` bounds it."""

    timeout_s: int
    memory_mb: int
    bounded: bool = False


LIMITS: Mapping[str, Limits] = {
    API: Limits(timeout_s=29, memory_mb=1024),  # API Gateway waits for 29 s
    OPERATORS: Limits(timeout_s=29, memory_mb=1024),
    "validate_dragon": Limits(timeout_s=10, memory_mb=256, bounded=True),
    "add_dragon": Limits(timeout_s=30, memory_mb=512, bounded=True),
    "store_messages": Limits(timeout_s=30, memory_mb=1024),
}


def names() -> list[str]:
    """Return the functions' names as Chalice's configuration has them."""
    return [API, *(step.name for step in app.pure_lambda_functions), *(source.name for source in app.event_sources)]


def limits(function: str) -> Limits:
    """Return a function's limits. Raises FunctionIncomplete if there are none."""
    if function not in LIMITS:
        raise FunctionIncomplete(
            f"app.py declares the function {function}: add its limits to LIMITS in operations/functions.py"
        )
    return LIMITS[function]


def of_route(path: str) -> str:
    """Return the function that answers a route, given as app.py declares it."""
    return OPERATORS if are_for_operators(path) else API


def bounded() -> list[str]:
    """Return the functions of which only so many may run at once: the workflow's, which it starts again if need be."""
    return [function for function in names() if limits(function).bounded]


def deployed_name(function: str, stage: str) -> str:
    """Return the name that a function has in AWS."""
    return f"dragonpost-{stage}" if function == API else f"dragonpost-{stage}-{function}"


def logical_id(function: str) -> str:
    """Return the name that Chalice gives a function in the packaged template."""
    return "APIHandler" if function == API else str(to_cfn_resource_name(function))
