"""How a submission is shown: when it is accepted, once it is settled, and when a client asks for it."""

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from chalicelib.dragons.submissions import Step, Submission
from chalicelib.web import problems
from chalicelib.web.bodies import AcceptedSubmission, SubmissionStatus
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.responses import Reply

RETRY_AFTER_S = 1


def accepted(submission: Submission, path_prefix: str, waited_s: int) -> Reply:
    """Return the 202 for a submission that is on its way."""
    body = AcceptedSubmission(
        submission_id=submission.submission_id,
        status="pending",
        execution_arn=submission.execution_arn,
        started_at=submission.started_at,
    )
    location = {"Location": f"{path_prefix}/submissions/{submission.submission_id}"}
    return Reply(msgspec.json.encode(body), 202, location | _applied(waited_s))


def settled(submission: Submission, path_prefix: str, waited_s: int) -> Reply:
    """Return the 201 for a dragon that was added while the client waited. Ends the request with a problem otherwise."""
    if submission.status != "added":
        raise ProblemRaised(_problem(submission, f"{path_prefix}/submissions/{submission.submission_id}", waited_s))
    location = {"Location": f"{path_prefix}/dragons/{quote(submission.dragon.dragon_name_str, safe='')}"}
    return Reply(msgspec.json.encode(submission.dragon), 201, location | _applied(waited_s))


def status_document(submission: Submission, steps: Sequence[Step] | None) -> Reply:
    """Return what `GET /submissions/{id}` shows, with the workflow's steps unless they are None.

    It never shows the reporter's phone number, which is not part of a submission.
    """
    body = _status(submission, msgspec.UNSET if steps is None else steps)
    pending = {"Retry-After": str(RETRY_AFTER_S)} if submission.status == "pending" else {}
    return Reply(msgspec.json.encode(body), 200, {"Cache-Control": "no-cache"} | pending)


def list_document(submissions: Sequence[Submission]) -> bytes:
    """Return what `GET /submissions` shows: each as `GET /submissions/{id}` does without steps."""
    return msgspec.json.encode([_status(submission, msgspec.UNSET) for submission in submissions])


def _status(submission: Submission, steps: Sequence[Step] | msgspec.UnsetType) -> SubmissionStatus:
    return SubmissionStatus(
        submission_id=submission.submission_id,
        status=submission.status,
        dragon_name_str=submission.dragon.dragon_name_str,
        reason=submission.reason,
        notification=submission.notification,
        started_at=submission.started_at,
        finished_at=submission.finished_at,
        steps=steps,
    )


def _problem(submission: Submission, location: str, waited_s: int) -> problems.Problem:
    headers = {"Location": location} | _applied(waited_s)
    if submission.status == "failed":
        return problems.submission_failed(submission.reason, headers)
    if submission.refusal == "duplicate":
        return problems.duplicate_dragon(submission.reason, headers)
    return problems.dragon_refused(submission.reason, headers)


def _applied(waited_s: int) -> dict[str, str]:
    return {"Preference-Applied": f"wait={waited_s}"} if waited_s else {}
