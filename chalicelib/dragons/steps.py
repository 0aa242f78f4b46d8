"""What the workflow's Lambda steps do: each returns an outcome that a Choice state branches on.

A refused dragon is an outcome, not an exception, so that the functions' error metric means that something is broken.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib import aws
from chalicelib.dragons.model import STORED_DEFAULTS, Dragon, report_from
from chalicelib.dragons.repository import Addition, DragonRepository
from chalicelib.faults import InvalidInput
from chalicelib.telemetry import correlated, count, logger

Outcome = dict[str, str | None]


def validate(step_input: Mapping[str, Any]) -> Outcome:
    """Check a dragon against the model's rules, whoever started the workflow.

    Takes `{"dragon": {…}, "correlation_id": "…"}`. Returns the outcome `valid`, or `invalid` with the faults as reason.
    A dragon that was reported before a field was added gets that field's default.
    """
    members = {**STORED_DEFAULTS, **step_input["dragon"]}
    try:
        report = report_from(members)
    except InvalidInput as invalid:
        return {"outcome": "invalid", "reason": str(invalid)}
    if msgspec.structs.asdict(report.dragon) != members:
        return {"outcome": "invalid", "reason": "The dragon's fields are not in their normalised form."}
    return {"outcome": "valid", "reason": None}


def add(step_input: Mapping[str, Any], dragons: DragonRepository) -> Outcome:
    """Add a validated dragon.

    Takes `{"dragon": {…}, "submission_id": "…", "correlation_id": "…"}`. Returns the outcome `added`, or `duplicate`
    with a reason. The repository's errors propagate; the workflow retries, which is safe because adding is idempotent.
    """
    dragon = msgspec.convert(step_input["dragon"], Dragon)
    with correlated(step_input["correlation_id"]), aws.within(aws.CALLS_BEGIN_WITHIN_S):
        addition = dragons.add(dragon, step_input["submission_id"])
        logger.info("dragon settled", extra={"submission_id": step_input["submission_id"], "outcome": addition.value})
    count("DragonsAdded" if addition is Addition.ADDED else "DragonsRefused")
    if addition is Addition.DUPLICATE:
        return {"outcome": addition.value, "reason": why_duplicate(dragon)}
    return {"outcome": addition.value, "reason": None}


def why_duplicate(dragon: Dragon) -> str:
    """Return the reason for refusing a dragon whose name is taken, as the reporter reads it."""
    return f"A dragon named {dragon.dragon_name_str} is in the registry."
