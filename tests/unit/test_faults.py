"""How the faults in the parts of a request are collected."""

from __future__ import annotations

import pytest

from chalicelib.faults import Fault, Faults, InvalidInput


@pytest.mark.parametrize(("broken", "places"), [("a", "a"), ("b", "b"), ("ab", "ab")])
def test_the_faults_of_all_parts_are_reported_in_order(broken: str, places: str) -> None:
    faults = Faults()
    for part in "ab":
        with faults:
            if part in broken:
                raise InvalidInput(Fault("header", part, "is wrong"))

    with pytest.raises(InvalidInput) as invalid:
        faults.check()
    assert "".join(fault.name for fault in invalid.value.faults) == places


def test_without_faults_nothing_is_raised_and_the_values_are_kept() -> None:
    faults = Faults()
    with faults:
        read = 1
    faults.check()

    assert read == 1


def test_any_other_error_propagates_unchanged() -> None:
    with pytest.raises(KeyError), Faults():
        raise KeyError("secret")
