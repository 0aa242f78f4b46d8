"""What AWS enforces and no emulator does: each rule is one test, with AWS's page, over all templates and policies."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from operations import PROJECT
from operations.generate import policies

TEMPLATES: Mapping[str, Any] = {
    "resources": yaml_parse((PROJECT / "infrastructure" / "resources.yaml").read_text(encoding="utf-8")),
    "app": json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8")),
}


def every_statement() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the statements that are evaluated together: of a role's policies, or of a function's."""
    for template in TEMPLATES.values():
        for name, resource in template["Resources"].items():
            if resource.get("Type") == "AWS::IAM::Role":
                yield name, list(statements_in(resource["Properties"]["Policies"]))
    for path, content in policies.files().items():
        yield path.stem, json.loads(content)["Statement"]


def statements_in(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every statement below a node, those of conditional policies included."""
    if isinstance(node, Mapping):
        yield from [dict(node)] if "Effect" in node else []
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from statements_in(part)


STATEMENTS = dict(every_statement())


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def sends_texts(statement: Mapping[str, Any]) -> bool:
    """Tell whether a statement allows publishing to what is no topic: to a phone number."""
    publishes = statement["Effect"] == "Allow" and {"sns:Publish", "sns:*", "*"} & set(listed(statement["Action"]))
    return bool(publishes) and ("NotResource" in statement or "*" in listed(statement["Resource"]))


@pytest.mark.parametrize("role", STATEMENTS)
def test_whoever_texts_over_sns_may_send_over_end_user_messaging(role: str) -> None:
    """SNS sends texts through AWS End User Messaging, with the caller's permissions.

    https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSNSFullAccess.html
    """
    allowed = [statement for statement in STATEMENTS[role] if statement["Effect"] == "Allow"]
    if any(map(sends_texts, allowed)):
        assert "sms-voice:SendTextMessage" in {action for each in allowed for action in listed(each["Action"])}


def test_a_stage_has_somebody_who_texts() -> None:
    """Otherwise the rule above would hold for want of texts."""
    assert [role for role, statements in STATEMENTS.items() if any(map(sends_texts, statements))] == [
        "DragonWorkflowRole"
    ]
