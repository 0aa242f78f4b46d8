"""The templates' parameters that people choose: `make deploy STAGE=prod SET="AlarmEmail=ops@example.com …"`.

A deployment sets what it is told; else what the stage has in infrastructure/stages.toml (`parameters`); and else
CloudFormation keeps what the stack has, or takes the default. What deploying knows by itself cannot be chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from operations import PROJECT, resources
from operations.deploy.commands import DeployError
from operations.stages import FILE, STAGES

# Deploying sets them: the stage and what infrastructure/stages.toml says of it, or what is the same for ever.
OF_THE_STAGE = frozenset(
    {"Stage", "AllowOrigin", "Commit", "KeepData", "Tracing", "BucketNamesHaveRegion", "RequireTls"}
)


def of_the_resources() -> dict[str, Any]:
    """Return the parameters of the resources' template that people may choose, by their names."""
    return {name: each for name, each in resources.template()["Parameters"].items() if name not in OF_THE_STAGE}


def of_the_app() -> dict[str, Any]:
    """Return the parameters of the app's template that people may choose, by their names."""
    overrides = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
    # Those without a default are outputs of the resources stack.
    return {
        name: each for name, each in overrides["Parameters"].items() if name not in OF_THE_STAGE and "Default" in each
    }


def chosen(stage: str, assignments: Iterable[str]) -> dict[str, str]:
    """Return what was asked for, as `NAME=VALUE`, for one deployment of a stage.

    Raises DeployError if a name is unknown, or a value is not one that its template takes, there or in the stage's own
    `parameters`.
    """
    known = of_the_app() | of_the_resources()
    asked = dict(map(_assignment, assignments))
    for values, place in ((STAGES[stage].parameters, f"{FILE}, stage {stage}"), (asked, "SET")):
        for name, value in values.items():
            if fault := _fault(known, name, value):
                raise DeployError(f"{place}: {fault}")
    return asked


def check_chalice_can(assignments: Iterable[str]) -> None:
    """Raise DeployError if what was asked for is a parameter of the app's stack, which `chalice deploy` has none of."""
    without = sorted({name for name, _ in map(_assignment, assignments)} - of_the_resources().keys())
    if without:
        raise DeployError(f"`chalice deploy` cannot set {', '.join(without)}: only CloudFormation can")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise DeployError(f"{text!r} is not NAME=VALUE")
    return name, value


def _fault(known: Mapping[str, Mapping[str, Any]], name: str, value: str) -> str:
    """Return what is wrong with a value, or nothing. CloudFormation would say it too, but later, and of one of them."""
    if name in OF_THE_STAGE:
        return f"deploying sets {name} by itself, from {FILE}"
    if name not in known:
        return f"there is no parameter {name}; there are {', '.join(sorted(known))}"
    parameter = known[name]
    allowed = [str(each) for each in parameter.get("AllowedValues", ())]
    if allowed and value not in allowed:
        return f"{name} is one of {', '.join(allowed)}"
    if parameter["Type"] == "Number" and not _is_number(value, parameter):
        return f"{name} is a whole number from {parameter.get('MinValue', 0)} to {parameter.get('MaxValue', 'any')}"
    if not re.fullmatch(parameter.get("AllowedPattern", ".*"), value):
        return f"{name}={value} does not fit. {parameter['Description']}"
    return ""


def _is_number(value: str, parameter: Mapping[str, Any]) -> bool:
    if not (value.isascii() and value.isdigit()):
        return False
    number = int(value)
    return bool(parameter.get("MinValue", 0) <= number <= parameter.get("MaxValue", number))
