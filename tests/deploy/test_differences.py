"""The embedded AWS differs from AWS in each of these ways, as devstack/differences.toml says.

If one of these tests fails, the difference is gone, or it is another one now: change the entry, and whatever was done
about it.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json
import platform
import sys
import zipfile
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from devstack.aws.deployment import ACCOUNT
from devstack.settings import HOST, REGION, Settings
from operations.deploy.target import this_machine
from tests.deploy.embedded_aws import embedded_aws
from tests.e2e.running import free_ports
from tests.e2e.waiting import until

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/nobody"  # it may do nothing
PASSWORD = "Probe-2026-dragons"
ANSWERS = """
import json, os, platform

def handler(event, context):
    if "raise" in event or event.get("path") == "/open/raise":
        raise ValueError("told to")
    body = {name: event.get(name) for name in ("path", "headers", "multiValueHeaders")}
    body |= {"pid": os.getpid(), "machine": platform.machine(), "python": platform.python_version()}
    print('{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"Probe","Dimensions":[[]],'
          '"Metrics":[{"Name":"Asked"}]}]},"Asked":1}')
    return {"statusCode": 200, "headers": {"WWW-Authenticate": "Bearer"}, "body": json.dumps(body)}
"""


class Probe:
    """Clients of the emulator, and what the tests make in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._numbers = itertools.count()
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return a client with root's credentials that tries once."""
        if service not in self._clients:
            session: Any = boto3.Session("test", "test", region_name=REGION)
            self._clients[service] = session.client(
                service, endpoint_url=self.settings.aws_url, config=Config(retries={"total_max_attempts": 1})
            )
        return self._clients[service]

    def name(self, kind: str) -> str:
        """Return a name that nothing has yet."""
        return f"{kind}-{next(self._numbers)}"

    def queue(self, **attributes: str) -> tuple[str, str]:
        """Make a queue; return its URL and ARN."""
        name = self.name("queue")
        url = self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def stack(
        self,
        name: str,
        resources: Mapping[str, Any],
        *,
        update: bool = False,
        ends_as: Container[str] = ("CREATE_COMPLETE", "UPDATE_COMPLETE"),
    ) -> dict[str, str]:
        """Create or update a stack; return the ids of its resources."""
        aws = self.client("cloudformation")
        outputs = {f"{each}Id": {"Value": {"Ref": each}} for each in resources}
        body = json.dumps({"Resources": resources, "Outputs": outputs})
        (aws.update_stack if update else aws.create_stack)(StackName=name, TemplateBody=body)

        stack = self.ended(name)
        assert stack["StackStatus"] in ends_as
        return {each["OutputKey"].removesuffix("Id"): each["OutputValue"] for each in stack.get("Outputs", [])}

    def ended(self, stack: str) -> Any:
        """Wait until nothing goes on in a stack, and return what is said of it. Takes its name or id."""

        def described() -> Any:
            [found] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        return until(described)

    def function(self, runtime: str = RUNTIME, architecture: str = this_machine()) -> str:
        """Make a function of `ANSWERS`; return its name."""
        name, packed = self.name("function"), io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("answers.py", ANSWERS)
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime=runtime,
            Architectures=[architecture],
            Role=ROLE,
            Handler="answers.handler",
            Code={"ZipFile": packed.getvalue()},
        )
        return name

    def invoke(self, function: str, **event: Any) -> Any:
        """Invoke a function; return what it returned."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return json.load(answer["Payload"])

    def execution(self, state: Mapping[str, Any], **options: Any) -> Any:
        """Run a state machine of one state; return its execution."""
        aws = self.client("stepfunctions")
        definition = json.dumps({"StartAt": "Only", "States": {"Only": {**state, "End": True}}})
        machine = aws.create_state_machine(name=self.name("machine"), definition=definition, roleArn=ROLE, **options)[
            "stateMachineArn"
        ]
        execution = aws.start_execution(stateMachineArn=machine, input="{}")["executionArn"]

        def ended() -> Any:
            described = aws.describe_execution(executionArn=execution)
            return None if described["status"] == "RUNNING" else described

        return until(ended)

    def invoking(self, function: str, **event: Any) -> Any:
        """Run a state machine that invokes a function; return its execution."""
        resource = "arn:aws:states:::lambda:invoke"
        return self.execution(
            {"Type": "Task", "Resource": resource, "Parameters": {"FunctionName": function, "Payload": event}}
        )


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    """An emulator that nothing is deployed to, and a role that may do nothing."""
    made = Probe(Settings(*free_ports(), tmp_path_factory.mktemp("differences") / "state"))
    services = {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": services, "Action": "sts:AssumeRole"}],
    }
    with embedded_aws(made.settings):
        made.client("iam").create_role(RoleName="nobody", AssumeRolePolicyDocument=json.dumps(trust))
        yield made


class Users:
    """A pool with one user, and two clients of it."""

    def __init__(self, probe: Probe) -> None:
        self.aws = probe.client("cognito-idp")
        schema = [{"Name": "company_id", "AttributeDataType": "String", "Mutable": True}]
        self.pool = self.aws.create_user_pool(PoolName=probe.name("pool"), Schema=schema)["UserPool"]
        self.ours, self.other = self._client("ours"), self._client("other")
        user = {"UserPoolId": self.pool["Id"], "Username": "ada"}
        self.aws.admin_create_user(**user, MessageAction="SUPPRESS")
        self.aws.admin_set_user_password(**user, Password=PASSWORD, Permanent=True)

    def tokens(self, client: str) -> dict[str, str]:
        asked = {"USERNAME": "ada", "PASSWORD": PASSWORD}
        answer = self.aws.initiate_auth(ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=asked)
        return dict(answer["AuthenticationResult"])

    def _client(self, name: str) -> str:
        made = self.aws.create_user_pool_client(
            UserPoolId=self.pool["Id"],
            ClientName=name,
            WriteAttributes=["name"],
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        )
        return str(made["UserPoolClient"]["ClientId"])


@pytest.fixture(scope="module")
def users(probe: Probe) -> Users:
    return Users(probe)


def swagger(paths: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"swagger": "2.0", "info": {"title": "probe", "version": "1"}, "paths": paths, **more}


class Gateway:
    """An API whose function answers with what it was given. An authorizer guards `/closed`, nothing `/open`."""

    def __init__(self, probe: Probe, users: Users) -> None:
        self.function = probe.function()
        function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function}"
        integration = {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations",
        }
        operation = {"responses": {}, "x-amazon-apigateway-integration": integration}
        authorizer = {
            "type": "cognito_user_pools",
            "providerARNs": [users.pool["Arn"]],
            "identityValidationExpression": f"^{users.ours}$",
        }
        definitions = {
            "users": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "cognito_user_pools",
                "x-amazon-apigateway-authorizer": authorizer,
            }
        }
        paths = {"/open/{name}": {"get": operation}, "/closed": {"get": {**operation, "security": [{"users": []}]}}}
        body = swagger(paths, securityDefinitions=definitions)
        api = {"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": body}}}
        self._api = probe.stack(probe.name("gateway"), api)["Api"]
        self._port = probe.settings.aws_port
        probe.client("apigateway").create_deployment(restApiId=self._api, stageName="probe")

    def get(self, path: str, *headers: tuple[str, str]) -> tuple[int, http.client.HTTPMessage, Any]:
        """Send the path as it stands, and these lines of headers; return status, headers and the function's answer."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=30)
        connection.putrequest("GET", f"/_aws/execute-api/{self._api}/probe{path}")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = json.load(answer)
        connection.close()
        return answer.status, answer.headers, body


@pytest.fixture(scope="module")
def gateway(probe: Probe, users: Users) -> Gateway:
    return Gateway(probe, users)


class TestGateway:
    MOCK: Mapping[str, Any] = {
        "responses": {"200": {"description": "", "headers": {"Access-Control-Allow-Origin": {"type": "string"}}}},
        "x-amazon-apigateway-integration": {
            "type": "mock",
            "requestTemplates": {"application/json": '{"statusCode": 200}'},
            "responses": {
                "default": {
                    "statusCode": "200",
                    "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
                }
            },
        },
    }

    def test_an_import_drops_gateway_responses_and_the_headers_of_mocks(self, probe: Probe) -> None:
        answers = {"UNAUTHORIZED": {"statusCode": 418, "responseTemplates": {"application/json": "{}"}}}
        body = swagger({"/a": {"options": self.MOCK}}, **{"x-amazon-apigateway-gateway-responses": answers})
        api = {"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": body}}}

        made = {"restApiId": probe.stack(probe.name("api"), api)["Api"]}

        aws = probe.client("apigateway")
        assert [each for each in aws.get_gateway_responses(**made)["items"] if not each["defaultResponse"]] == []
        [mock] = [each["id"] for each in aws.get_resources(**made)["items"] if each["path"] == "/a"]
        with pytest.raises(ClientError, match="NotFoundException"):
            aws.get_integration_response(**made, resourceId=mock, httpMethod="OPTIONS", statusCode="200")

    def test_a_changed_swagger_makes_a_new_api(self, probe: Probe) -> None:
        name = probe.name("api")
        api = {"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": swagger({"/a": {}})}}}
        before = probe.stack(name, api)["Api"]
        api["Api"]["Properties"] = {"Body": swagger({"/a": {}, "/b": {}})}

        assert probe.stack(name, api, update=True)["Api"] != before

    def test_several_lines_of_a_header_are_joined(self, gateway: Gateway) -> None:
        _, _, given = gateway.get("/open/a", ("Accept", "text/html"), ("Accept", "text/plain"))

        assert given["multiValueHeaders"]["accept"] == ["text/html, text/plain"]
        assert given["headers"]["accept"] == "text/html, text/plain"

    def test_paths_arrive_decoded_and_an_encoded_slash_is_refused(self, gateway: Gateway) -> None:
        assert gateway.get("/open/a%20b")[2]["path"] == "/open/a b"
        assert gateway.get("/open/a%2Fb")[0] == 403

    def test_tokens_of_any_kind_and_client_pass_the_authorizer(self, gateway: Gateway, users: Users) -> None:
        tokens = users.tokens(users.ours)["AccessToken"], users.tokens(users.other)["IdToken"]

        assert gateway.get("/closed")[0] == 401
        assert [gateway.get("/closed", ("Authorization", token))[0] for token in tokens] == [200, 200]

    def test_www_authenticate_keeps_its_name(self, gateway: Gateway) -> None:
        _, headers, _ = gateway.get("/open/a")

        assert headers["WWW-Authenticate"] == "Bearer"
        assert "x-amzn-Remapped-WWW-Authenticate" not in headers

    def test_a_throttled_and_a_crashed_function_have_statuses_of_their_own(
        self, probe: Probe, gateway: Gateway
    ) -> None:
        crashed = gateway.get("/open/raise")
        function = {"FunctionName": gateway.function}
        probe.client("lambda").put_function_concurrency(**function, ReservedConcurrentExecutions=0)
        throttled = gateway.get("/open/a")
        probe.client("lambda").delete_function_concurrency(**function)

        assert throttled[0] == 429
        assert (crashed[0], "told to" in crashed[2]["message"]) == (502, True)

    def test_chalice_deploy_cannot_import_its_api(self, probe: Probe) -> None:
        aws, body = probe.client("apigateway"), json.dumps(swagger({"/a": {"options": self.MOCK}}))

        made = {"restApiId": aws.import_rest_api(body=body)["id"]}

        assert [each["path"] for each in aws.get_resources(**made)["items"]] == ["/"]
        with pytest.raises(ClientError, match="Unknown API Gateway v1 path"):
            aws.put_rest_api(**made, mode="overwrite", body=body)


class TestQueues:
    def test_an_earlier_deliverys_receipt_handle_is_refused(self, probe: Probe) -> None:
        aws, (url, _) = probe.client("sqs"), probe.queue(VisibilityTimeout="0")
        aws.send_message(QueueUrl=url, MessageBody="twice")
        earlier, _ = (aws.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"] for _ in range(2))

        with pytest.raises(ClientError, match="ReceiptHandleIsInvalid"):
            aws.delete_message(QueueUrl=url, ReceiptHandle=earlier)

    def test_a_queues_url_has_a_port(self, probe: Probe) -> None:
        assert f":{probe.settings.aws_port}/" in probe.queue()[0]


class TestRoles:
    def test_those_of_state_machines_and_mappings_may_do_anything(self, probe: Probe) -> None:
        function, (url, arn) = probe.function(), probe.queue()
        sqs = probe.client("sqs")
        sqs.send_message(QueueUrl=url, MessageBody="{}")

        probe.client("lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=arn)

        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        until(lambda: set(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()) == {"0"})
        assert probe.invoking(function)["status"] == "SUCCEEDED"


class TestFunctions:
    def test_one_that_raises_is_started_anew(self, probe: Probe) -> None:
        function = probe.function()

        def process() -> int:
            return int(json.loads(probe.invoke(function)["body"])["pid"])

        before = process()
        assert process() == before
        probe.invoke(function, **{"raise": True})

        assert process() != before

    def test_they_run_on_this_machine_whatever_they_were_made_for(self, probe: Probe) -> None:
        other = next(runtime for runtime in ("python3.13", "python3.12") if runtime != RUNTIME)
        elsewhere = next(each for each in ("arm64", "x86_64") if each != this_machine())

        told = json.loads(probe.invoke(probe.function(other, elsewhere))["body"])

        assert (told["machine"], told["python"]) == (platform.machine(), platform.python_version())


class TestTables:
    KEYS: Mapping[str, Any] = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }

    def test_a_stack_does_not_have_rows_expire(self, probe: Probe) -> None:
        expiring = {**self.KEYS, "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True}}
        made = probe.stack(probe.name("stack"), {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": expiring}})

        described = probe.client("dynamodb").describe_time_to_live(TableName=made["Table"])

        assert described["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"

    def test_point_in_time_recovery_has_the_present_rows_and_keeps_no_backup(self, probe: Probe) -> None:
        aws, table, copy = probe.client("dynamodb"), probe.name("table"), probe.name("copy")
        aws.create_table(TableName=table, **self.KEYS)
        recovery = {"PointInTimeRecoveryEnabled": True}
        aws.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=recovery)
        before = datetime.now(UTC)
        row = {"id": {"S": "later"}}
        aws.put_item(TableName=table, Item=row)

        aws.restore_table_to_point_in_time(SourceTableName=table, TargetTableName=copy, RestoreDateTime=before)
        aws.delete_table(TableName=table)

        assert aws.scan(TableName=copy)["Items"] == [row]
        assert aws.list_backups(TableName=table, BackupType="ALL")["BackupSummaries"] == []

    def test_transactions_on_one_item_do_not_refuse_each_other(self, probe: Probe) -> None:
        aws, table = probe.client("dynamodb"), probe.name("table")
        aws.create_table(TableName=table, **self.KEYS)
        counted = {
            "TableName": table,
            "Key": {"id": {"S": "one"}},
            "UpdateExpression": "ADD times :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: aws.transact_write_items(TransactItems=[{"Update": counted}]), range(80)))

        assert aws.scan(TableName=table)["Items"] == [{"id": {"S": "one"}, "times": {"N": "80"}}]


class TestAlarms:
    def test_they_see_only_what_somebody_puts(self, probe: Probe) -> None:
        aws, (url, _) = probe.client("cloudwatch"), probe.queue()
        often = {
            "Period": 10,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "Statistic": "Sum",
        }
        sent, missed, put = (probe.name(kind) for kind in ("sent", "missed", "put"))
        aws.put_metric_alarm(AlarmName=sent, Namespace="AWS/SQS", MetricName="NumberOfMessagesSent", **often)
        aws.put_metric_alarm(
            AlarmName=missed, Namespace="Probe/Missed", MetricName="Put", TreatMissingData="breaching", **often
        )
        aws.put_metric_alarm(AlarmName=put, Namespace="Probe/Put", MetricName="Put", **often)

        probe.client("sqs").send_message(QueueUrl=url, MessageBody="counted")
        aws.put_metric_data(Namespace="Probe/Put", MetricData=[{"MetricName": "Put", "Value": 1}])

        found = aws.describe_alarms(AlarmNames=[sent, missed, put])["MetricAlarms"]
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}
        assert states == {sent: "INSUFFICIENT_DATA", missed: "INSUFFICIENT_DATA", put: "ALARM"}
        measured = {each["Namespace"] for each in aws.list_metrics()["Metrics"]}
        assert {name for name in measured if name.startswith("AWS/")} <= {"AWS/Lambda"}


class TestStacks:
    def test_reserved_concurrency_is_ignored(self, probe: Probe) -> None:
        properties = {
            "Runtime": RUNTIME,
            "Handler": "index.handler",
            "Role": ROLE,
            "Code": {"ZipFile": "def handler(event, context): pass"},
            "ReservedConcurrentExecutions": 3,
        }
        made = probe.stack(probe.name("stack"), {"F": {"Type": "AWS::Lambda::Function", "Properties": properties}})

        concurrency = probe.client("lambda").get_function_concurrency(FunctionName=made["F"])
        assert "ReservedConcurrentExecutions" not in concurrency

    def test_what_exists_is_taken_over(self, probe: Probe) -> None:
        table, group, bucket = probe.name("table"), probe.name("/group"), probe.name("bucket")
        url, arn = probe.queue()
        keys = TestTables.KEYS
        probe.client("dynamodb").create_table(TableName=table, **keys)
        probe.client("logs").create_log_group(logGroupName=group)
        probe.client("s3").create_bucket(Bucket=bucket)
        policy = {"Version": "2012-10-17", "Statement": []}
        probe.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        resources = {
            "Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": bucket, "PolicyDocument": policy}},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": arn.rpartition(":")[2]}},
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": table, **keys}},
            "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": group}},
        }

        assert probe.stack(probe.name("stack"), resources)["Table"] == table
        assert url.endswith(arn.rpartition(":")[2])

    def test_a_bucket_gets_no_rules_by_which_objects_expire(self, probe: Probe) -> None:
        rule = {"Id": "old", "Status": "Enabled", "ExpirationInDays": 1}
        bucket = {"Type": "AWS::S3::Bucket", "Properties": {"LifecycleConfiguration": {"Rules": [rule]}}}
        made = probe.stack(probe.name("stack"), {"Bucket": bucket})

        with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
            probe.client("s3").get_bucket_lifecycle_configuration(Bucket=made["Bucket"])

    def test_a_change_set_can_update_one_whose_first_create_failed(self, probe: Probe) -> None:
        aws, ssm, stack, name = (
            *(probe.client("cloudformation"), probe.client("ssm")),
            *(probe.name("stack"), probe.name("/probe/parameter")),
        )
        parameter = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": name, "Type": "String", "Value": "ours"}}
        ssm.put_parameter(Name=name, Type="String", Value="in the way")
        probe.stack(stack, {"Parameter": parameter}, ends_as={"ROLLBACK_COMPLETE"})
        ssm.delete_parameter(Name=name)
        parameter["Properties"] = {"Name": name, "Type": "String", "Value": "of the next try"}
        body = json.dumps({"Resources": {"Parameter": parameter}})
        again = {"StackName": stack, "ChangeSetName": "again"}
        aws.create_change_set(**again, ChangeSetType="UPDATE", TemplateBody=body)
        until(lambda: aws.describe_change_set(**again)["Status"] == "CREATE_COMPLETE")

        aws.execute_change_set(**again)

        assert probe.ended(stack)["StackStatus"] == "UPDATE_COMPLETE"
        assert ssm.get_parameter(Name=name)["Parameter"]["Value"] == "of the next try"

    def test_one_with_a_filled_bucket_can_be_deleted(self, probe: Probe) -> None:
        aws, s3, stack = probe.client("cloudformation"), probe.client("s3"), probe.name("stack")
        made = probe.stack(stack, {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {}}})
        s3.put_object(Bucket=made["Bucket"], Key="kept", Body=b"1")
        [described] = aws.describe_stacks(StackName=stack)["Stacks"]

        aws.delete_stack(StackName=stack)

        assert probe.ended(described["StackId"])["StackStatus"] == "DELETE_COMPLETE"
        with pytest.raises(ClientError, match="404"):
            s3.head_bucket(Bucket=made["Bucket"])

    def test_codedeploy_is_unknown(self, probe: Probe) -> None:
        application = {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "Lambda"}}

        with pytest.raises(ClientError, match="Unrecognized resource types"):
            probe.stack(probe.name("stack"), {"Application": application})


class TestStateMachines:
    def test_every_exception_is_a_handler_error(self, probe: Probe) -> None:
        assert probe.invoking(probe.function(), **{"raise": True})["error"] == "Runtime.HandlerError"

    def test_a_throttled_function_is_an_unknown_error(self, probe: Probe) -> None:
        function = probe.function()
        probe.client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)

        assert probe.invoking(function)["error"] == "Lambda.Unknown"

    def test_message_attributes_are_dropped(self, probe: Probe) -> None:
        sns, sqs, (url, arn) = probe.client("sns"), probe.client("sqs"), probe.queue()
        topic = sns.create_topic(Name=probe.name("topic"))["TopicArn"]
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
        message = {
            "TopicArn": topic,
            "Message": "news",
            "MessageAttributes": {"event": {"DataType": "String", "StringValue": "dragon.added"}},
        }

        def attributes() -> Any:
            [received] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=10)[
                "Messages"
            ]
            return received.get("MessageAttributes")

        sns.publish(**message)
        assert attributes() == message["MessageAttributes"]
        probe.execution({"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Parameters": message})
        assert attributes() is None

    def test_a_missing_path_is_null(self, probe: Probe) -> None:
        ended = probe.execution({"Type": "Pass", "Parameters": {"name.$": "$.none"}})

        assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"name": None})

    def test_nothing_is_logged(self, probe: Probe) -> None:
        logs, group = probe.client("logs"), probe.name("/aws/vendedlogs/states/probe")
        logs.create_log_group(logGroupName=group)
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*"
        logging = {
            "level": "ALL",
            "includeExecutionData": True,
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
        }

        assert probe.execution({"Type": "Pass"}, loggingConfiguration=logging)["status"] == "SUCCEEDED"

        assert logs.filter_log_events(logGroupName=group)["events"] == []


class TestUsers:
    def test_they_write_what_the_client_may_not_write(self, users: Users) -> None:
        token = users.tokens(users.ours)["AccessToken"]

        users.aws.update_user_attributes(
            AccessToken=token, UserAttributes=[{"Name": "custom:company_id", "Value": "another"}]
        )

        written = users.aws.get_user(AccessToken=token)["UserAttributes"]
        assert {"Name": "custom:company_id", "Value": "another"} in written

    def test_a_refresh_token_is_good_for_any_number_of_renewals(self, users: Users) -> None:
        client = {"UserPoolId": users.pool["Id"], "ClientName": "rotating"}
        rotation = {"Feature": "ENABLED", "RetryGracePeriodSeconds": 0}
        flows = ["ALLOW_USER_PASSWORD_AUTH"]
        made = users.aws.create_user_pool_client(**client, ExplicitAuthFlows=flows, RefreshTokenRotation=rotation)
        made_id = made["UserPoolClient"]["ClientId"]
        asked = {"ClientId": made_id, "RefreshToken": users.tokens(made_id)["RefreshToken"]}

        renewed = [users.aws.get_tokens_from_refresh_token(**asked)["AuthenticationResult"] for _ in range(2)]

        assert not [each for each in renewed if "RefreshToken" in each]
        allowed = {"REFRESH_TOKEN": asked["RefreshToken"]}
        assert users.aws.initiate_auth(ClientId=made_id, AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters=allowed)


class TestLogs:
    def test_an_answer_ends_without_a_token_and_patterns_have_no_or(self, probe: Probe) -> None:
        logs, group = probe.client("logs"), probe.name("/group")
        place = {"logGroupName": group, "logStreamName": "only"}
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(**place)
        now_ms = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["creationTime"]
        for half in range(2):
            lines = [{"timestamp": now_ms + n, "message": f"line {half} {n}"} for n in range(6000)]
            logs.put_log_events(**place, logEvents=lines)

        answer = logs.filter_log_events(logGroupName=group, limit=10_000)
        either = logs.filter_log_events(logGroupName=group, filterPattern='?"line 0 5" ?"line 1 5"')

        assert len(answer["events"]) == 10_000
        assert "nextToken" not in answer
        assert either["events"] == []

    def test_metrics_in_lines_are_not_counted(self, probe: Probe) -> None:
        function = probe.function()
        probe.invoke(function)
        until(lambda: probe.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"])

        assert probe.client("cloudwatch").list_metrics(Namespace="Probe")["Metrics"] == []
