"""`.chalice/config.json`: what Chalice needs to know about the app, its stages and its functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chalicelib.settings import Settings
from operations import functions
from operations.generate import policies
from operations.stages import NATIVE, STAGES, Stage

CONFIG = Path(".chalice", "config.json")


def files() -> dict[Path, str]:
    """Return the file's text by its path in the project.

    Raises FunctionIncomplete if app.py declares a function that has no limits.
    """
    return {CONFIG: json.dumps(_config(), indent=2) + "\n"}


def _config() -> dict[str, Any]:
    return {
        # Chalice ignores names that it does not know, and JSON has no comments.
        "generated": "by `make generate`, from infrastructure/stages.toml and operations/functions.py",
        "version": "2.0",
        "app_name": "dragonpost",
        "autogen_policy": False,
        "api_gateway_endpoint_type": "REGIONAL",
        # Else glibc keeps memory for each of the consumer's threads, a megabyte in all, which it never needs at once.
        "environment_variables": {"MALLOC_ARENA_MAX": "1", "POWERTOOLS_LOG_LEVEL": "INFO"},
        "stages": {name: _stage(name, stage) for name, stage in STAGES.items()},
    }


def _stage(name: str, stage: Stage) -> dict[str, Any]:
    return {
        "api_gateway_stage": name,
        **({} if stage.architecture == NATIVE else {"lambda_architecture": stage.architecture}),
        "xray": stage.tracing,
        "environment_variables": {
            Settings.stage.variable: name,
            Settings.allow_origin.variable: stage.allow_origin,
            Settings.consumer_concurrency.variable: str(stage.consumer_concurrency),
            "POWERTOOLS_SERVICE_NAME": f"dragonpost-{name}",  # a dimension of every metric, so that stages differ
            **stage.environment,
        },
        "lambda_functions": {function: _function(function, name) for function in functions.names()},
    }


def _function(function: str, stage: str) -> dict[str, Any]:
    limits = functions.limits(function)
    return {
        "iam_policy_file": policies.file_name(function, stage),
        "lambda_timeout": limits.timeout_s,
        "lambda_memory_size": limits.memory_mb,
    }
