"""The policy files of `.chalice`, one for each function and stage, from one template for each function.

A template is `infrastructure/policies/<function>.json`, in which `${Stage}` is the stage's name, and `${Partition}` the
part of AWS that it is in. CloudFormation's own `${AWS::Partition}` cannot be there: `chalice deploy` hands the
files to IAM as they are, and `chalice package` puts them into the template without `Fn::Sub`.
"""

from __future__ import annotations

import json
from pathlib import Path

from operations import PROJECT, functions
from operations.stages import STAGES, Stage

TEMPLATES = Path("infrastructure", "policies")
FILES = ".chalice/policy-*.json"
_TRACES = "SendTraces"  # the statement that a stage without `tracing` goes without


def files() -> dict[Path, str]:
    """Return every policy file's text by its path in the project.

    Raises FunctionIncomplete if app.py declares a function that has no template.
    """
    templates = {function: template(function) for function in functions.names()}
    return {
        Path(".chalice", file_name(function, stage)): _policy(_filled_in(text, stage, differences), differences)
        for function, text in templates.items()
        for stage, differences in STAGES.items()
    }


def file_name(function: str, stage: str) -> str:
    """Return the name of a function's policy file for a stage."""
    return f"policy-{function}-{stage}.json"


def template(function: str) -> str:
    """Return the text of what a function may do. Raises FunctionIncomplete if nobody has written it."""
    file = TEMPLATES / f"{function}.json"
    try:
        return (PROJECT / file).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise functions.FunctionIncomplete(
            f"app.py declares the function {function}: write what it may do to {file}"
        ) from error


def _filled_in(template: str, name: str, stage: Stage) -> str:
    return template.replace("${Stage}", name).replace("${Partition}", stage.partition)


def _policy(text: str, stage: Stage) -> str:
    policy = json.loads(text)
    if not stage.tracing:
        policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != _TRACES]
    return json.dumps(policy, indent=2) + "\n"
