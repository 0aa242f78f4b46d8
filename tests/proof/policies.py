"""Reads policies as IAM does: which calls they allow, and the grants that they consist of.

It covers only what this project's policies use: Allow statements, wildcards, and no conditions except those named here.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations import PROJECT, functions
from operations.generate.policies import file_name

FUNCTIONS = tuple(functions.names())


@dataclass(frozen=True)
class Call:
    """What a caller does, and to which resource (an ARN, or a substitute if the service has none)."""

    action: str
    resource: str


@dataclass(frozen=True)
class Grant:
    """One action on one resource pattern, allowed by one statement."""

    sid: str
    action: str
    resource: str
    but: bool = False  # the pattern comes from NotResource

    def covers(self, call: Call) -> bool:
        """Return True if this grant allows the call."""
        if not _matches(self.action.lower(), call.action.lower()):
            return False
        return _matches(self.resource, call.resource) is not self.but


def policy_file(function: str, stage: str) -> Path:
    """Return the path of a function's policy for a stage."""
    return Path(PROJECT, ".chalice", file_name(function, stage))


def policy(function: str, stage: str) -> dict[str, Any]:
    """Return a function's policy for a stage."""
    return dict(json.loads(policy_file(function, stage).read_text(encoding="utf-8")))


def grants(document: dict[str, Any]) -> Iterator[Grant]:
    """Yield every grant of a policy. Fails on a statement that it does not understand, rather than misread it."""
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow", statement
        assert "NotAction" not in statement, statement
        but = "NotResource" in statement
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["NotResource" if but else "Resource"]):
                yield Grant(statement.get("Sid", ""), action, resource, but)


def allows(document: dict[str, Any], call: Call) -> bool:
    """Return True if a policy allows a call."""
    return any(grant.covers(call) for grant in grants(document))


def without(document: dict[str, Any], action: str) -> dict[str, Any]:
    """Return a policy without an action. Fails if the action is not in it."""
    statements = [
        {**statement, "Action": [kept for kept in _listed(statement["Action"]) if kept != action]}
        for statement in document["Statement"]
    ]
    assert statements != document["Statement"], f"{action} is not in the policy"
    return {**document, "Statement": [statement for statement in statements if statement["Action"]]}


def only(document: dict[str, Any], action: str) -> dict[str, Any]:
    """Return the part of a policy that is about an action. Fails if there is none."""
    statements = [
        {**statement, "Action": [action]}
        for statement in document["Statement"]
        if action in _listed(statement["Action"])
    ]
    assert statements, f"{action} is not in the policy"
    return {**document, "Statement": statements}


def together(*documents: dict[str, Any]) -> dict[str, Any]:
    """Return a policy that allows everything that any of these allows."""
    return {**documents[0], "Statement": [statement for document in documents for statement in document["Statement"]]}


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _matches(pattern: str, text: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None
