"""Dragons as clients report them, and what happens to a report."""

from __future__ import annotations

import uuid
from typing import Any

from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.samples import dragon_members


def a_dragon(**changes: Any) -> dict[str, Any]:
    """Return a dragon whose name no other test uses, with these members changed or added."""
    return dragon_members(f"Proofwing {uuid.uuid4().hex[:12]}", **changes)


def settled(api: Api, location: str, user: str = "operator") -> dict[str, Any]:
    """Follow a submission until the workflow has finished, as a client would."""

    def finished() -> dict[str, Any] | None:
        answer = api.get(location, user)
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] == "pending":
            assert answer.headers["Retry-After"]
            return None
        return answer.json()

    return until(finished)


def steps_of(api: Api, location: str, user: str = "operator") -> list[dict[str, str]]:
    """Return the states that a submission went through, once it has ended, which it does just after it is settled."""

    def ended() -> list[dict[str, str]] | None:
        answer = api.get(f"{location}?steps=true", user)
        assert answer.status_code == 200, answer.text
        steps: list[dict[str, str]] = answer.json()["steps"]
        return steps if steps and steps[-1]["name"] in ("Added", "Rejected", "Failed") else None

    return until(ended)
