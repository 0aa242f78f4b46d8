"""The stage that ships: prod, unmodified, on an embedded AWS over TLS. From its first deployment on, in order.

docs/embedded-aws.md says in what it differs here from what ships.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import jwt
import pytest
from awscli.customizations.cloudformation.yamlhelper import yaml_parse
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib.dragons.document import moved_to
from operations import dragon_rows
from operations.functions import API, ROUTED, deployed_name
from operations.generate import live_alias
from operations.stages import STAGES
from tests.deploy.deployer import USER
from tests.deploy.embedded_aws import embedded_aws
from tests.deploy.prod import APP_STACK, RESOURCES_STACK, STAGE, Prod
from tests.deployer import AFTER_A_FAILURE, OF_THE_APP, policies
from tests.e2e.dragons import a_dragon
from tests.e2e.messages import a_message, post, stored
from tests.e2e.running import Api
from tests.proof.policies import grants
from tests.proof.tour import Tour

CONSUMER = deployed_name("store_messages", STAGE)
RELEASED = tuple(deployed_name(function, STAGE) for function in live_alias.released())

# What nothing here needs of what whoever deploys may call: tests/proof/test_prods_life.py destroys the stage and
# deploys it over what stayed. Only packages older than 90 days are deleted (tests/integration/test_artifacts.py).
OF_OTHER_COMMANDS = AFTER_A_FAILURE | {
    *("cloudformation:ListStacks", "cognito-idp:GetGroup", "s3:DeleteBucketPolicy", "lambda:ListFunctions"),
    *("logs:DescribeLogGroups", "logs:DeleteLogGroup", "s3:DeleteObject"),
}

IN_THE_WAY = f"/dragonpost/{STAGE}/message_queue_url"

# What the policies of the resources stack protect: the output that names each, and a call that needs it.
PROTECTED: Mapping[str, Callable[[Any, str], Any]] = {
    "DragonBucketName": lambda client, name: client("s3").list_objects_v2(Bucket=name),
    "MessageBucketName": lambda client, name: client("s3").get_object(Bucket=name, Key="none"),
    "MessageQueueUrl": lambda client, name: client("sqs").send_message(QueueUrl=name, MessageBody="{}"),
    "MessageDeadLetterQueueUrl": lambda client, name: client("sqs").receive_message(QueueUrl=name),
    "DragonTopicArn": lambda client, name: client("sns").publish(TopicArn=name, Message="{}"),
}


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prod]:
    """Stage prod, not deployed yet, on an embedded AWS that nothing else uses."""
    stage = Prod(tmp_path_factory.mktemp("prod"))
    with embedded_aws(stage.settings):
        stage.have_a_deployer()
        yield stage


@pytest.fixture(scope="module")
def somebody(prod: Prod) -> dict[str, str]:
    """The keys of a user who may do everything, unless a resource's own policy denies it; root may do even that."""
    iam = prod.client("iam")
    iam.create_user(UserName="somebody")
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="somebody", PolicyName="anything", PolicyDocument=json.dumps(anything))
    made = iam.create_access_key(UserName="somebody")["AccessKey"]
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


@pytest.fixture(scope="module")
def deployed(prod: Prod) -> Prod:
    """The stage, deployed now if no test has done that before."""
    if not prod.running:
        first = prod.deploy()
        assert first.returncode == 0, first.stderr
    return prod


@pytest.fixture
def gateway(deployed: Prod) -> Api:
    """A client of the deployed API."""
    return Api(deployed, "gateway")


def stacks_status(prod: Prod, stack: str) -> str:
    return str(prod.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])


def client_with(prod: Prod, keys: Mapping[str, str]) -> Callable[[str], Any]:
    """Return what makes clients with somebody's keys."""

    def client(service: str) -> Any:
        made: Any = boto3.Session(**keys, region_name="us-east-1").client(  # type: ignore[call-overload]
            service, endpoint_url=prod.settings.aws_url, verify=str(prod.settings.ca_bundle)
        )
        return made

    return client


def refusal(prod: Prod, somebody: Mapping[str, str], output: str, forwarded: str | None) -> str:
    """Use what an output names, and return why that was refused, or "".

    Behind the emulator's TLS, the header says what a client spoke to a proxy before it.
    """

    def client(service: str) -> Any:
        made = client_with(prod, somebody)(service)
        if forwarded:
            made.meta.events.register(
                "before-send", lambda request, **_: request.headers.update({"X-Forwarded-Proto": forwarded})
            )
        return made

    try:
        PROTECTED[output](client, prod.running["outputs"][output])
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        return "" if code == "NoSuchKey" else code
    return ""


def held(prod: Prod) -> dict[str, object]:
    """Return what a stage holds that people have made: users, dragons, objects, rows and dead letters."""
    outputs, dynamodb = prod.running["outputs"], prod.client("dynamodb")
    users = prod.client("cognito-idp").list_users(UserPoolId=outputs["UserPoolId"])["Users"]
    archived = prod.client("s3").list_object_versions(Bucket=outputs["MessageBucketName"])
    letters = {"QueueUrl": outputs["MessageDeadLetterQueueUrl"], "AttributeNames": ["ApproximateNumberOfMessages"]}
    return {
        "users": sorted(user["Username"] for user in users),
        "dragons": dragons_held(prod),
        "archived": sorted(version["Key"] for version in archived.get("Versions", [])),
        "messages": dynamodb.scan(TableName=outputs["MessageTableName"])["Count"],
        "submissions": dynamodb.scan(TableName=outputs["SubmissionTableName"])["Count"],
        "letters": prod.client("sqs").get_queue_attributes(**letters)["Attributes"],
    }


def dragons_held(prod: Prod) -> list[str]:
    """Return the names of the dragons, wherever the registry is."""
    outputs = prod.running["outputs"]
    body = prod.client("s3").get_object(Bucket=outputs["DragonBucketName"], Key="dragons.json")["Body"].read()
    if moved_to(body):
        entries = dragon_rows.dragons(prod.client("dynamodb"), outputs["DragonTableName"]).values()
        return sorted(json.loads(entry)["dragon_name_str"] for entry in entries)
    return sorted(dragon["dragon_name_str"] for dragon in json.loads(body))


def mappings(prod: Prod) -> list[dict[str, Any]]:
    """Return the event source mappings: what Lambda takes from queues."""
    return list(prod.client("lambda").list_event_source_mappings()["EventSourceMappings"])


def versions(prod: Prod, function: str) -> list[str]:
    """Return a function's published versions."""
    listed = prod.client("lambda").list_versions_by_function(FunctionName=function)["Versions"]
    return [version["Version"] for version in listed if version["Version"] != "$LATEST"]


class TestFirstDeployment:
    def test_one_that_fails_says_why(self, prod: Prod) -> None:
        ssm = prod.client("ssm")
        ssm.put_parameter(Name=IN_THE_WAY, Value="of somebody else", Type="String")

        failed = prod.deploy()

        ssm.delete_parameter(Name=IN_THE_WAY)
        assert failed.returncode == 1
        assert RESOURCES_STACK in failed.stderr
        assert stacks_status(prod, RESOURCES_STACK) == "ROLLBACK_COMPLETE"

    def test_the_next_one_goes_on(self, prod: Prod) -> None:
        deployed = prod.deploy()

        assert deployed.returncode == 0, deployed.stderr
        assert f"{RESOURCES_STACK} is ROLLBACK_COMPLETE" in deployed.stderr
        assert "it failed at " in deployed.stderr
        assert stacks_status(prod, APP_STACK) == "CREATE_COMPLETE"


class TestWhatIsDeployed:
    @pytest.mark.parametrize("stack", [RESOURCES_STACK, APP_STACK])
    def test_no_resource_is_left_out_for_this_stage(self, deployed: Prod, stack: str) -> None:
        aws = deployed.client("cloudformation")
        body = aws.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
        template = yaml_parse(body) if isinstance(body, str) else body
        pages = aws.get_paginator("list_stack_resources").paginate(StackName=stack)
        deployed = {item["LogicalResourceId"] for page in pages for item in page["StackResourceSummaries"]}

        left_out = template["Resources"].keys() - deployed

        for name in left_out:
            condition = template["Conditions"][template["Resources"][name]["Condition"]]
            assert "Stage" not in json.dumps(condition), name

    def test_no_function_is_told_where_aws_is(self, deployed: Prod) -> None:
        functions = deployed.client("lambda").list_functions()["Functions"]
        variables = [function["Environment"]["Variables"] for function in functions]

        assert len(functions) == 5
        assert not [name for each in variables for name in each if name.startswith("AWS_")]

    def test_data_is_protected_from_deletion_and_alarms_watch(self, deployed: Prod) -> None:
        outputs = deployed.running["outputs"]
        table = deployed.client("dynamodb").describe_table(TableName=outputs["MessageTableName"])["Table"]
        pool = deployed.client("cognito-idp").describe_user_pool(UserPoolId=outputs["UserPoolId"])["UserPool"]
        alarms = deployed.client("cloudwatch").describe_alarms()["MetricAlarms"]

        assert table["DeletionProtectionEnabled"] is True
        assert pool["DeletionProtection"] == "ACTIVE"
        assert {alarm["AlarmName"] for alarm in alarms} >= {"dragonpost-prod-messages-dead"}

    def test_clients_and_the_queue_call_the_alias(self, deployed: Prod) -> None:
        api, [mapping] = deployed.client("apigateway"), mappings(deployed)
        [rest_api] = api.get_rest_apis()["items"]
        resources = api.get_resources(restApiId=rest_api["id"], embed=["methods"], limit=500)["items"]
        methods = [method for each in resources for method in each.get("resourceMethods", {}).values()]
        called = {method["methodIntegration"].get("uri", "") for method in methods} - {""}

        assert {uri.rpartition("function:")[2] for uri in called} == {
            f"{deployed_name(function, STAGE)}:live/invocations" for function in ROUTED
        }
        assert mapping["FunctionArn"].endswith(f":{CONSUMER}:live")
        assert {name: versions(deployed, name) for name in RELEASED} == {name: ["1"] for name in RELEASED}


class TestInUse:
    def test_both_pipelines_work_over_https(self, gateway: Api) -> None:
        tour = Tour(gateway).everything()

        assert gateway.base_url.startswith("https://")
        assert {name: answer.status_code for name, answer in tour.answers.items() if answer.status_code >= 400} == {
            "POST /dragons: duplicate": 409,
            "POST /post-message: conflict seen": 409,
            "GET /submissions/{id}: unknown": 404,
            "GET /operator/timeline: a dragon": 404,  # it has been removed
        }
        assert tour.answers["POST /dragons: added"].status_code == 201
        assert tour.answers["GET /message/{id}"].json()["metadata"]["message_id"] == tour.message_id

    def test_a_forged_token_opens_nothing(self, deployed: Prod, gateway: Api) -> None:
        """It is the operator's in everything but the key that it is signed with."""
        genuine = deployed.token("operator")
        claims = jwt.decode(genuine, options={"verify_signature": False})
        key = rsa.generate_private_key(65537, 2048)
        forged = jwt.encode(claims, key, "RS256", {"kid": jwt.get_unverified_header(genuine)["kid"]})

        refused, let_in = (
            gateway.get("/dragons", None, headers={"Authorization": f"Bearer {token}"}) for token in (forged, genuine)
        )

        assert (refused.status_code, let_in.status_code) == (401, 200)
        assert refused.json()["status"] == 401
        assert refused.headers["Access-Control-Allow-Origin"] == STAGES[STAGE].allow_origin

    @pytest.mark.parametrize("output", PROTECTED)
    def test_plain_http_is_refused_and_tls_is_not(self, deployed: Prod, somebody: dict[str, str], output: str) -> None:
        refused = refusal(deployed, somebody, output, forwarded="http")

        assert refused in {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
        assert refusal(deployed, somebody, output, forwarded=None) == ""


class TestVerifying:
    """What operators run to see whether a deployed stage works. `make prove` runs the whole of `make verify`."""

    def test_smoke_goes_through_both_pipelines_and_removes_what_it_made(self, deployed: Prod, gateway: Api) -> None:
        dragon = a_dragon()
        assert gateway.post("/dragons", json=dragon, headers={"Prefer": "wait=10"}).status_code == 201
        before = held(deployed)

        smoked = deployed.run("operations.smoke")

        assert smoked.returncode == 0, smoked.stderr
        assert smoked.stdout.count("ok  ") == 6
        assert "the workflow refuses a dragon that is in the registry" in smoked.stdout
        assert held(deployed) == before

    def test_smoke_says_what_is_broken(self, deployed: Prod) -> None:
        function = {"FunctionName": deployed_name(API, STAGE)}
        deployed.client("lambda").put_function_concurrency(**function, ReservedConcurrentExecutions=0)

        smoked = deployed.run("operations.smoke")

        deployed.client("lambda").delete_function_concurrency(**function)
        assert smoked.returncode == 1
        assert "broken: GET /health: 429 instead of 200" in smoked.stderr
        assert "Traceback" not in smoked.stderr

    def test_verify_runs_the_suite_asks_first_and_removes_what_it_made(self, deployed: Prod, tmp_path: Path) -> None:
        before, report = held(deployed), tmp_path / "report.md"
        part = ("tests/e2e/test_corrections.py", "tests/verify/test_known_differences.py", "--report", str(report))

        unasked = deployed.run("tests.verify", *part, typed="yes\n")
        verified = deployed.run("tests.verify", *part, typed=f"{STAGE}\n")

        assert unasked.returncode == 2
        assert "that was not prod; nothing was done" in unasked.stderr
        assert verified.returncode == 0, verified.stdout
        assert "Nothing that was not known." in report.read_text(encoding="utf-8")
        assert held(deployed) == before


class TestLooking:
    """An operator's questions, of which none changes anything."""

    def test_three_questions_are_answered_by_a_command_each(self, deployed: Prod, gateway: Api) -> None:
        dragon, message = a_dragon(), a_message()
        for _ in range(2):
            reported = gateway.post("/dragons", json=dragon, headers={"Prefer": "wait=10"})
        place = post(gateway, message).headers["Location"]
        stored(gateway, place)

        healthy = deployed.run("operations.status")
        happened = deployed.run("operations.trace", "--id", place.rpartition("/")[2])
        refused = deployed.run("operations.trace", "--id", reported.headers["X-Request-Id"])

        told = gateway.get("/health", None).json()
        for line in (
            r"ok   health +GET /health answers 200 in \d+ ms, at https://.+",
            rf"ok   version +{told['version']}, commit {told['commit'] or 'unknown'}",
            rf"ok   deployed +{RESOURCES_STACK} 20.+ ago\)",
            rf"ok   deployed +{APP_STACK} 20.+ ago\)",
            rf"ok   consumer +{CONSUMER}:live gets messages \(Enabled\)",
            r"ok   queue +\d+ waiting, \d+ being delivered; the (age of the oldest is not known|oldest has been).+",
            r"(ok   dead letters +none|ILL  dead letters +\d+)",
            r"(ok   alarms +none of \d+ goes off|ILL  alarm +dragonpost-prod-.+)",
        ):
            assert re.search(f"^{line}$", healthy.stdout, re.MULTILINE), (line, healthy.stdout, healthy.stderr)
        assert happened.stdout.splitlines()[0].endswith(": stored"), happened.stderr
        assert "log /aws/lambda/dragonpost-prod-store_messages" in happened.stdout
        assert "rejected (duplicate): A dragon named" in refused.stdout, refused.stderr
        assert "log /aws/lambda/dragonpost-prod " in refused.stdout


class TestUpdate:
    def test_a_changed_template_leaves_every_policy_in_place(self, deployed: Prod, somebody: dict[str, str]) -> None:
        deployed.edit(
            "infrastructure/resources.yaml",
            lambda text: text.replace("VisibilityTimeout: 180", "VisibilityTimeout: 240").replace(
                "NewerNoncurrentVersions: 50", "NewerNoncurrentVersions: 60"
            ),
        )
        deployed.edit("app.py", lambda text: f"{text}# another version\n")

        compared = deployed.run("operations.deploy.diff", "--set", "SmsAllowedPrefixes=+1,+44", "--set", "Canary=off")
        deployed.client("ssm").delete_parameter(Name=IN_THE_WAY)  # as somebody might

        updated = deployed.deploy()

        assert "  change       MessageQueue  AWS::SQS::Queue: VisibilityTimeout\n" in compared.stdout, compared.stderr
        assert "  change       APIHandler  AWS::Lambda::Function: Code" in compared.stdout
        assert updated.returncode == 0, updated.stderr
        assert f"put the parameter {IN_THE_WAY}" in updated.stderr
        assert "old packages stay" not in updated.stderr
        assert stacks_status(deployed, RESOURCES_STACK) == "UPDATE_COMPLETE"
        outputs = deployed.running["outputs"]
        queue = {"QueueUrl": outputs["MessageQueueUrl"], "AttributeNames": ["VisibilityTimeout"]}
        assert deployed.client("sqs").get_queue_attributes(**queue)["Attributes"] == {"VisibilityTimeout": "240"}
        assert [output for output in PROTECTED if not refusal(deployed, somebody, output, forwarded="http")] == []

    def test_the_alias_names_the_new_version_and_the_one_before_is_kept(self, deployed: Prod) -> None:
        for function in RELEASED:
            alias = deployed.client("lambda").get_alias(FunctionName=function, Name="live")

            assert versions(deployed, function) == ["1", "2"]
            assert alias["FunctionVersion"] == "2"
            assert not alias.get("RoutingConfig")

    def test_both_pipelines_still_work(self, gateway: Api) -> None:
        tour = Tour(gateway).everything()

        assert tour.answers["POST /dragons: added"].status_code == 201
        assert tour.answers["GET /message/{id}"].status_code == 200


class TestWhoeverDeploys:
    """Every deployment here is made under the policies of infrastructure/deployer.yaml, which the emulator enforces."""

    def test_may_do_nothing_that_deploying_does_not(self, deployed: Prod) -> None:
        assert deployed.deployer
        granted = {grant.action for grant in grants(policies(STAGE)["Deploying"])}

        called = deployed.deployer.called()

        assert called - granted == {"sts:GetCallerIdentity"}  # anybody may
        assert granted - called == OF_OTHER_COMMANDS

    def test_cannot_touch_what_is_not_the_stages(self, deployed: Prod) -> None:
        assert deployed.deployer
        keys = {key.lower(): value for key, value in deployed.deployer.environment.items()}

        for call in (
            lambda client: client("s3").get_object(
                Bucket=deployed.running["outputs"]["DragonBucketName"], Key="dragons.json"
            ),
            lambda client: client("dynamodb").scan(TableName=deployed.running["outputs"]["MessageTableName"]),
            lambda client: client("ssm").put_parameter(Name="/dragonpost/dev/dragon_store", Value="s3", Type="String"),
            lambda client: client("iam").attach_user_policy(
                UserName=USER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
            ),
            lambda client: client("lambda").delete_function(FunctionName=deployed_name(API, STAGE)),
        ):
            with pytest.raises(ClientError) as refused:
                call(client_with(deployed, keys))
            assert "AccessDenied" in refused.value.response["Error"]["Code"]

    def test_makes_what_the_policies_are_compared_with(self, deployed: Prod) -> None:
        pages = deployed.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=APP_STACK)

        assert {each["ResourceType"] for page in pages for each in page["StackResourceSummaries"]} == OF_THE_APP
