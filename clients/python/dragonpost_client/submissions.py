"""Waiting for a reported dragon."""

import time

from .api.dragons import get_submission
from .client import AuthenticatedClient
from .models import Problem, SubmissionStatus, SubmissionStatusStatus
from .patience import retry_after_s


class Refused(Exception):
    """The service refused to show a submission. `status` and `problem` say why."""

    def __init__(self, status: int, problem: Problem | None) -> None:
        super().__init__(problem.detail if problem else f"status {status}")
        self.status = status
        self.problem = problem


def until_settled(client: AuthenticatedClient, submission_id: str, within_s: float = 60) -> SubmissionStatus:
    """Wait until the workflow is done with a reported dragon; return how it ended: added, rejected or failed.

    Raises `Refused`, or `TimeoutError` if it is still pending after `within_s` seconds.
    """
    until = time.monotonic() + within_s
    while True:
        answer = get_submission.sync_detailed(submission_id, client=client)
        if isinstance(answer.parsed, SubmissionStatus):
            if answer.parsed.status != SubmissionStatusStatus.PENDING:
                return answer.parsed
        elif answer.status_code != 404:  # a submission is there a moment after it was accepted
            raise Refused(answer.status_code, answer.parsed)
        pause_s = retry_after_s(answer.headers)
        if time.monotonic() + pause_s > until:
            raise TimeoutError(f"submission {submission_id} is still pending after {within_s:g} s")
        time.sleep(pause_s)
