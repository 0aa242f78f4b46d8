"""Who is calling, and what that lets them do: the one place that reads token claims.

The gateway has verified the token's signature, issuer and time before a request arrives here. Neither it nor an
emulator can be relied on to check the kind of token and which client it was issued to, so that is done here, on every
request. The errors here have no text for clients; that is in `chalicelib/web/problems.py`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from chalicelib.checked import Uuid

OPERATORS_GROUP = "operators"
CALLERS_KEPT_MAX = 1_000  # some 700 kB


class Unauthenticated(Exception):
    """The request carries no token that this service accepts. It is always one of the four below."""


class TokenMissing(Unauthenticated):
    """The request carries no verified token."""


class TokenOfAnotherUse(Unauthenticated):
    """The token is not an ID token."""


class TokenForAnotherClient(Unauthenticated):
    """The token was issued to another client."""


class TokenWithoutUser(Unauthenticated):
    """The token names no user."""


class Forbidden(Exception):
    """The caller is known, but may not do this. It is always one of the three below."""


class OperatorsOnly(Forbidden):
    """The caller is not an operator."""


class CompanyMissing(Forbidden):
    """The caller has no company and is not an operator."""


class CompanyOfOthers(Forbidden):
    """The caller belongs to another company."""


class Caller(msgspec.Struct, frozen=True):
    """A signed-in user: Cognito's `sub`, their company (a lower-case UUID, or None), and if they are an operator."""

    sub: str
    company_id: str | None
    is_operator: bool

    def check_may_act_for(self, company_id: str) -> None:
        """Raise `CompanyOfOthers` unless the caller may post messages for this company, and list them."""
        if not self.is_operator and self.company_id != company_id:
            raise CompanyOfOthers

    def check_may_use_messages(self) -> None:
        """Raise `CompanyMissing` for a caller who has no company and is not an operator."""
        if self.company_id is None and not self.is_operator:
            raise CompanyMissing

    def check_is_operator(self) -> None:
        """Raise `OperatorsOnly` unless the caller is an operator."""
        if not self.is_operator:
            raise OperatorsOnly

    def may_see_submission_of(self, sub: str) -> bool:
        """Tell whether the caller may see a submission that the user `sub` made."""
        return self.is_operator or self.sub == sub


def caller_from_claims(claims: Mapping[str, Any] | None, audience: str) -> Caller:
    """Make the caller from verified token claims.

    Takes the claims (None when the request had no token) and the user pool client's id. Raises `Unauthenticated`
    unless they are those of an ID token issued to that client
    (https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html).
    """
    if not claims:
        raise TokenMissing
    if claims.get("token_use") != "id":
        raise TokenOfAnotherUse
    if claims.get("aud") != audience:
        raise TokenForAnotherClient
    sub = claims.get("sub")
    if not isinstance(sub, str) or not sub:
        raise TokenWithoutUser
    company = claims.get("custom:company_id")
    groups = claims.get("cognito:groups") or ""
    return _caller(
        sub,
        company if isinstance(company, str) else "",
        groups if isinstance(groups, str) else tuple(groups),
    )


@lru_cache(maxsize=CALLERS_KEPT_MAX)
def _caller(sub: str, company: str, groups: str | tuple[str, ...]) -> Caller:
    """Return the caller with exactly these claims: every request brings them, and callers send many."""
    return Caller(sub, _company(company), OPERATORS_GROUP in _listed(groups))


def _company(claim: str) -> str | None:
    """Return the company's id in lower case. A claim that is not a UUID grants nothing."""
    try:
        return str(Uuid.parse(claim))
    except ValueError:
        return None


def _listed(groups: str | tuple[str, ...]) -> Sequence[str]:
    """Return the caller's groups: a list in the token itself, `a,b` from API Gateway, `[a b]` from the emulator."""
    return re.split(r"[,\s]+", groups.strip("[]")) if isinstance(groups, str) else groups
