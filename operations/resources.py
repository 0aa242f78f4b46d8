"""What infrastructure/resources.yaml says of the settings: their parameters, and the outputs with the same values."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from operations import PROJECT


def template() -> dict[str, Any]:
    """Return the template, in which `!Ref X` is `{"Ref": "X"}`. It is the caller's to change."""
    return copy.deepcopy(_parsed((PROJECT / "infrastructure" / "resources.yaml").read_text(encoding="utf-8")))


@cache
def _parsed(text: str) -> dict[str, Any]:
    """Parse a template. That takes a fifth of a second."""
    parsed: dict[str, Any] = yaml_parse(text)
    return parsed


def parameter_values(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template puts into Parameter Store, text or a reference, by the settings' names."""
    parameters = [item["Properties"] for item in resources.values() if item["Type"] == "AWS::SSM::Parameter"]
    return {parameter["Name"]["Fn::Sub"].rpartition("/")[2]: parameter["Value"] for parameter in parameters}
