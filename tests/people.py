"""Who the tests sign in as: the devstack's people, or visitors of the deployed stage that `make verify` looks at."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devstack.people import PEOPLE

# This variable names the file in which `make verify` says where its stage is, and who may sign in there.
VARIABLE = "DRAGONPOST_VERIFIED_STAGE"


def verified_stage() -> dict[str, Any] | None:
    """Return what `make verify` says of the stage that the tests look at, or None if they have a devstack."""
    named = os.environ.get(VARIABLE)
    return dict(json.loads(Path(named).read_text(encoding="utf-8"))) if named else None


def _companies() -> Mapping[str, str]:
    if stage := verified_stage():
        return {name: visitor["company_id"] for name, visitor in stage["people"].items() if visitor["company_id"]}
    return {person.name: person.company_id for person in PEOPLE if person.company_id}


COMPANIES = _companies()  # by the names of their users
