"""An operator's three questions, each answered by one command: what happened to a message, why was a dragon refused, is
all well?
"""

from __future__ import annotations

import re
import uuid

import pytest

from tests.e2e import operating
from tests.e2e.dragons import a_dragon, settled
from tests.e2e.messages import a_message, dead, post, queue_unseen, stored
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.people import COMPANIES

PHONE = "+15555550123"
API, CONSUMER, ADDS = (f"log /aws/lambda/dragonpost-local{name}" for name in ("", "-store_messages", "-add_dragon"))
WORKFLOW, ROWS = "workflow dragonpost-local-dragons", "table dragonpost-local-submissions"
LETTERS = "queue dragonpost-local-messages-dead"


def asked(devstack: Devstack, command: str, *arguments: str) -> tuple[int, str]:
    """Run a command on the devstack's stage; return its exit status and what it printed."""
    ran = operating.asked(devstack, command, *arguments)
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def traced(devstack: Devstack, wanted: str, *sources: str) -> str:
    """Return the timeline of an id, once it has all these sources: a function's lines come when it has ended."""

    def whole() -> str | None:
        status, printed = asked(devstack, "trace", "--id", wanted)
        return printed if status == 0 and set(sources) <= set(moments(printed)) else None

    return until(whole)


def moments(printed: str) -> list[str]:
    """Return the sources of a timeline's moments, in their order."""
    return re.findall(r"^20[-0-9]{8} [:.0-9]+ *Z +\+[.0-9]+ s  (\w+ \S+)", printed, re.MULTILINE)


@pytest.fixture
def message_id() -> str:
    return str(uuid.uuid4())


@pytest.mark.parametrize(("target", "served_by"), [("local", "log api.log"), ("gateway", API)])
def test_what_happened_to_a_message_that_is_stored(
    devstack: Devstack, apis: dict[str, Api], message_id: str, target: str, served_by: str
) -> None:
    answer = post(apis[target], a_message(message_id=message_id, more=', "note": "not for operators"'))
    stored(apis[target], answer.headers["Location"])
    wanted = message_id if target == "gateway" else answer.headers["X-Request-Id"]
    bucket = f"bucket {devstack.running['outputs']['MessageBucketName']}"

    printed = traced(devstack, wanted, served_by, CONSUMER, bucket)

    assert f"message {message_id} of company {COMPANIES['amber']}: stored\n" in printed
    # The local server also tells of reads, which have the id in their path.
    in_order = [source for source in dict.fromkeys(moments(printed)) if source in {served_by, CONSUMER, bucket}]
    assert in_order == [served_by, bucket, CONSUMER]
    assert "not for operators" not in printed


def test_what_happened_to_a_message_that_is_a_dead_letter_and_that_the_stage_is_not_well(
    devstack: Devstack, apis: dict[str, Api], message_id: str
) -> None:
    api = apis["gateway"]
    stored(api, post(api, a_message("1", message_id=message_id)).headers["Location"])
    queue_unseen(devstack, a_message("2", message_id=message_id))
    letter = dead(devstack, message_id)["MessageId"]

    printed = traced(devstack, message_id, LETTERS, CONSUMER)
    status, screen = asked(devstack, "status")

    assert "is a dead letter: conflict: " in printed
    assert f'next: make dead-letters STAGE=local DO="show {letter}"' in printed
    assert moments(printed)[-2:] == [LETTERS, CONSUMER]
    assert status == 1
    assert re.search(r"^ILL  dead letters  \d+\n +next: make dead-letters STAGE=local$", screen, re.MULTILINE)


def test_why_a_dragon_was_refused(devstack: Devstack, apis: dict[str, Api]) -> None:
    api, dragon = apis["gateway"], a_dragon(reportingPhoneNumber=PHONE, confirmationRequired=True)
    name = dragon["dragon_name_str"]
    first, second = (api.post("/dragons", json=dragon) for _ in range(2))
    added, refused = (settled(api, answer.headers["Location"]) for answer in (first, second))
    assert {added["status"], refused["status"]} == {"added", "rejected"}

    by_name = traced(devstack, name.upper(), API, ADDS, WORKFLOW, ROWS)
    by_request = traced(devstack, second.headers["X-Request-Id"], API, WORKFLOW, ROWS)

    assert by_name.splitlines()[0].startswith(f"dragon {name} is in the registry, bucket ")
    for printed in (by_name, by_request):
        assert (
            f"rejected (duplicate): A dragon named {name} is in the registry." in printed or added["status"] != "added"
        )
        assert PHONE not in printed
        assert moments(printed)[0] == API, "the request comes before what it caused"


def test_an_id_that_nothing_knows_gets_one_answer_that_says_where_was_looked(devstack: Devstack) -> None:
    status, printed = asked(devstack, "trace", "--id", f"nobody-{uuid.uuid4()}")

    assert status == 1
    assert printed.startswith("stage local knows nothing of nobody-")
    assert printed.count("kept for 90 days") >= 5


def test_whether_all_is_well(devstack: Devstack) -> None:
    _, screen = asked(devstack, "status")

    well = [line.split()[1] for line in screen.splitlines() if line.startswith("ok ")]
    assert len(screen.splitlines()) <= 24, "it is one screen"
    # Another test may have left a dead letter, or have made an alarm go off.
    assert [each for each in well if each not in {"dead", "alarms"}] == [
        "health", "version", "deployed", "deployed", "consumer", "queue",
    ]  # fmt: skip
    assert re.search(r"^(ok   alarms|ILL  alarm) ", screen, re.MULTILINE)
