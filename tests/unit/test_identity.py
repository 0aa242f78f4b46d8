"""Who is calling, and what they may do."""

from typing import Any

import pytest

from chalicelib import identity
from chalicelib.identity import (
    CALLERS_KEPT_MAX,
    Caller,
    CompanyMissing,
    CompanyOfOthers,
    OperatorsOnly,
    TokenForAnotherClient,
    TokenMissing,
    TokenOfAnotherUse,
    TokenWithoutUser,
    Unauthenticated,
    caller_from_claims,
)
from tests.lambda_events import AUDIENCE, OPERATOR_SUB, claims
from tests.samples import COMPANY, OTHER_COMPANY


def caller(**changes: Any) -> Caller:
    """Return the caller that an operator's token names, after changes to its claims."""
    return caller_from_claims(claims(**changes), AUDIENCE)


def test_an_operator_without_a_company() -> None:
    assert caller() == Caller(OPERATOR_SUB, None, is_operator=True)


@pytest.mark.parametrize(
    "groups",
    [
        "operators",
        "drivers,operators",
        "drivers, operators",
        "[drivers operators]",
        "[operators]",
        ["operators"],
        ["a", "operators"],
    ],
)
def test_groups_arrive_in_several_forms(groups: object) -> None:
    assert caller(cognito__groups=groups).is_operator


@pytest.mark.parametrize(
    "groups",
    [
        None,
        "",
        "[]",
        [],
        "operator",
        "operators2",
        "operatorsX",
        "[Xoperators]",
        "X[operators]",
        "co-operators",
        "Operators",
        ["operators,x"],
    ],
)
def test_other_groups_grant_nothing(groups: object) -> None:
    assert not caller(cognito__groups=groups).is_operator


def test_the_company_is_in_lower_case() -> None:
    assert caller(custom__company_id=COMPANY.upper()).company_id == COMPANY


@pytest.mark.parametrize("company", [None, "", "acme", f"{{{COMPANY}}}", 1, [COMPANY], f"{COMPANY},{OTHER_COMPANY}"])
def test_a_company_that_is_not_a_uuid_grants_nothing(company: object) -> None:
    assert caller(custom__company_id=company).company_id is None


@pytest.mark.parametrize(
    ("token_claims", "kind"),
    [
        (None, TokenMissing),
        ({}, TokenMissing),
        (claims(token_use="access"), TokenOfAnotherUse),
        (claims(token_use=None), TokenOfAnotherUse),
        (claims(aud="other"), TokenForAnotherClient),
        (claims(aud=None), TokenForAnotherClient),
        (claims(aud=[AUDIENCE]), TokenForAnotherClient),
        (claims(sub=None), TokenWithoutUser),
        (claims(sub=""), TokenWithoutUser),
        (claims(sub=5), TokenWithoutUser),
    ],
)
def test_other_tokens_are_not_accepted(token_claims: dict[str, Any] | None, kind: type[Unauthenticated]) -> None:
    with pytest.raises(kind):
        caller_from_claims(token_claims, AUDIENCE)


def test_a_caller_with_a_company_may_post_for_that_company_only() -> None:
    clerk = Caller("clerk", COMPANY, is_operator=False)

    clerk.check_may_use_messages()
    clerk.check_may_act_for(COMPANY)
    with pytest.raises(CompanyOfOthers):
        clerk.check_may_act_for(OTHER_COMPANY)


@pytest.mark.parametrize("company", [None, COMPANY])
def test_an_operator_may_post_for_every_company(company: str | None) -> None:
    operator = Caller("operator", company, is_operator=True)

    operator.check_may_use_messages()
    operator.check_may_act_for(OTHER_COMPANY)


def test_a_caller_who_has_no_company_and_is_no_operator_may_not_use_messages() -> None:
    visitor = Caller("visitor", None, is_operator=False)

    with pytest.raises(CompanyMissing):
        visitor.check_may_use_messages()
    with pytest.raises(CompanyOfOthers):
        visitor.check_may_act_for(COMPANY)


def test_only_operators_may_change_dragons() -> None:
    Caller("operator", None, is_operator=True).check_is_operator()
    for company in (None, COMPANY):
        with pytest.raises(OperatorsOnly):
            Caller("clerk", company, is_operator=False).check_is_operator()


def test_a_submission_is_visible_to_its_maker_and_to_operators() -> None:
    assert Caller("clerk", COMPANY, is_operator=False).may_see_submission_of("clerk")
    assert not Caller("other", COMPANY, is_operator=False).may_see_submission_of("clerk")
    assert Caller("operator", None, is_operator=True).may_see_submission_of("clerk")


def test_a_caller_is_read_once_and_never_from_the_claims_of_another() -> None:
    one = caller(sub="one", custom__company_id=COMPANY)

    assert caller(sub="one", custom__company_id=COMPANY, jti="another token") is one
    assert caller(sub="two", custom__company_id=COMPANY).sub == "two"
    assert caller(sub="one", custom__company_id=OTHER_COMPANY).company_id == OTHER_COMPANY
    assert not caller(sub="one", custom__company_id=COMPANY, cognito__groups=None).is_operator
    with pytest.raises(TokenForAnotherClient):
        caller(sub="one", custom__company_id=COMPANY, aud="other")
    with pytest.raises(TokenOfAnotherUse):
        caller(sub="one", custom__company_id=COMPANY, token_use="access")


def test_a_group_whose_name_holds_a_comma_is_one_group() -> None:
    assert not caller(cognito__groups=["drivers,operators"]).is_operator


def test_as_many_callers_are_kept_as_the_bound_says() -> None:
    for number in range(CALLERS_KEPT_MAX + 1):
        caller(sub=f"caller {number}")

    assert identity._caller.cache_info().currsize == CALLERS_KEPT_MAX
