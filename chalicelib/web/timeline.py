"""How operators see what all stores know of an id."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from chalicelib.dragons.submissions import Moment
from chalicelib.timeline import (
    ID_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    Findings,
    Linked,
    masked,
    once,
    one_line,
    ordered,
    utc,
)
from chalicelib.web import problems
from chalicelib.web.bodies import ANSWER_BYTES_MAX, Id, LetterId, RequestId, SubmissionId
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.requests import Parameters
from chalicelib.web.responses import Reply

# An item of a list takes three bytes, as in `"",`.
_AsManyAsFit = msgspec.Meta(max_length=ANSWER_BYTES_MAX // 3)
Line = Annotated[str, msgspec.Meta(max_length=TEXT_CHARACTERS_MAX)]


class TimelineMoment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, where that is written down, and what. Some places know the second alone."""

    at: Moment
    to_the_second: bool
    source: Line
    what: Line


class RelatedIds(msgspec.Struct, frozen=True, kw_only=True):
    """The ids that belong to the one that was asked for."""

    messages: Annotated[Sequence[Id], _AsManyAsFit]
    companies: Annotated[Sequence[Id], _AsManyAsFit]
    submissions: Annotated[Sequence[SubmissionId], _AsManyAsFit]
    dead_letters: Annotated[Sequence[LetterId], _AsManyAsFit]
    requests: Annotated[Sequence[RequestId], _AsManyAsFit]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What all stores know of an id. `answers` say what it is and how it stands; `limits` what was not looked at."""

    id: Annotated[str, msgspec.Meta(max_length=ID_CHARACTERS_MAX)]
    answers: Annotated[Sequence[Line], _AsManyAsFit]
    moments: Annotated[Sequence[TimelineMoment], _AsManyAsFit]
    limits: Annotated[Sequence[Line], _AsManyAsFit]
    related: RelatedIds


def id_from(parameters: Parameters) -> str:
    """Return the id that is asked for, without white space around it. Raises `InvalidInput`."""
    if "id" not in parameters.values:
        parameters.faults.add("parameter", "id", "is needed: a message's, a submission's or a dead letter's, or a name")
    wanted = parameters.take("id", _id)
    parameters.check()
    return wanted or ""


def timeline(wanted: str, findings: Findings, linked: Linked) -> Reply:
    """Return what was found, without phone numbers. Ends the request with 404 if nothing was."""
    if not findings.anything:
        raise ProblemRaised(problems.NOTHING_KNOWN)
    shown = Timeline(
        id=wanted,
        answers=[one_line(masked(answer)) for answer in once(findings.answers)],
        moments=[
            TimelineMoment(
                at=utc(moment.at),
                to_the_second=moment.to_the_second,
                source=one_line(moment.source),
                what=one_line(masked(moment.what)),
            )
            for moment in ordered(findings.moments)
        ],
        limits=[one_line(limit) for limit in once(findings.limits)],
        related=RelatedIds(
            messages=sorted(linked.messages),
            companies=sorted(linked.companies),
            submissions=sorted(linked.submissions),
            dead_letters=sorted(linked.letters),
            requests=sorted(linked.correlations),
        ),
    )
    return Reply(msgspec.json.encode(shown), 200, {"Cache-Control": "no-cache"})


def _id(text: str) -> str:
    wanted = text.strip()
    if not 1 <= len(wanted) <= ID_CHARACTERS_MAX:
        raise ValueError(f"must have 1 to {ID_CHARACTERS_MAX} characters")
    return wanted
