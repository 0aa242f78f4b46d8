"""What the workflow's Lambda steps do: each returns an outcome that a Choice state branches on.

A refused dragon is an outcome, not an exception, so that the functions' error metric means that something is broken.
"""

import re
from collections.abc import Mapping
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from chalicelib import aws
from chalicelib.checked import CheckedText
from chalicelib.dragons.model import STORED_DEFAULTS, Dragon, report_from
from chalicelib.dragons.repository import Addition, DragonRepository
from chalicelib.faults import Fault, Faults, InvalidInput
from chalicelib.telemetry import correlated, count, logger
from chalicelib.validation import decode

Outcome = dict[str, str | None]


class _Identifier(CheckedText):
    """1 to 255 visible ASCII characters."""

    __slots__ = ()
    _form = re.compile(r"[!-~]{1,255}")

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, str) or not cls._form.fullmatch(value):
            raise ValueError("must be 1 to 255 visible ASCII characters")
        return cls(value)


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    """What ValidateDragon is given of the workflow's input, and the execution's name.

    An execution that began under an older definition gives the dragon and the correlation id only.
    """

    dragon: dict  # type: ignore[type-arg]  # its members have a check of their own
    correlation_id: _Identifier
    submission_id: _Identifier | msgspec.UnsetType = msgspec.UNSET
    requested_by: _Identifier | msgspec.UnsetType = msgspec.UNSET
    confirmation_required: bool = False
    execution_name: str | msgspec.UnsetType = msgspec.UNSET


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What AddDragon is given."""

    dragon: Dragon
    submission_id: str
    correlation_id: str


def validate(step_input: Mapping[str, Any]) -> Outcome:
    """Check the workflow's input as strictly as the API checks a report, whoever started the workflow.

    Takes `{"dragon": {…}, "correlation_id": "…", …}`, as `_Given` says. Returns the outcome `valid`, or `invalid` with
    the faults as reason. A dragon that was reported before a field was added gets that field's default.
    """
    faults = Faults()
    with faults:
        given = decode(step_input, _Given)
        if msgspec.UNSET is not given.execution_name != given.submission_id:
            faults.add("pointer", "#/submission_id", "must be the execution's name")
    with faults:
        _check_dragon(step_input.get("dragon"))
    try:
        faults.check()
    except InvalidInput as invalid:
        return {"outcome": "invalid", "reason": str(invalid)}
    return {"outcome": "valid", "reason": None}


def _check_dragon(given: object) -> None:
    """Raise `InvalidInput` if these are not a dragon's members as the API passes them on."""
    if not isinstance(given, Mapping):
        return  # which is a fault of the whole input
    members = {**STORED_DEFAULTS, **given}
    try:
        dragon = report_from(members).dragon
    except InvalidInput as invalid:
        raise InvalidInput(*(replace(fault, name=f"#/dragon{fault.name[1:]}") for fault in invalid.faults)) from invalid
    if msgspec.structs.asdict(dragon) != members:
        raise InvalidInput(Fault("pointer", "#/dragon", "must have its members in their normalised form"))


def add(step_input: Mapping[str, Any], dragons: DragonRepository) -> Outcome:
    """Add a validated dragon.

    Takes `{"dragon": {…}, "submission_id": "…", "correlation_id": "…"}`. Returns the outcome `added`, or `duplicate`
    with a reason. The repository's errors propagate; the workflow retries, which is safe because adding is idempotent.
    """
    wanted = msgspec.convert(step_input, _Wanted)
    with correlated(wanted.correlation_id), aws.within(aws.CALLS_BEGIN_WITHIN_S):
        addition = dragons.add(wanted.dragon, wanted.submission_id)
        logger.info("dragon settled", extra={"submission_id": wanted.submission_id, "outcome": addition.value})
    count("DragonsAdded" if addition is Addition.ADDED else "DragonsRefused")
    if addition is Addition.DUPLICATE:
        return {"outcome": addition.value, "reason": why_duplicate(wanted.dragon)}
    return {"outcome": addition.value, "reason": None}


def why_duplicate(dragon: Dragon) -> str:
    """Return the reason for refusing a dragon whose name is taken, as the reporter reads it."""
    return f"A dragon named {dragon.dragon_name_str} is in the registry."
