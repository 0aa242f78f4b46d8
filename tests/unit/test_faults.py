"""Gathering what is wrong with the parts of a request."""

from __future__ import annotations

import pytest

from chalicelib.validation import Fault, Faults, InvalidInput


@pytest.mark.parametrize(("broken", "places"), [("a", "a"), ("b", "b"), ("ab", "ab")])
def test_the_faults_of_each_part_are_told_in_their_order(broken: str, places: str) -> None:
    faults = Faults()
    for part in "ab":
        with faults:
            if part in broken:
                raise InvalidInput(Fault("header", part, "is wrong"))

    with pytest.raises(InvalidInput) as invalid:
        faults.check()
    assert "".join(fault.name for fault in invalid.value.faults) == places


def test_without_faults_nothing_is_raised_and_what_was_read_stays() -> None:
    faults = Faults()
    with faults:
        read = 1
    faults.check()

    assert read == 1


def test_an_error_that_is_no_fault_of_the_input_ends_the_request_as_it_is() -> None:
    with pytest.raises(KeyError), Faults():
        raise KeyError("secret")
