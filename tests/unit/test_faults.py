"""How the faults in the parts of a request are collected."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.faults import Fault, Faults, InvalidInput, pointer


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


@settings(deadline=None)
@given(member=st.text(st.characters(exclude_categories=("Cs",))))
@example("order_id")
@example("a/b~c d%")
@example("été")
@example("\u0661")
def test_a_pointer_is_a_fragment_of_ascii_and_names_the_member_exactly(member: str) -> None:
    found = pointer("#/data", member)

    # RFC 3986 §3.5
    assert re.fullmatch(r"#/data/([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*", found)
    token = found.removeprefix("#/data/")
    assert "/" not in token
    assert unquote(token).replace("~1", "/").replace("~0", "~") == member
