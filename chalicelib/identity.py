"""Who is calling, and what that lets them do: the one place that reads token claims.

The gateway has verified the token's signature, issuer and time before a request arrives here. Neither it nor an
emulator can be relied on for the kind of token and for whom it was made out, so those are checked on every request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.validation import Uuid

OPERATORS_GROUP = "operators"


class Unauthenticated(Exception):
    """The request carries no token that this service accepts; the message names the rule, never the token."""


class Forbidden(Exception):
    """The caller is known and may not do this; the message is for the caller."""


class OperatorsOnly(Forbidden):
    """The caller is no operator."""

    def __init__(self) -> None:
        super().__init__("Only operators may correct and remove dragons.")


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user: Cognito's `sub`, the company they act for (lower-case UUID, or None), and operator or not."""

    sub: str
    company_id: str | None
    is_operator: bool

    def check_may_post_for(self, company_id: str) -> None:
        """Raise `Forbidden` unless the caller may post messages for this company."""
        self.check_may_use_messages()
        if not self.is_operator and self.company_id != company_id:
            raise Forbidden("You may post messages for your own company only.")

    def check_may_use_messages(self) -> None:
        """Raise `Forbidden` for a caller who neither has a company nor is an operator."""
        if self.company_id is None and not self.is_operator:
            raise Forbidden("Your account belongs to no company, so it may use the dragon registry only.")

    def check_may_change_dragons(self) -> None:
        """Raise `OperatorsOnly` unless the caller may correct and remove what is in the registry."""
        if not self.is_operator:
            raise OperatorsOnly

    def may_see_submission_of(self, sub: str) -> bool:
        """Tell whether the caller may see a submission that the user `sub` made."""
        return self.is_operator or self.sub == sub


def caller_from_claims(claims: Mapping[str, Any] | None, audience: str) -> Caller:
    """Make the caller of verified token claims.

    Takes the claims (None when the request had no token) and the user pool client's id. Raises `Unauthenticated`
    unless they are those of an ID token made out to that client
    (https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html).
    """
    if not claims:
        raise Unauthenticated("This request needs a token: Authorization: Bearer <ID token>.")
    if claims.get("token_use") != "id":
        raise Unauthenticated("The token must be an ID token.")
    if claims.get("aud") != audience:
        raise Unauthenticated("The token was made out to another client.")
    sub = claims.get("sub")
    if not isinstance(sub, str) or not sub:
        raise Unauthenticated("The token names no user.")
    return Caller(sub, _company(claims.get("custom:company_id")), OPERATORS_GROUP in _groups(claims))


def _company(claim: object) -> str | None:
    """Return the company's id in lower case; a claim that is no UUID grants nothing."""
    try:
        return str(Uuid.parse(claim))
    except ValueError:
        return None


def _groups(claims: Mapping[str, Any]) -> set[str]:
    """Return the caller's groups: a list in the token itself, `a,b` from API Gateway, `[a b]` from the emulator."""
    groups = claims.get("cognito:groups") or []
    if isinstance(groups, str):
        return set(re.split(r"[,\s]+", groups.strip("[]")))
    return set(groups)
