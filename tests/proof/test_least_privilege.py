"""No function can do more than its job. Each grant is used in the run or needed on AWS; without one, work fails."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from itertools import permutations
from random import Random
from typing import Any

import pytest

from operations import PROJECT, resources
from operations.stages import STAGES
from tests.e2e.homes import registry_in_dynamodb
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.proof import functions, logs
from tests.proof.beyond_the_emulator import FUNCTION_POLICIES, WORKFLOW_ROLE
from tests.proof.fault_proxy import FaultProxy
from tests.proof.policies import FUNCTIONS, Call, Grant, allows, grants, only, policy, together, without
from tests.proof.report import Report, Scale
from tests.proof.roles import NAMES, as_chalice_deploys, redelivered_soon, start_cold, under_policy
from tests.proof.tour import Tour
from tests.proof.trail import Trail, recording

SUITE = "5 least privilege"
ON_AWS = [name for name in STAGES if name != "local"]


def as_in(stage: str, text: str) -> str:
    """Return a name or ARN as it would be in another stage."""
    return re.sub(rf"(dragonpost[-/])({'|'.join(STAGES)})\b", rf"\g<1>{stage}", text)


def moved(call: Call, stage: str) -> Call:
    """Return the same call, as it would be in another stage."""
    return Call(call.action, as_in(stage, call.resource))


def is_beyond(function: str, grant: Grant) -> bool:
    name = as_in("prod", NAMES[function])
    return any(
        function in row.functions and (row.action, row.resource.format(name=name)) == (grant.action, grant.resource)
        for row in FUNCTION_POLICIES
    )


@pytest.fixture(scope="module")
def called(proving_ground: Devstack, proving_apis: dict[str, Api]) -> dict[str, set[Call]]:
    """What each function called while everything was done once, with the registry in either home, with the resources
    renamed to prod's.

    The functions are as `chalice deploy` leaves them: those of the merged template ask Parameter Store for less.
    """
    with recording(proving_ground) as trail, contextlib.ExitStack() as as_before:
        for function in FUNCTIONS:
            as_before.enter_context(as_chalice_deploys(proving_ground, function))
        Tour(proving_apis["gateway"]).everything()
        in_s3 = {function: recorded(trail, function) for function in FUNCTIONS}
        with registry_in_dynamodb(proving_ground):
            tour = Tour(proving_apis["gateway"])
            tour.report()
            start_cold(proving_ground, "operator_api")  # it would go on asking the other home for a minute
            tour.look_after()
            tour.correct()
        return {function: in_s3[function] | recorded(trail, function) for function in FUNCTIONS}


def recorded(trail: Trail, function: str) -> set[Call]:
    """Return a function's latest calls of what its policy allows, with the resources renamed to prod's."""
    actions = {grant.action for grant in grants(policy(function, "prod"))}
    return {moved(call, "prod") for call in trail.calls(NAMES[function], actions)}


def unused(document: dict[str, Any], calls: set[Call]) -> list[Grant]:
    """Return the grants of a policy that none of these calls needs."""
    return [grant for grant in grants(document) if not any(grant.covers(call) for call in calls)]


class TestNothingIsLeftOver:
    def test_each_grant_is_used_or_listed_with_its_source(self, report: Report, called: dict[str, set[Call]]) -> None:
        granted = [grant for function in FUNCTIONS for grant in grants(policy(function, "prod"))]
        not_used = [
            (function, grant) for function in FUNCTIONS for grant in unused(policy(function, "prod"), called[function])
        ]
        left_over = [(function, grant) for function, grant in not_used if not is_beyond(function, grant)]
        used, listed = len(granted) - len(not_used), len(not_used) - len(left_over)
        report.add(
            SUITE,
            "no grant without a use",
            tried=len(granted),
            survived=used + listed,
            lost=len(left_over),
            note=f"{used} grants used in the run, {listed} listed with AWS's page",
        )
        assert not left_over

    @pytest.mark.parametrize(
        "grant",
        [
            Grant("", "s3:DeleteObject", "arn:aws:s3:::dragonpost-prod-dragons-*/*"),
            Grant("", "s3:GetObject", "arn:aws:s3:::dragonpost-prod-elsewhere-*/*"),
        ],
        ids=["of another action", "on another resource"],
    )
    def test_a_grant_that_nothing_uses_is_found(self, called: dict[str, set[Call]], grant: Grant) -> None:
        statement = {"Effect": "Allow", "Action": grant.action, "Resource": grant.resource}
        assert unused({"Statement": [statement]}, called["api_handler"]) == [grant]
        assert not is_beyond("api_handler", grant)

    def test_every_listed_grant_is_in_a_policy(self) -> None:
        for row in FUNCTION_POLICIES:
            for function in row.functions:
                listed = [grant for grant in grants(policy(function, "prod")) if grant.action == row.action]
                assert any(is_beyond(function, grant) for grant in listed), (function, row)
            assert row.source.startswith("https://docs.aws.amazon.com/")

    def test_every_call_is_allowed_in_every_stage(self, report: Report, called: dict[str, set[Call]]) -> None:
        """The emulator checks stage local's policies only."""
        refused = [
            (stage, function, call)
            for stage in ON_AWS
            for function in FUNCTIONS
            for call in called[function]
            if not allows(policy(function, stage), moved(call, stage))
        ]
        tried = len(ON_AWS) * sum(map(len, called.values()))
        report.add(SUITE, "every call is allowed", tried=tried, survived=tried - len(refused), lost=len(refused))
        assert tried
        assert not refused


class TestStagesKeptApart:
    def test_no_function_may_touch_another_stages_resources(self, report: Report, called: dict[str, set[Call]]) -> None:
        tried, crossed = 0, []
        things = {call.resource for calls in called.values() for call in calls}
        things |= set(map(_bucket_of, things)) | set(_granted_things("prod"))
        actions = {grant.action for function in FUNCTIONS for grant in grants(policy(function, "prod"))}
        for stage, other in permutations(ON_AWS, 2):
            for function in FUNCTIONS:
                for action in actions:
                    for thing in things:
                        tried += 1
                        foreign = moved(Call(action, thing), other)
                        if allows(policy(function, stage), foreign) and not action.startswith("xray:"):
                            crossed.append((stage, function, foreign))

        report.add(SUITE, "dev cannot touch prod", tried=tried, survived=tried - len(crossed), lost=len(crossed))
        for kind in (":log-group:", "messages-dead$", ":s3:::[^/]*$"):
            assert [thing for thing in things if re.search(kind, thing)], kind
        assert not crossed

    def test_a_function_with_another_stages_policy_gets_nothing(
        self, report: Report, rng: Random, proving_ground: Devstack, proving_apis: dict[str, Api]
    ) -> None:
        """The same, by the emulator's own evaluation: dev's policy in place of local's.

        Reading the settings is refused as well. It is then allowed, or the function would not get as far as asking for
        anything else.
        """
        tour = Tour(proving_apis["gateway"])
        foreign = together(
            without(policy("api_handler", "dev"), "ssm:GetParameters"),
            only(policy("api_handler", "local"), "ssm:GetParameters"),
        )
        probes = {
            ("s3", "GetObject"): lambda: tour.api.get("/dragons"),
            ("states", "StartExecution"): tour.post_dragon,
            ("sqs", "SendMessage"): tour.post_message,
            ("dynamodb", "GetItem"): tour.get_message,
            ("dynamodb", "Query"): lambda: tour.api.get(f"/message/{tour.message_id}"),
        }
        # The API asks Step Functions about a submission only once it has found no row.
        rows_too = together(foreign, only(policy("api_handler", "local"), "dynamodb:Query"))
        beyond_rows = {("states", "DescribeExecution"): lambda: tour.api.get(f"/submissions/{uuid.uuid4()}")}
        settings = {("ssm", "GetParameters"): lambda: tour.api.get("/dragons")}
        with (
            FaultProxy(proving_ground.running["aws_url"], rng) as proxy,
            functions.reaching_aws_at(proving_ground, proxy.url, functions.API),
        ):
            with under_policy(proving_ground, "api_handler", policy("api_handler", "dev")):
                answers = [probe() for probe in settings.values()]
            seen = {asked: {call.status for call in proxy.since(0, *asked)} for asked in settings}
            with under_policy(proving_ground, "api_handler", foreign):
                answers += [probe() for probe in probes.values()]
            seen |= {asked: {call.status for call in proxy.since(0, *asked)} for asked in probes}
            with under_policy(proving_ground, "api_handler", rows_too):
                answers += [probe() for probe in beyond_rows.values()]
            seen |= {asked: {call.status for call in proxy.since(0, *asked)} for asked in beyond_rows}
            probes |= beyond_rows | settings

        denied = {asked: {400 if asked in settings else 403} for asked in probes}  # by IAM, in the service's way
        refused = [asked for asked, statuses in seen.items() if statuses == denied[asked]]
        opened = [asked for asked, statuses in seen.items() if statuses - denied[asked]]
        tried = len(probes)
        report.add(SUITE, "dev's policy opens nothing of local's", tried=tried, survived=len(refused), lost=len(opened))
        assert not opened, seen
        assert len(refused) == tried, f"never called, so never refused: {seen}"
        assert {answer.status_code for answer in answers} <= {500, 503}
        assert not [answer for answer in answers if "dragon_name_str" in answer.text or "arn:" in answer.text]


class TestDeletions:
    """The recording can be believed: without a recorded action, the work that needs it fails and says so."""

    @pytest.fixture(autouse=True)
    def _at_full_scale(self, scale: Scale) -> None:
        if scale.name == "fast":
            pytest.skip("a cold function for each deletion: make prove")

    def test_the_api_fails_clearly_without_an_action(
        self, report: Report, proving_ground: Devstack, proving_apis: dict[str, Api]
    ) -> None:
        tour = Tour(proving_apis["gateway"])
        assert tour.add_dragon() == "added"
        once = {"headers": {"Idempotency-Key": str(uuid.uuid4())}}
        submission = tour.post_dragon(**once).headers["Location"]
        assert tour.post_message().status_code == 202
        until(lambda: tour.get_message().status_code == 200)
        probes: dict[str, Callable[[], Any]] = {
            "sqs:SendMessage": lambda: Tour(tour.api).post_message(),
            "s3:PutObject": tour.put_dragon,
            "s3:GetObject": lambda: tour.api.get("/dragons"),
            "states:StartExecution": tour.post_dragon,
            "states:DescribeExecution": lambda: tour.post_dragon(**once),
            "states:GetExecutionHistory": lambda: tour.api.get(f"{submission}?steps=true"),
            "dynamodb:GetItem": tour.get_message,
            "dynamodb:Query": lambda: tour.api.get(f"/message/{tour.message_id}"),
            "ssm:GetParameters": lambda: tour.api.get("/dragons"),
        }
        chosen = list(probes)
        for action in chosen:
            before = probes[action]().status_code
            with under_policy(proving_ground, "api_handler", without(policy("api_handler", "local"), action)):
                refused = probes[action]()
            assert before < 400, action
            assert refused.status_code == (503 if action == "sqs:SendMessage" else 500), action
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert not re.search("(?i)arn:|denied|dynamodb|sqs|aws", refused.text)
        unseeing = without(policy("api_handler", "local"), "dynamodb:GetItem")
        with under_policy(proving_ground, "api_handler", unseeing):
            assert tour.post_message().status_code == 202, "it cannot look, but the queue can take the message"
        assert tour.api.get("/dragons").status_code == 200
        report.add(SUITE, "the API without an action fails clearly", tried=len(chosen), survived=len(chosen))

    def test_a_dragon_is_not_added_without_an_action(
        self, report: Report, proving_ground: Devstack, proving_apis: dict[str, Api]
    ) -> None:
        chosen = ["s3:PutObject", "s3:GetObject", "ssm:GetParameters"]
        for action in chosen:
            tour = Tour(proving_apis["gateway"])
            with under_policy(proving_ground, "add_dragon", without(policy("add_dragon", "local"), action)):
                assert tour.add_dragon() == "failed", action
            assert tour.api.get(tour.dragon_path).status_code == 404
            assert tour.add_dragon() == "added", "a new report succeeds"
        report.add(SUITE, "add_dragon without an action fails clearly", tried=len(chosen), survived=len(chosen))

    def test_a_message_waits_while_an_action_is_missing(
        self, report: Report, proving_ground: Devstack, proving_apis: dict[str, Api]
    ) -> None:
        chosen = ["dynamodb:PutItem", "dynamodb:GetItem", "s3:PutObject"]
        for action in chosen:
            tour = Tour(proving_apis["gateway"])
            with redelivered_soon(proving_ground):
                with under_policy(proving_ground, "store_messages", without(policy("store_messages", "local"), action)):
                    request_id = f"missing-{uuid.uuid4()}"
                    posted = tour.post_message(request_id=request_id)
                    until(
                        lambda request_id=request_id: logs.mentions(
                            proving_ground, functions.STORE_MESSAGES, request_id, "message not settled"
                        )
                    )
                    assert tour.get_message().status_code == 404, action
                assert posted.status_code == 202
                until(lambda tour=tour: tour.get_message().status_code == 200)
        report.add(SUITE, "store_messages without an action loses nothing", tried=len(chosen), survived=len(chosen))

    def test_validating_works_with_no_action_at_all(
        self, report: Report, proving_ground: Devstack, proving_apis: dict[str, Api]
    ) -> None:
        """Its policy has only what the log and the traces need, and the embedded AWS asks for none of that."""
        nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
        with under_policy(proving_ground, "validate_dragon", nothing):
            status = Tour(proving_apis["gateway"]).add_dragon()
        survived = int(status == "added")
        report.add(SUITE, "validate_dragon needs no data", tried=1, survived=survived, lost=1 - survived)
        assert status == "added"


class TestRolesThatTheEmulatorDoesNotEnforce:
    """The roles of the state machine and the event source mapping: what the template grants, and what they call."""

    def test_the_state_machines_role_allows_its_calls_and_nothing_else(self, report: Report) -> None:
        calls = list(_calls_of_the_definition())
        role = [grant for document in _workflow_role() for grant in grants(document)]
        refused = [call for call in calls if not any(grant.covers(call) for grant in role)]
        unused = [
            grant
            for grant in role
            if not any(grant.covers(call) for call in calls) and _place(grant) not in WORKFLOW_ROLE
        ]
        report.add(
            SUITE,
            "the state machine's role fits its definition",
            tried=len(calls) + len(role),
            survived=len(calls) + len(role) - len(refused) - len(unused),
            lost=len(refused) + len(unused),
            note=f"{len(calls)} calls, {len(role)} grants, {len(WORKFLOW_ROLE)} of them with AWS's page",
        )
        assert not refused
        assert not unused
        assert WORKFLOW_ROLE.keys() <= set(map(_place, role))

    def test_the_role_cannot_send_texts_if_the_stage_sends_none(self) -> None:
        role = [grant for document in _workflow_role(texts=False) for grant in grants(document)]
        assert not any(grant.covers(call) for grant in role for call in A_TEXT)

    def test_metrics_are_limited_to_the_namespace(self) -> None:
        (statement,) = [
            statement
            for document in _workflow_role()
            for statement in document["Statement"]
            if statement["Action"] == "cloudwatch:PutMetricData"
        ]
        spaces = {state["Parameters"]["Namespace"] for state in _tasks() if "putMetricData" in state["Resource"]}
        assert {statement["Condition"]["StringEquals"]["cloudwatch:namespace"]} == spaces

    @pytest.mark.parametrize("stage", STAGES)
    def test_the_consumers_role_allows_the_calls_of_the_mapping(self, stage: str) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
        queue = f"arn:aws:sqs:us-east-1:123456789012:dragonpost-{stage}-messages"
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
            assert allows(policy("store_messages", stage), Call(action, queue))
            assert not allows(policy("store_messages", stage), Call(action, queue + "-dead"))


def _bucket_of(thing: str) -> str:
    """Return the bucket's ARN for an object's ARN, and any other ARN unchanged."""
    return thing.partition("/")[0] if thing.startswith("arn:aws:s3:::") else thing


def _granted_things(stage: str) -> Iterator[str]:
    """Yield one resource for each pattern in a stage's policies, even for those that the emulator never checks."""
    for function in FUNCTIONS:
        for grant in grants(policy(function, stage)):
            if grant.resource != "*":
                yield grant.resource.replace("*", "anything")


def _place(grant: Grant) -> tuple[str, str]:
    """Return the key of a grant in `WORKFLOW_ROLE`."""
    return grant.action, ("not " if grant.but else "") + grant.resource


def _tasks() -> list[dict[str, Any]]:
    definition = json.loads((PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8"))
    return [state for state in definition["States"].values() if state["Type"] == "Task"]


# SNS sends a text through AWS End User Messaging, with its caller's permissions:
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSNSFullAccess.html
A_TEXT = (Call("sns:Publish", "+15555550100"), Call("sms-voice:SendTextMessage", "*"))

_TOPIC = "arn:aws:sns:us-east-1:123456789012:dragonpost-prod-dragons"
_SUBMISSIONS = "arn:aws:dynamodb:us-east-1:123456789012:table/dragonpost-prod-submissions"
_SUBSTITUTED = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "Stage": "prod",
    "DragonTopic": _TOPIC,
    "SubmissionTable": "dragonpost-prod-submissions",
    "SubmissionTable.Arn": _SUBMISSIONS,
}


def _calls_of_the_definition() -> Iterator[Call]:
    """Yield every AWS call that the state machine's tasks make.

    https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
    """
    named = _resources()["DragonWorkflow"]["Properties"]["DefinitionSubstitutions"]
    for state in _tasks():
        parameters = state.get("Parameters") or state["Arguments"]
        integration = state["Resource"].removeprefix("arn:${Partition}:states:::")
        if integration == "lambda:invoke":
            name = _substituted(named[parameters["FunctionName"].strip("${}")])
            yield Call("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:123456789012:function:{name}")
        elif integration == "sns:publish":
            yield from [Call("sns:Publish", _TOPIC)] if "TopicArn" in parameters else A_TEXT
        elif integration.startswith("dynamodb:"):
            assert _substituted(named[parameters["TableName"].strip("${}")]) == _SUBMISSIONS.rpartition("/")[2]
            yield Call(f"dynamodb:{integration[9].upper()}{integration[10:]}", _SUBMISSIONS)
        else:
            assert integration == "aws-sdk:cloudwatch:putMetricData", integration
            yield Call("cloudwatch:PutMetricData", "*")


def _resources() -> dict[str, Any]:
    template = resources.template()
    return dict(template["Resources"])


def _workflow_role(*, texts: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the policies of the state machine's role in prod, which traces, with text messages allowed or not."""
    for item in _resources()["DragonWorkflowRole"]["Properties"]["Policies"]:
        chosen = item
        if "Fn::If" in item:
            assert item["Fn::If"][0] in {"SmsAllowed", "Traced"}
            if item["Fn::If"][0] == "SmsAllowed" and not texts:
                continue
            chosen = item["Fn::If"][1]
        yield _substituted(chosen["PolicyDocument"])


def _substituted(node: Any) -> Any:
    """Return a part of the template whose references to parameters and pseudo parameters are replaced."""
    if isinstance(node, list):
        return [_substituted(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"}:
        return _SUBSTITUTED[node["Ref"]]
    if node.keys() == {"Fn::GetAtt"}:
        return _SUBSTITUTED[".".join(node["Fn::GetAtt"])]
    if node.keys() == {"Fn::Sub"}:
        return re.sub(r"\$\{([\w:]+)\}", lambda match: _SUBSTITUTED[match[1]], node["Fn::Sub"])
    return {key: _substituted(value) for key, value in node.items()}
