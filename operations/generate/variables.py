"""The environment variables that the merged template gives each function: what the resources stack made.

Their values are outputs of that stack, which the app's template takes as parameters of the same names. A function gets
the names of what its policy lets it use. It asks Parameter Store for what it lacks, so a variable that is missing costs
a call, and one too many nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from chalicelib.settings import Setting, Settings, Source
from operations import functions, resources
from operations.generate import CannotGenerate, policies

# What ARNs call a service, where it is not what the types of resources call it.
_IN_ARNS = {"stepfunctions": "states"}


@dataclass(frozen=True)
class Made:
    """A resource that a setting names: the stack's output with the setting's value, and the service and name in ARNs.

    In the name, `*` stands for what only an account knows.
    """

    setting: Setting
    output: str
    service: str
    name: str


def made_by_the_stack() -> list[Made]:
    """Return what the settings name that the resources stack makes. Raises CannotGenerate if an output is missing."""
    template = resources.template()
    outputs = {str(output["Value"]): name for name, output in template["Outputs"].items()}
    return list(_made(template["Resources"], outputs))


def _made(template: Mapping[str, Any], outputs: Mapping[str, str]) -> Iterator[Made]:
    values = resources.parameter_values(template)
    for setting in Settings.table().values():
        if setting.source is not Source.STACK:
            continue
        value = values.get(setting.name, {})
        if str(value) not in outputs:
            raise CannotGenerate(
                f"infrastructure/resources.yaml lacks a parameter {setting.name}, or an output with its value"
            )
        resource = template[value["Ref"]]
        _, service, kind = resource["Type"].split("::")
        name = resource["Properties"].get(f"{kind}Name", {})
        _, name, _ = name.get("Fn::If", (None, name, None))  # the cases differ in what only an account knows
        service = service.lower()
        made_name = _in_any_account(name.get("Fn::Sub", ""))
        yield Made(setting, outputs[str(value)], _IN_ARNS.get(service, service), made_name)


def variables(function: str, made: list[Made]) -> dict[str, Any]:
    """Return a function's variables, each with a reference to the parameter of the app's template that has its value.

    Raises FunctionIncomplete if the function has no policy.
    """
    policy = json.loads(policies.template(function))
    usable = {_in_any_account(arn) for statement in policy["Statement"] for arn in statement["Resource"]}
    return {each.setting.variable: {"Ref": each.output} for each in made if _uses(function, usable, each)}


def _uses(function: str, usable: set[str], made: Made) -> bool:
    if made.setting is Settings.user_pool_client_id:  # no policy names it: routes compare it with the token's audience
        return function in functions.ROUTED
    return any(_is_about(arn, made) for arn in usable)


def _is_about(arn: str, made: Made) -> bool:
    """Tell whether a pattern of ARNs is about a resource, or about what is in it."""
    _, _, service, _, _, place = [*arn.split(":", 5), "", "", "", "", ""][:6]
    named = [part for part in re.split("[:/]", place) if part.startswith("dragonpost-")]
    return service == made.service and any(fnmatchcase(made.name, part) for part in named)


def _in_any_account(text: str) -> str:
    return re.sub(r"\$\{AWS::\w+\}", "*", text)
