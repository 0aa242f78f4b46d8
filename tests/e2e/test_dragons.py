"""The dragon registry as deployed: reported over HTTP, through the workflow, and read back."""

from __future__ import annotations

import contextlib
import json
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.submission_table import INDEX
from tests.e2e.dragons import a_dragon, settled, steps_of
from tests.e2e.running import Api, Served
from tests.e2e.waiting import until

FIELDS = set(Dragon.__struct_fields__)
BY_HAND = "it starts executions by hand, whose dragons would be nobody's"


@pytest.fixture(scope="module")
def news(devstack: Served) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """An SQS queue that subscribes to the dragons' topic. Returns what it was told about a dragon so far."""
    sqs, sns = devstack.client("sqs"), devstack.client("sns")
    topic = devstack.running["outputs"]["DragonTopicArn"]
    url = sqs.create_queue(QueueName=f"news-of-dragons-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(allow)})
    subscription = sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    told: list[dict[str, Any]] = []

    def about(submission_id: str) -> list[dict[str, Any]]:
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        told.extend(json.loads(message["Body"]) for message in received)
        return [message for message in told if message["submission_id"] == submission_id]

    yield about
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=url)


def executed(devstack: Served, inputs: list[tuple[str | None, Any]]) -> Iterator[dict[str, Any]]:
    """Start executions by hand, with these names and inputs. Yield the output of each when it has ended."""
    stepfunctions = devstack.client("stepfunctions")
    machine = devstack.running["outputs"]["DragonWorkflowArn"]
    started = [
        stepfunctions.start_execution(
            stateMachineArn=machine, input=json.dumps(given), **({"name": name} if name else {})
        )
        for name, given in inputs
    ]

    def ended(execution_arn: str) -> dict[str, Any] | None:
        described = stepfunctions.describe_execution(executionArn=execution_arn)
        return described if described["status"] != "RUNNING" else None

    for execution in started:
        yield json.loads(until(lambda: ended(execution["executionArn"]))["output"])  # noqa: B023 - called at once


def rows_of(devstack: Served, submission_id: str) -> list[dict[str, Any]]:
    """Return the rows of a submission."""
    asked = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": submission_id}}}
    place = {"TableName": devstack.running["outputs"]["SubmissionTableName"], "IndexName": INDEX}
    items: list[dict[str, Any]] = devstack.client("dynamodb").query(**place, **asked)["Items"]
    return items


@contextlib.contextmanager
def table_out_of_reach(devstack: Served) -> Iterator[None]:
    """Inside the block, the workflow writes to a table that is not there."""
    stepfunctions, machine = devstack.client("stepfunctions"), devstack.running["outputs"]["DragonWorkflowArn"]
    definition = stepfunctions.describe_state_machine(stateMachineArn=machine)["definition"]
    table = devstack.running["outputs"]["SubmissionTableName"]
    assert f'"{table}"' in definition
    stepfunctions.update_state_machine(
        stateMachineArn=machine, definition=definition.replace(f'"{table}"', '"no-such-table"')
    )
    try:
        yield
    finally:
        stepfunctions.update_state_machine(stateMachineArn=machine, definition=definition)


class Clan:
    """A family that this module has reported, so that no other dragon is in it."""

    def __init__(self, api: Api) -> None:
        self.family = f"Clan {uuid.uuid4().hex[:12]}"
        self.accented = f"Élan {uuid.uuid4().hex[:12]}"
        reports = [a_dragon(family_str=self.family) for _ in range(8)]
        reports[3]["dragon_name_str"] = self.accented
        self.names = {report["dragon_name_str"] for report in reports}
        for place in [api.post("/dragons", json=report).headers["Location"] for report in reports]:
            assert settled(api, place)["status"] == "added"


@pytest.fixture(scope="module")
def clan(apis: dict[str, Api]) -> Clan:
    return Clan(apis["gateway"])


def pages_of(api: Api, reference: str) -> Iterator[list[dict[str, Any]]]:
    """Yield a page after the other, by the links between them."""
    first, following = reference, reference
    while following:
        answer = api.get(following)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        links = answer.links
        assert not links or links["first"]["url"] == api.stage_prefix + first
        following = links["next"]["url"] if links else ""


class TestReading:
    def test_every_dragon_has_all_attributes_and_nothing_else(self, api: Api, clan: Clan) -> None:
        answer = api.get("/dragons", params={"limit": 1000})

        assert answer.status_code == 200
        assert len(answer.json()) >= len(clan.names)
        assert all(set(dragon) == FIELDS for dragon in answer.json())
        assert answer.headers["Cache-Control"] == "no-cache"

    @pytest.mark.parametrize("limit", [3, 8])
    def test_pages_list_every_dragon_in_order_and_once(self, api: Api, clan: Clan, limit: int) -> None:
        pages = list(pages_of(api, f"/dragons?{urlencode({'family': clan.family, 'limit': limit})}"))
        names = [dragon["dragon_name_str"] for page in pages for dragon in page]
        whole = api.get("/dragons", params={"family": clan.family, "limit": 1000}).json()

        assert len(pages) == -(-len(clan.names) // limit)
        assert (set(names), len(names)) == (clan.names, len(clan.names))
        assert names == [dragon["dragon_name_str"] for dragon in whole]

    def test_a_prefix_finds_the_names_that_begin_so_page_by_page(self, api: Api, clan: Clan) -> None:
        asked = {"family": clan.family, "namePrefix": " PROOFWING ", "limit": 3}
        pages = list(pages_of(api, f"/dragons?{urlencode(asked)}"))
        accented = api.get("/dragons", params={"namePrefix": unicodedata.normalize("NFD", clan.accented[:-1]).upper()})
        nothing = api.get("/dragons", params={"family": clan.family, "namePrefix": "Proofwing  "})

        assert [len(page) for page in pages] == [3, 3, 1]
        assert {dragon["dragon_name_str"] for page in pages for dragon in page} == clan.names - {clan.accented}
        assert [dragon["dragon_name_str"] for dragon in accented.json()] == [clan.accented]
        assert nothing.json() == []

    def test_families_are_listed_with_their_counts_page_by_page(self, api: Api, clan: Clan) -> None:
        families = [family for page in pages_of(api, "/families?limit=10") for family in page]
        whole = api.get("/families", params={"limit": 1000})
        again = api.get("/families", params={"limit": 1000}, headers={"If-None-Match": whole.headers["ETag"]})

        theirs = {"family_str": clan.family, "count": len(clan.names)}
        assert families.count(theirs) == whole.json().count(theirs) == 1
        assert (again.status_code, again.content) == (304, b"")

    def test_filters_compare_normalised_names_and_combine(self, api: Api, clan: Clan) -> None:
        theirs = api.get("/dragons", params={"family": f" {clan.family.upper()} "}).json()
        accented = unicodedata.normalize("NFD", clan.accented).upper()
        both = api.get("/dragons", params={"family": clan.family, "dragonName": accented}).json()
        neither = api.get("/dragons", params={"family": "blue", "dragonName": clan.accented}).json()

        assert {dragon["dragon_name_str"] for dragon in theirs} == clan.names
        assert [dragon["dragon_name_str"] for dragon in both] == [clan.accented]
        assert neither == []

    def test_a_filter_is_data_and_never_code(self, api: Api) -> None:
        assert api.get("/dragons", params={"dragonName": "' OR '1'='1"}).json() == []

    def test_a_dragon_is_found_by_any_spelling_of_its_name(self, api: Api, clan: Clan) -> None:
        decomposed = unicodedata.normalize("NFD", clan.accented)
        for spelling in (clan.accented, decomposed.upper(), f" {clan.accented.lower()} "):
            assert api.get(f"/dragons/{quote(spelling)}").json()["dragon_name_str"] == clan.accented
        assert api.get(f"/dragons/Nobody {uuid.uuid4().hex[:8]}").status_code == 404

    @pytest.mark.parametrize("of", ["a family", "a dragon"])
    def test_an_unchanged_answer_is_a_304_without_a_body(self, api: Api, clan: Clan, of: str) -> None:
        places = {"a family": f"/dragons?family={quote(clan.family)}", "a dragon": f"/dragons/{quote(clan.accented)}"}
        first = api.get(places[of])
        again = api.get(places[of], headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})

        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]

    def test_head_answers_as_get_does_without_a_body(self, api: Api, clan: Clan) -> None:
        place = f"/dragons/{quote(clan.accented)}"
        got, headed = api.get(place), api.request("HEAD", place)

        assert (headed.status_code, headed.content) == (200, b"")
        assert headed.headers["ETag"] == got.headers["ETag"]


class TestReporting:
    def test_a_reported_dragon_is_added_and_the_world_is_told(
        self, api: Api, news: Callable[[str], list[dict[str, Any]]]
    ) -> None:
        dragon = a_dragon()

        answer = api.post("/dragons", json=dragon)
        submission = settled(api, answer.headers["Location"])

        assert answer.status_code == 202
        assert answer.headers["Location"].startswith(f"{api.stage_prefix}/submissions/")
        assert answer.json()["status"] == "pending"
        assert set(answer.json()) == {"submission_id", "status", "execution_arn", "started_at"}
        assert (submission["status"], submission["notification"]) == ("added", "sent")
        assert submission["dragon_name_str"] == dragon["dragon_name_str"]
        steps = steps_of(api, answer.headers["Location"])
        names = [step["name"] for step in steps]
        assert [name for name in names if name in ("ValidateDragon", "AddDragon", "NotifyAdded", "Added")] == [
            "ValidateDragon",
            "AddDragon",
            "NotifyAdded",
            "Added",
        ]
        assert {step["status"] for step in steps} == {"succeeded"}
        assert api.get(f"/dragons/{dragon['dragon_name_str']}").json() == dragon
        (told,) = until(lambda: news(submission["submission_id"]))
        assert (told["event"], told["dragon"]) == ("dragon.added", dragon)

    def test_waiting_answers_with_the_dragon_and_its_location(self, api: Api) -> None:
        dragon = a_dragon(dragon_name_str=f"Ünal {uuid.uuid4().hex[:8]}")

        answer = api.post("/dragons", json=dragon, headers={"Prefer": "respond-async, wait=10"})

        assert (answer.status_code, answer.json()) == (201, dragon)
        assert answer.headers["Preference-Applied"] == "wait=10"
        assert api.get(answer.headers["Location"]).json() == dragon

    def test_a_duplicate_is_refused_whatever_its_case(
        self, api: Api, news: Callable[[str], list[dict[str, Any]]]
    ) -> None:
        dragon = a_dragon()
        assert api.post("/dragons", json=dragon, headers={"Prefer": "wait=10"}).status_code == 201
        again = a_dragon(dragon_name_str=dragon["dragon_name_str"].upper(), family_str="blue")

        refused = api.post("/dragons", json=again, headers={"Prefer": "wait=10"})
        submission = settled(api, refused.headers["Location"])

        assert refused.status_code == 409
        assert refused.json()["type"] == "urn:dragonpost:problem:duplicate-dragon"
        assert submission["status"] == "rejected"
        assert "in the registry" in submission["reason"]
        assert api.get(f"/dragons/{dragon['dragon_name_str']}").json() == dragon
        (told,) = until(lambda: news(submission["submission_id"]))
        assert told["event"] == "dragon.rejected"

    def test_the_courses_web_client_is_understood(self, api: Api) -> None:
        name = f"Aliasing {uuid.uuid4().hex[:8]}"
        body = {
            "dragonName": f"  {name} ",
            "family": "green",
            "description": "Sent by the course's client.",
            "city": "Las Vegas",
            "country": "USA",
            "neighborhood": "e clay ave",
            "state": "NV",
            "reportingPhoneNumber": "15555555555",
            "confirmationRequired": False,
        }

        answer = api.post("/dragons", json=body, headers={"Prefer": "wait=10"})

        assert answer.status_code == 201
        assert answer.json()["dragon_name_str"] == name
        assert answer.json()["location_neighborhood_str"] == "e clay ave"

    def test_an_idempotency_key_makes_repeating_safe(self, api: Api) -> None:
        dragon, key = a_dragon(), {"Idempotency-Key": f'"{uuid.uuid4()}"'}

        first = api.post("/dragons", json=dragon, headers=key)
        settled(api, first.headers["Location"])
        again = api.post("/dragons", json=dragon, headers={"Idempotency-Key": key["Idempotency-Key"].strip('"')})
        other = api.post("/dragons", json=a_dragon(), headers=key)
        somebody_else = api.post("/dragons", "amber", json=a_dragon(), headers=key)

        assert (again.status_code, again.json()) == (202, first.json())
        assert other.status_code == 422
        assert other.json()["type"] == "urn:dragonpost:problem:idempotency-key-reused"
        assert somebody_else.status_code == 202
        assert somebody_else.json()["submission_id"] != first.json()["submission_id"]


class TestWorkflow:
    @pytest.mark.devstack_only("it would text somebody")
    def test_a_reporter_who_asks_is_texted_and_the_number_goes_nowhere_else(
        self, api: Api, devstack: Served, news: Callable[[str], list[dict[str, Any]]]
    ) -> None:
        number = "+1555" + str(uuid.uuid4().int)[:7]
        dragon = a_dragon()

        answer = api.post("/dragons", json={**dragon, "reportingPhoneNumber": number, "confirmationRequired": True})
        submission = settled(api, answer.headers["Location"])

        texts = api.http.get(f"{devstack.running['aws_url']}/_ministack/sns/sms-messages", timeout=10).text
        assert submission["status"] == "added"
        assert "TextReporter" in [step["name"] for step in steps_of(api, answer.headers["Location"])]
        assert number in texts
        assert number not in json.dumps([answer.json(), submission, until(lambda: news(submission["submission_id"]))])

    def test_a_country_the_stage_does_not_list_is_not_texted(self, api: Api) -> None:
        report = {**a_dragon(), "reportingPhoneNumber": "+882123456", "confirmationRequired": True}

        location = api.post("/dragons", json=report).headers["Location"]
        submission = settled(api, location)

        assert submission["status"] == "added"
        assert "TextReporter" not in [step["name"] for step in steps_of(api, location)]

    def test_submissions_are_shown_only_to_their_reporter_and_to_operators(self, api: Api) -> None:
        location = api.post("/dragons", "amber", json=a_dragon()).headers["Location"]

        assert api.get(location, "amber").status_code == 200
        assert api.get(location, "operator").status_code == 200
        assert api.get(location, "cobalt").status_code == 404
        assert api.get(location, "cobalt").json()["detail"] == api.get("/submissions/none", "cobalt").json()["detail"]

    def test_callers_see_what_became_of_their_own_reports_newest_first(self, api: Api) -> None:
        dragon = a_dragon()
        reports = [api.post("/dragons", "cobalt", json=dragon) for _ in range(2)]
        ended = [settled(api, report.headers["Location"], "cobalt") for report in reports]
        newest = sorted(ended, key=lambda submission: str(submission["started_at"]), reverse=True)

        first = api.get("/submissions", "cobalt", params={"limit": 1})
        second = api.get(first.links["next"]["url"], "cobalt")
        assert [*first.json(), *second.json()] == newest
        assert {submission["status"] for submission in newest} == {"added", "rejected"}
        assert ended[0]["submission_id"] not in api.get("/submissions", "amber", params={"limit": 1000}).text

    @pytest.mark.devstack_only(BY_HAND)
    def test_an_execution_that_is_started_by_hand_is_refused_with_a_reason(self, api: Api, devstack: Served) -> None:
        (dragon,) = api.get("/dragons?limit=1").json()
        told = {"dragon": dragon, "reporter": {}, "confirmation_required": False, "requested_by": "s"}
        inputs: list[Any] = [
            told | {"submission_id": None, "correlation_id": "by-hand"},
            told | {"submission_id": "another", "correlation_id": "by-hand"},
            told | {"submission_id": "by-hand"},
            dragon,
            {},
        ]

        for outcome in executed(devstack, [(None, given) for given in inputs]):
            assert (outcome["status"], outcome["outcome"]) == ("rejected", "invalid")
            assert outcome["reason"]

    @pytest.mark.devstack_only(BY_HAND)
    def test_a_reporter_that_the_api_would_not_give_is_refused_and_not_texted(self, devstack: Served) -> None:
        number = "+15555550100"
        unwanted: list[tuple[bool, Any]] = [
            (True, ...),
            (True, None),
            (True, {}),
            (True, {"text": True}),
            (True, {"text": True, "phone_number": "15555550100"}),
            (True, {"text": "yes", "phone_number": number}),
            (False, "x"),
            (False, {"phone_number": number}),
            (False, {"text": False, "phone_number": 15555550100}),
            (False, {"text": True, "phone_number": number}),
        ]
        wanted: list[tuple[bool, Any]] = [
            (False, {"text": False}),
            (False, {"text": False, "phone_number": "15555550100"}),
            (True, {"text": False, "phone_number": number}),
        ]

        def given(confirmation_required: bool, reporter: Any) -> tuple[str, dict[str, Any]]:
            name = str(uuid.uuid4())
            told = {"submission_id": name, "requested_by": "s", "correlation_id": "by-hand", "dragon": a_dragon()}
            said = {} if reporter is ... else {"reporter": reporter}
            return name, {**told, **said, "confirmation_required": confirmation_required}

        outcomes = list(executed(devstack, [given(*each) for each in (*unwanted, *wanted)]))

        assert {outcome["status"] for outcome in outcomes[len(unwanted) :]} == {"added"}
        for outcome in outcomes[: len(unwanted)]:
            assert (outcome["status"], outcome["outcome"]) == ("rejected", "invalid")
            assert outcome["reason"].startswith("#/reporter: must have text")

    def test_the_row_of_a_submission_says_what_step_functions_says(
        self, apis: dict[str, Api], devstack: Served
    ) -> None:
        """And the phone number is not in it."""
        number = "+15555550123"
        answer = apis["gateway"].post(
            "/dragons", "amber", json=a_dragon(reportingPhoneNumber=number, confirmationRequired=False)
        )
        settled(apis["gateway"], answer.headers["Location"], "amber")
        (row,) = rows_of(devstack, answer.json()["submission_id"])
        described = devstack.client("stepfunctions").describe_execution(executionArn=answer.json()["execution_arn"])

        assert json.loads(described["input"])["requested_by"] == row["sub"]["S"]
        assert row["started_at_id"]["S"] == f"{answer.json()['started_at']}#{answer.json()['submission_id']}"
        assert row["execution_arn"]["S"] == answer.json()["execution_arn"]
        assert (row["status"]["S"], row["notification"]["S"]) == ("added", "sent")
        assert int(row["expires_at"]["N"]) == int(described["startDate"].timestamp()) + 90 * 86400
        assert number not in json.dumps(row)

    @pytest.mark.devstack_only("it takes a table away from everybody's reports")
    def test_no_report_is_lost_if_its_row_cannot_be_written(self, apis: dict[str, Api], devstack: Served) -> None:
        api = apis["gateway"]
        with table_out_of_reach(devstack):
            report = api.post("/dragons", json=(dragon := a_dragon()))
            again = api.post("/dragons", json=dragon)
            found = settled(api, report.headers["Location"])
            refused = settled(api, again.headers["Location"])
        steps = {step["name"]: step["status"] for step in steps_of(api, report.headers["Location"])}

        assert {found["status"], refused["status"]} == {"added", "rejected"}
        assert api.get(f"/dragons/{dragon['dragon_name_str']}").json() == dragon
        assert steps["RecordPending"] == "failed"
        assert steps["CountUnrecordedPending"] == "succeeded"
        assert rows_of(devstack, report.json()["submission_id"]) == []

    @pytest.mark.devstack_only("it deletes the topic")
    def test_once_added_it_stays_added_when_the_notification_fails(self, api: Api, devstack: Served) -> None:
        sns, topic = devstack.client("sns"), devstack.running["outputs"]["DragonTopicArn"]
        dragon = a_dragon()
        sns.delete_topic(TopicArn=topic)
        try:
            answer = api.post("/dragons", json=dragon)
            submission = settled(api, answer.headers["Location"])
            steps = steps_of(api, answer.headers["Location"])
        finally:
            sns.create_topic(
                Name=topic.rsplit(":", 1)[-1]
            )  # the last test of the file: subscriptions are gone with the topic

        assert (submission["status"], submission["notification"]) == ("added", "failed")
        assert {step["name"]: step["status"] for step in steps}["NotifyAdded"] == "failed"
        assert api.get(f"/dragons/{dragon['dragon_name_str']}").json() == dragon
