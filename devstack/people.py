"""Who may log in to a devstack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Somebody who may log in, for a company or as an operator."""

    name: str
    company_id: str = ""
    is_operator: bool = False

    @property
    def email(self) -> str:
        """The address to log in with."""
        return f"{self.name}@dragonpost.example"


PEOPLE = (
    Person("operator", is_operator=True),
    Person("amber", company_id="e0721e56-fb09-4273-ae74-7bcbc92d43eb"),
    Person("cobalt", company_id="5b1f3a0e-6c1d-4a55-9f2e-0d6f4c7f1b8a"),
)
