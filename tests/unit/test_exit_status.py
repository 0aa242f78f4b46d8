"""Whatever stops a command is one line on stderr and a status that scripts can tell, never a traceback."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from chalicelib.aws import DependencyError
from chalicelib.settings import SettingError
from devstack.settings import DevstackError
from operations.exit_status import exit_status
from operations.stores import StageOutdated

DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Scan")


class Refused(Exception):
    """What only one command raises."""


def ended(error: BaseException | None, **said: str) -> int:
    def work() -> None:
        if error:
            raise error

    return exit_status(work, Refused, may="read its queues", **said)


@pytest.mark.parametrize(("given", "status"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_that_ends_says_nothing_and_has_the_status_that_it_names(
    given: int | None, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(lambda: given, may="") == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error", [Refused, DevstackError, SettingError, StageOutdated], ids=lambda error: error.__name__
)
def test_what_is_written_for_people_is_told_as_it_is(
    error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error("there is no bucket")) == 1
    assert capsys.readouterr() == ("", "error: there is no bucket\n")


@pytest.mark.parametrize("error", [DENIED, NoCredentialsError(), DependencyError("SQS", "it is down")], ids=repr)
def test_what_aws_refuses_asks_whether_the_reader_may_do_it(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error) == 1
    assert capsys.readouterr().err == f"error: {error}. Is the stage deployed, and may you read its queues?\n"


def test_an_interrupted_command_has_the_status_that_shells_give_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended(KeyboardInterrupt(), interrupted="run it again") == 130
    assert capsys.readouterr().err == "run it again\n"


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(LookupError):
        ended(LookupError())
