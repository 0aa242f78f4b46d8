"""What the files say to CloudFormation, Step Functions and IAM, checked without any of them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import Chalice
from chalice.awsclient import TypedAWSClient

from chalicelib.aws import DependencyTimeout, DependencyUnavailable
from chalicelib.dragons.dynamodb import TableContended
from chalicelib.dragons.registry import BeingMoved
from chalicelib.dragons.s3 import DocumentContended
from chalicelib.dragons.submission_table import INDEX, WORKFLOW_ENDS_WITHIN_S
from chalicelib.messages.stored import EXPIRES_AT
from chalicelib.settings import Settings, Source
from chalicelib.web.application import Dragonpost
from chalicelib.web.problems import INTERNAL_ERROR
from chalicelib.web.responses import problem_reply
from operations import PROJECT, dead_letters, functions, resources
from operations.deploy import __main__ as deploy
from operations.functions import FunctionIncomplete
from operations.generate import CannotGenerate, chalice_config, live_alias, policies, variables
from operations.generate import gateway_responses as generator
from operations.stages import STAGES, Stage
from tests.fakes.settings import FakeSettings
from tests.lambda_events import proxy_event

FUNCTIONS = functions.names()
GENERATED = {**policies.files(), **chalice_config.files()}
PARAMETERS = {name for name, setting in Settings.table().items() if setting.source is not Source.ENVIRONMENT}


def read_json(*path: str) -> dict[str, Any]:
    return json.loads(PROJECT.joinpath(*path).read_text(encoding="utf-8"))


CONFIG = read_json(".chalice", "config.json")
WORKFLOW = read_json("infrastructure", "dragons.asl.json")
STATES: dict[str, Any] = WORKFLOW["States"]
OVERRIDES = read_json("infrastructure", "app-overrides.json")
TEMPLATE = resources.template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ALARMS: dict[str, Any] = {
    name: resource["Properties"]
    for name, resource in (RESOURCES | OVERRIDES["Resources"]).items()
    if resource.get("Type") == "AWS::CloudWatch::Alarm"
}
# CodeDeploy looks at them, and deploying says what it did.
RELEASE_ALARMS = {live_alias.alarm(function) for function in live_alias.released()}
GATEWAY_RESPONSES: dict[str, Any] = OVERRIDES["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]


def policy(function: str, stage: str) -> list[dict[str, Any]]:
    return read_json(".chalice", f"policy-{function}-{stage}.json")["Statement"]


def comparable(statements: list[dict[str, Any]], stage: str) -> Any:
    """Return a policy without what stages.toml lets stages differ in: their names, tracing, and the part of AWS."""
    shared = json.dumps([each for each in statements if each["Sid"] != "SendTraces"])
    shared = re.sub(rf"(dragonpost[-/]){stage}\b", r"\1prod", shared)
    return json.loads(shared.replace(f"arn:{STAGES[stage].partition}:", "arn:aws:"))


def resources_of_type(resource_type: str) -> dict[str, Any]:
    return {name: item["Properties"] for name, item in RESOURCES.items() if item["Type"] == resource_type}


def successors(state: Mapping[str, Any]) -> set[str]:
    branches = [state, *state.get("Choices", []), *state.get("Catch", [])]
    targets = {branch["Next"] for branch in branches if "Next" in branch}
    return targets | ({state["Default"]} if "Default" in state else set())


def reachable_from(name: str) -> set[str]:
    seen: set[str] = set()
    ahead = {name}
    while ahead:
        seen |= ahead
        ahead = set().union(*(successors(STATES[state]) for state in ahead)) - seen
    return seen


def paths_from(name: str) -> Iterator[list[str]]:
    """Yield every path to an end. The workflow has no loops; if it ever gets one, this ends in a RecursionError."""
    following = successors(STATES[name])
    if not following:
        yield [name]
    for state in following:
        for path in paths_from(state):
            yield [name, *path]


def used_in(value: object) -> set[str]:
    """Return the paths into the state's input that a part of its definition uses; a Choice may test what is absent.

    They are JSONPath's form of them, also for JSONata.
    """
    if isinstance(value, Mapping):
        return set().union(*(used_in(part) for name, part in value.items() if name != "Variable"))
    if isinstance(value, list):
        return set().union(*(used_in(part) for part in value))
    if not isinstance(value, str):
        return set()
    if value.startswith("{%"):
        return {f"$.{path}" for path in re.findall(r"\$states\.input\.([\w.]+)", value)}
    return set(re.findall(r"(?<!\$)\$\.[\w.]+", value))


def established_by(state: Mapping[str, Any], known: set[str], following: str) -> set[str]:
    """Return the paths that are there for sure after a state, if they were there before it and it leads to `following`.

    Of what a state makes, all members are known. Of the input, a path is known once a Choice has found it.
    """
    if state["Type"] == "Choice":
        rules = [rule for rule in state["Choices"] if rule["Next"] == following]
        found = [
            {part["Variable"] for part in rule.get("And", [rule]) if part.get("IsPresent") is not False}
            for rule in rules
        ]
        return known | (set.intersection(*found) if following != state.get("Default") else set())
    if state.get("QueryLanguage") == "JSONata":
        assert {branch["Output"] for branch in (state, *state["Catch"])} == {"{% $states.input %}"}
        return known
    if following in {catch["Next"] for catch in state.get("Catch", [])} - {state.get("Next")}:
        return known
    made = state.get("ResultSelector") or (state.get("Parameters") if state["Type"] == "Pass" else {})
    kept = known if "ResultPath" in state else set()
    place = state.get("ResultPath", "$")
    if place is None:
        return known
    return {path for path in kept if not f"{path}.".startswith(f"{place}.")} | {
        path for path in paths_of({place: made}) if path != "$"
    }


def paths_of(made: Mapping[str, Any]) -> set[str]:
    """Return the path of each member of an object, and of their members."""
    found = set()
    for member, value in made.items():
        name = member.removesuffix(".$")
        found |= {name} | ({f"{name}.{path}" for path in paths_of(value)} if isinstance(value, Mapping) else set())
    return found


def longest_s(name: str) -> float:
    """Return how many seconds a state takes if every attempt takes its full time and each retrier is used up."""
    state = WORKFLOW["States"][name]
    retriers = state.get("Retry", [])
    attempts = 1 + sum(retrier["MaxAttempts"] for retrier in retriers)
    return attempts * state.get("TimeoutSeconds", 0) + sum(sum(waits_s(retrier)) for retrier in retriers)


def waits_s(retrier: Mapping[str, Any]) -> list[float]:
    """Return how many seconds a retrier waits at most before each of its attempts."""
    longest: float = retrier.get("MaxDelaySeconds", 10**6)
    return [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt, longest)
        for attempt in range(retrier["MaxAttempts"])
    ]


def variables_of(function: str) -> dict[str, Any]:
    """Return the environment variables that the merged template gives a function beside those of Chalice."""
    properties = OVERRIDES["Resources"][functions.logical_id(function)]["Properties"]
    return dict(properties.get("Environment", {"Variables": {}})["Variables"])


def kinds_of(error: type[Exception]) -> Iterator[type[Exception]]:
    """Yield this error, and each kind of it that is raised where dragons are."""
    yield error
    for kind in error.__subclasses__():
        if kind.__module__.startswith(("chalicelib.aws", "chalicelib.dragons.")):
            yield from kinds_of(kind)


def tasks(integration: str) -> dict[str, Any]:
    return {name: state for name, state in STATES.items() if integration in state.get("Resource", "")}


class TestGeneratedFiles:
    def test_nothing_is_left_of_a_stage_or_function_that_was_removed(self) -> None:
        there = {path.relative_to(PROJECT) for path in (PROJECT / ".chalice").glob("*.json")}
        assert there - GENERATED.keys() == set()
        templates = {path.stem for path in (PROJECT / policies.TEMPLATES).iterdir()}
        assert templates == functions.LIMITS.keys() == set(FUNCTIONS)


class TestANewStage:
    @pytest.fixture(autouse=True)
    def _staging(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(STAGES, "staging", Stage(allow_origin="https://staging.example"))  # type: ignore[misc]

    def test_its_one_entry_makes_its_policies_and_its_configuration(self) -> None:
        configured = json.loads(chalice_config.files()[chalice_config.CONFIG])["stages"]["staging"]
        assert configured["environment_variables"]["DRAGONPOST_ALLOW_ORIGIN"] == "https://staging.example"
        for function in FUNCTIONS:
            name = configured["lambda_functions"][function]["iam_policy_file"]
            made = json.loads(policies.files()[Path(".chalice", name)])["Statement"]
            assert made == json.loads(json.dumps(policy(function, "prod")).replace("prod", "staging"))

    @pytest.mark.parametrize("template", [TEMPLATE, OVERRIDES], ids=["resources", "app"])
    def test_the_templates_and_the_commands_accept_it(self, template: dict[str, Any]) -> None:
        for stage in STAGES:
            assert template["Parameters"]["Stage"]["AllowedPattern"] == f"^({Settings.stage.form.pattern})$"
            assert Settings.stage.form.fullmatch(stage)
        assert deploy._parse(["--stage", "staging"]).stage == "staging"
        assert dead_letters._parse(["--stage", "staging", "list"]).stage == "staging"

    @pytest.mark.parametrize("template", [TEMPLATE, OVERRIDES], ids=["resources", "app"])
    def test_its_name_cannot_make_its_resources_another_stages(self, template: dict[str, Any]) -> None:
        """`dragonpost-dev-messages-*` would be the bucket of stage `dev` and any bucket of stage `dev-messages`."""
        assert not re.fullmatch(template["Parameters"]["Stage"]["AllowedPattern"], "dev-messages")


def test_what_the_template_accepts_as_sms_prefixes_the_service_accepts() -> None:
    """People may write spaces into the parameter that the stack has made, too."""
    pattern = TEMPLATE["Parameters"]["SmsAllowedPrefixes"]["AllowedPattern"]
    assert (
        pattern.strip("^$()").replace("(,", r"(\s*,\s*").replace(")*", ")*")
        == Settings.sms_allowed_prefixes.form.pattern
    )


class TestANewFunction:
    """A function that app.py declares and nobody has described yet."""

    @pytest.fixture(autouse=True)
    def _declared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        declared = Chalice("dragonpost")
        declared.lambda_function(name="count_dragons")(lambda _event, _context: None)
        monkeypatch.setattr(functions, "app", declared)

    def test_without_a_policy_the_error_says_where_to_write_one(self) -> None:
        with pytest.raises(FunctionIncomplete, match=r"count_dragons.* infrastructure/policies/count_dragons\.json"):
            policies.files()

    def test_without_limits_the_error_says_where_to_write_them(self) -> None:
        with pytest.raises(FunctionIncomplete, match=r"count_dragons.* LIMITS in operations/functions\.py"):
            chalice_config.files()


class TestChaliceConfig:
    def test_policies_are_the_files_and_chalice_makes_none(self) -> None:
        assert CONFIG["autogen_policy"] is False

    def test_the_api_gives_up_before_the_gateway_does(self) -> None:
        assert functions.limits(functions.API).timeout_s <= 29

    @pytest.mark.parametrize("stage", STAGES)
    def test_the_app_knows_its_stage_and_metrics_name_it(self, stage: str) -> None:
        variables = CONFIG["stages"][stage]["environment_variables"]
        assert variables["DRAGONPOST_STAGE"] == CONFIG["stages"][stage]["api_gateway_stage"] == stage
        assert variables["POWERTOOLS_SERVICE_NAME"] == f"dragonpost-{stage}"

    def test_chalice_deploy_traces_the_api_as_the_merged_template_does(self) -> None:
        """Chalice's own call, with a client that only notes what is asked for."""
        asked: dict[str, Any] = {}
        session = SimpleNamespace(create_client=lambda *_: SimpleNamespace(create_deployment=asked.update))
        TypedAWSClient(session).deploy_rest_api("an-api", "dev", CONFIG["stages"]["dev"]["xray"])
        assert asked["tracingEnabled"] is STAGES["dev"].tracing is True
        assert OVERRIDES["Resources"]["RestAPI"]["Properties"]["TracingEnabled"] == {"Fn::If": ["Traced", True, False]}

    def test_only_the_local_stage_names_an_endpoint_and_keys(self) -> None:
        for stage in STAGES.keys() - {"local"}:
            names = {*CONFIG["environment_variables"], *CONFIG["stages"][stage]["environment_variables"]}
            assert not {name for name in names if name.startswith("AWS_")}

    def test_prod_does_not_allow_every_origin(self) -> None:
        assert STAGES["prod"].allow_origin != "*"

    @pytest.mark.parametrize("stage", STAGES)
    def test_the_origin_is_one_that_the_app_and_the_gateway_accept(self, stage: str) -> None:
        assert Settings.allow_origin.form.fullmatch(STAGES[stage].allow_origin)
        assert re.fullmatch(OVERRIDES["Parameters"]["AllowOrigin"]["AllowedPattern"], STAGES[stage].allow_origin)


class TestPolicies:
    def test_stages_that_send_no_traces_or_are_in_another_part_of_aws_are_compared_without_that(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever adds one has no other test to change."""
        quiet = Stage(allow_origin="*", tracing=False, partition="aws-us-gov")
        monkeypatch.setitem(STAGES, "dev", quiet)  # type: ignore[misc]
        written = policies.files()

        for function in FUNCTIONS:
            text = written[Path(".chalice", policies.file_name(function, "dev"))]
            assert comparable(json.loads(text)["Statement"], "dev") == comparable(policy(function, "prod"), "prod")

    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_no_stage_may_do_more_than_the_one_that_ships(self, function: str, stage: str) -> None:
        assert comparable(policy(function, stage), stage) == comparable(policy(function, "prod"), "prod")

    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_every_resource_belongs_to_this_stage(self, function: str, stage: str) -> None:
        for statement in policy(function, stage):
            assert statement["Effect"] == "Allow"
            for resource in statement["Resource"]:
                if statement["Sid"] == "SendTraces":
                    assert resource == "*"
                else:
                    assert re.search(rf"dragonpost[-/]{stage}\b", resource)

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_actions_are_named_one_by_one(self, function: str) -> None:
        actions = [action for statement in policy(function, "prod") for action in statement["Action"]]
        assert not [action for action in actions if "*" in action]

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_logs_go_to_the_functions_own_group(self, function: str) -> None:
        (logs,) = [statement for statement in policy(function, "prod") if statement["Sid"] == "WriteLogs"]
        group = f"arn:aws:logs:*:*:log-group:/aws/lambda/{functions.deployed_name(function, 'prod')}"
        # With the `:*`, as https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html says.
        assert logs["Resource"] == [f"{group}:*"]

    def test_the_api_cannot_write_what_the_pipelines_write(self) -> None:
        actions = {action for statement in policy("api_handler", "prod") for action in statement["Action"]}
        assert "sns:Publish" not in actions
        writing = {"s3:PutObject", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
        writes = [s["Resource"] for s in policy("api_handler", "prod") if writing & set(s["Action"])]
        assert writes == [
            ["arn:aws:s3:::dragonpost-prod-dragons-*/*"],
            ["arn:aws:dynamodb:*:*:table/dragonpost-prod-dragons"],
        ], "operators correct dragons, nobody messages"

    def test_validating_needs_no_data_at_all(self) -> None:
        assert {statement["Sid"] for statement in policy("validate_dragon", "prod")} == {"WriteLogs", "SendTraces"}


class TestWorkflow:
    def test_every_state_can_be_reached_and_every_target_exists(self) -> None:
        assert reachable_from(WORKFLOW["StartAt"]) == STATES.keys()

    def test_every_path_tells_the_world_before_it_ends(self) -> None:
        for path in paths_from(WORKFLOW["StartAt"]):
            told = [state for state in path if state.startswith("Notify")]
            assert told == [{"Added": "NotifyAdded", "Rejected": "NotifyRejected", "Failed": "NotifyFailed"}[path[-1]]]

    def test_no_state_uses_a_path_that_its_input_may_lack(self) -> None:
        """AWS ends such an execution with States.Runtime, which nothing catches; the embedded AWS says null."""
        for path in paths_from(WORKFLOW["StartAt"]):
            known: set[str] = set()
            for name, following in zip(path, [*path[1:], ""], strict=True):
                fields = ("Parameters", "InputPath", "OutputPath", "Arguments", "Output")
                used = used_in({key: STATES[name].get(key) for key in fields})
                validated = {"$.dragon.dragon_name_str"} if "ValidateDragon" in path else set()
                assert used <= known | validated, f"{name} after {path}"
                known = established_by(STATES[name], known, following)

    def test_once_added_it_stays_added(self) -> None:
        assert not reachable_from("ComposeAdded") & {"Failed", "Rejected"}

    def test_a_refusal_is_not_a_failure(self) -> None:
        assert "Failed" not in reachable_from("ComposeRejected")

    @pytest.mark.parametrize("choice", ["Valid?", "Added?"])
    def test_an_unknown_outcome_is_a_fault(self, choice: str) -> None:
        assert STATES[choice]["Default"] == "ComposeFailed"

    @pytest.mark.parametrize("name", [name for name, state in STATES.items() if state["Type"] == "Task"])
    def test_every_task_is_limited_in_time_and_caught(self, name: str) -> None:
        assert STATES[name]["TimeoutSeconds"] <= 60
        assert STATES[name]["Catch"][-1]["ErrorEquals"] == ["States.ALL"]

    @pytest.mark.parametrize("name", [*tasks("lambda:invoke"), *tasks("sns:publish"), *tasks("dynamodb:")])
    def test_every_step_message_and_row_is_retried_with_jitter(self, name: str) -> None:
        for retry in STATES[name]["Retry"]:
            assert retry.get("MaxAttempts") == 0 or retry["JitterStrategy"] == "FULL"
        assert STATES[name]["Retry"][-1]["ErrorEquals"] == ["States.ALL"]

    @pytest.mark.parametrize("error", ["Lambda.TooManyRequestsException", "States.Timeout", "Sandbox.Timedout"])
    @pytest.mark.parametrize("name", tasks("lambda:invoke"))
    def test_a_burst_of_reports_waits_for_minutes_and_does_not_fail(self, name: str, error: str) -> None:
        """With full jitter, a wait is half as long on average as it may be."""
        retrier = next(each for each in STATES[name]["Retry"] if error in each["ErrorEquals"])
        assert sum(waits_s(retrier)) / 2 > 180
        assert retrier["MaxDelaySeconds"] <= 20, "nobody waits long after it has become quiet"

    def test_a_report_waits_for_minutes_for_what_passes_by_itself(self) -> None:
        """The registry is moved, has too many writers, or its home throttles. Lambda names an error after its class."""
        passing = set(kinds_of(DependencyUnavailable))
        assert passing >= {BeingMoved, DependencyTimeout, DocumentContended, TableContended}
        patient, *_ = STATES["AddDragon"]["Retry"]
        assert {kind.__name__ for kind in passing} <= set(patient["ErrorEquals"])

    def test_only_so_many_of_the_workflows_functions_run_at_once(self) -> None:
        """The parameter's default is no bound: a new account could not reserve any, and the stack would fail."""
        invoked = {state["Parameters"]["FunctionName"] for state in tasks("lambda:invoke").values()}
        bounded = {
            name
            for name, resource in OVERRIDES["Resources"].items()
            if "ReservedConcurrentExecutions" in resource.get("Properties", {}) and name != "APIHandler"
        }
        assert {f"${{{name}Function}}" for name in bounded} == invoked
        for name in bounded:
            condition, reserved, otherwise = OVERRIDES["Resources"][name]["Properties"]["ReservedConcurrentExecutions"][
                "Fn::If"
            ]
            assert OVERRIDES["Conditions"][condition] == {
                "Fn::Not": [{"Fn::Equals": [{"Ref": "WorkflowConcurrency"}, 0]}]
            }
            assert (reserved, otherwise) == ({"Ref": "WorkflowConcurrency"}, {"Ref": "AWS::NoValue"})
        assert OVERRIDES["Parameters"]["WorkflowConcurrency"]["Default"] == 0

    def test_a_function_ends_by_its_own_time_limit_first(self) -> None:
        assert STATES["ValidateDragon"]["TimeoutSeconds"] > functions.limits("validate_dragon").timeout_s
        assert STATES["AddDragon"]["TimeoutSeconds"] > functions.limits("add_dragon").timeout_s

    def test_the_phone_number_goes_to_the_text_only(self) -> None:
        def effects(state: Mapping[str, Any]) -> str:
            return json.dumps({key: state.get(key) for key in ("Parameters", "InputPath", "Result", "Arguments")})

        assert [name for name, state in STATES.items() if "phone_number" in effects(state)] == ["TextReporter"]
        whole_input = re.compile(r'"\$\$?"|\.Execution\.Input|\$\.reporter"|\$states\.(input(?!\.)|input\.reporter)')
        assert not [name for name, state in STATES.items() if whole_input.search(effects(state))]

    @pytest.mark.parametrize("name", ["Added", "Rejected"])
    def test_the_output_holds_nothing_but_the_dragons_outcome(self, name: str) -> None:
        shown = {key.removesuffix(".$") for key in STATES[name]["Parameters"]}
        assert {"status", "reason", "notification"} <= shown <= {"status", "reason", "notification", "outcome"}

    def test_the_template_substitutes_every_placeholder_and_no_others(self) -> None:
        placeholders = set(re.findall(r"\$\{(\w+)\}", json.dumps(WORKFLOW)))
        assert RESOURCES["DragonWorkflow"]["Properties"]["DefinitionSubstitutions"].keys() == placeholders

    @pytest.mark.parametrize("name", [name for name, state in STATES.items() if state["Type"] == "Task"])
    def test_a_task_calls_what_step_functions_has_in_every_partition(self, name: str) -> None:
        called = re.fullmatch(r"arn:\$\{Partition\}:states:::(.+)", STATES[name]["Resource"])
        assert called
        assert called[1] in (
            *("lambda:invoke", "sns:publish", "aws-sdk:cloudwatch:putMetricData"),
            *("dynamodb:putItem", "dynamodb:updateItem"),
        )

    def test_the_event_attribute_and_the_message_agree(self) -> None:
        for outcome in ("Added", "Rejected", "Failed"):
            attribute = STATES[f"Notify{outcome}"]["Parameters"]["MessageAttributes"]["event"]["StringValue"]
            assert STATES[f"Compose{outcome}"]["Parameters"]["message"]["event"] == attribute
            assert attribute == f"dragon.{outcome.lower()}"

    @pytest.mark.parametrize("name", tasks("putMetricData"))
    def test_what_the_workflow_counts_somebody_hears_of(self, name: str) -> None:
        parameters = STATES[name]["Parameters"]
        (datum,) = parameters["MetricData"]
        watched = [
            (alarm["Namespace"], alarm["MetricName"], [item["Name"] for item in alarm["Dimensions"]])
            for alarm in resources_of_type("AWS::CloudWatch::Alarm").values()
        ]
        counted = [item["Name"] for item in datum["Dimensions"]]
        assert (parameters["Namespace"], datum["MetricName"], counted) in watched

    @pytest.mark.parametrize("name", tasks("sns:publish"))
    def test_what_could_not_be_sent_is_counted_and_changes_no_outcome(self, name: str) -> None:
        """A text above all: denied, or refused by SNS, it fails while the dragon is added."""
        (caught,) = STATES[name]["Catch"]
        counting = STATES[caught["Next"]]
        assert "putMetricData" in counting["Resource"]
        assert (counting["Parameters"]["MetricData"][0]["MetricName"] == "TextFailed") is (name == "TextReporter")
        assert counting["ResultPath"] is None
        assert counting["Next"] == counting["Catch"][0]["Next"] == STATES[name]["Next"]


class TestRowsOfSubmissions:
    """Step Functions answers 15 DescribeExecution and 20 GetExecutionHistory a second in an account.

    https://docs.aws.amazon.com/step-functions/latest/dg/limits.html
    """

    def test_every_report_has_its_row_written_first_and_before_its_end(self) -> None:
        writes = tasks("dynamodb:")
        for path in paths_from("RecordPending"):
            assert [name for name in path if name in writes] == ["RecordPending", f"Record{path[-1]}"]
        for path in paths_from(WORKFLOW["StartAt"]):
            assert path[1] in {"RecordPending", "RefuseInput"}

    @pytest.mark.parametrize("name", tasks("dynamodb:"))
    def test_a_write_that_fails_changes_nothing_but_a_metric(self, name: str) -> None:
        """A Catch goes on where the state would have gone on, and a condition that does not hold is no failure."""
        following = STATES[name]["Next"]
        unmet, others = STATES[name]["Catch"]
        assert unmet["ErrorEquals"] == ["DynamoDB.ConditionalCheckFailedException"]
        assert unmet["Next"] == following
        counting = STATES[others["Next"]]
        assert counting["Parameters"]["MetricData"][0]["MetricName"] == "SubmissionNotRecorded"
        assert successors(counting) == {following}

    @pytest.mark.parametrize("name", tasks("dynamodb:"))
    def test_a_condition_that_does_not_hold_is_not_tried_again(self, name: str) -> None:
        first = STATES[name]["Retry"][0]
        assert first == {"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "MaxAttempts": 0}

    def test_a_late_first_write_cannot_undo_the_last_one(self) -> None:
        """Step Functions gives up an attempt after its time limit, but DynamoDB may still carry it out."""
        assert STATES["RecordPending"]["Arguments"]["ConditionExpression"] == "attribute_not_exists(started_at_id)"

    def test_the_api_knows_the_workflows_time_limit(self) -> None:
        assert WORKFLOW["TimeoutSeconds"] == WORKFLOW_ENDS_WITHIN_S

    def test_the_api_knows_the_tables_index(self) -> None:
        table = RESOURCES["SubmissionTable"]["Properties"]
        (index,) = table["GlobalSecondaryIndexes"]
        assert (index["IndexName"], index["Projection"]) == (INDEX, {"ProjectionType": "ALL"})

    def test_rows_expire(self) -> None:
        table = RESOURCES["SubmissionTable"]["Properties"]
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
        assert "N" in STATES["RecordPending"]["Arguments"]["Item"]["expires_at"], "DynamoDB ignores any other type"

    def test_the_workflow_alone_may_write_rows_and_nothing_else(self) -> None:
        may = {
            (function, action)
            for function in FUNCTIONS
            for statement in policy(function, "prod")
            if any("submissions" in resource for resource in statement["Resource"])
            for action in statement["Action"]
        }
        assert may == {
            (functions.API, "dynamodb:Query"),
            (functions.OPERATORS, "dynamodb:GetItem"),
            (functions.OPERATORS, "dynamodb:Query"),
        }
        (steps, *_) = RESOURCES["DragonWorkflowRole"]["Properties"]["Policies"]
        (writing,) = [
            statement
            for statement in steps["PolicyDocument"]["Statement"]
            if "dynamodb" in json.dumps(statement["Action"])
        ]
        assert writing["Action"] == ["dynamodb:PutItem", "dynamodb:UpdateItem"]
        assert writing["Resource"] == {"Fn::GetAtt": ["SubmissionTable", "Arn"]}


class TestResources:
    def test_parameter_store_gets_every_parameter(self) -> None:
        names = {item["Name"]["Fn::Sub"] for item in resources_of_type("AWS::SSM::Parameter").values()}
        assert names == {f"/dragonpost/${{Stage}}/{name}" for name in PARAMETERS}
        assert len(names) <= 2 * 10, "docs/configuring.md says that each new function reads two pages of ten"

    @pytest.mark.parametrize(
        "name",
        [
            "DragonBucket",
            "MessageBucket",
            "MessageTable",
            "MessageQueue",
            "MessageDeadLetterQueue",
            "SubmissionTable",
            "DragonTable",
            "UserPool",
        ],
    )
    def test_data_outlives_the_stack_in_prod(self, name: str) -> None:
        assert RESOURCES[name]["DeletionPolicy"] == {"Fn::If": ["KeepsData", "RetainExceptOnCreate", "Delete"]}
        assert RESOURCES[name]["UpdateReplacePolicy"] == {"Fn::If": ["KeepsData", "Retain", "Delete"]}

    @pytest.mark.parametrize("table", resources_of_type("AWS::DynamoDB::Table"))
    def test_tables_can_be_restored_and_are_not_deleted_by_mistake(self, table: str) -> None:
        properties = RESOURCES[table]["Properties"]
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["KeepsData", True, False]}

    @pytest.mark.parametrize("bucket", ["DragonBucket", "MessageBucket"])
    def test_buckets_are_private_versioned_and_encrypted(self, bucket: str) -> None:
        properties = RESOURCES[bucket]["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert properties["BucketEncryption"]

    @pytest.mark.parametrize(
        "name",
        [
            "DragonBucketPolicy",
            "MessageBucketPolicy",
            "MessageQueuePolicy",
            "MessageDeadLetterQueuePolicy",
            "DragonTopicPolicy",
        ],
    )
    def test_nothing_is_reached_without_tls_unless_a_parameter_says_so(self, name: str) -> None:
        (statement,) = RESOURCES[name]["Properties"]["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert RESOURCES[name]["Condition"] == "RequireTls"
        assert TEMPLATE["Conditions"]["RequireTls"] == {"Fn::Equals": [{"Ref": "RequireTls"}, "true"]}
        assert TEMPLATE["Parameters"]["RequireTls"]["Default"] == "true"

    def test_no_condition_asks_for_stage_local_which_differs_by_parameters_only(self) -> None:
        conditions = TEMPLATE["Conditions"] | OVERRIDES["Conditions"]

        assert "local" not in json.dumps(conditions)

    def test_a_message_stays_hidden_for_six_time_limits_of_its_consumer(self) -> None:
        limit_s = functions.limits("store_messages").timeout_s
        assert RESOURCES["MessageQueue"]["Properties"]["VisibilityTimeout"] >= 6 * limit_s

    def test_a_dead_letter_has_ten_days_left_when_it_becomes_one(self) -> None:
        """It keeps the time at which it was sent to the message queue. Fourteen days are the most there is."""
        kept_s = {name: queue["MessageRetentionPeriod"] for name, queue in resources_of_type("AWS::SQS::Queue").items()}
        assert kept_s == {"MessageQueue": 4 * 24 * 3600, "MessageDeadLetterQueue": 14 * 24 * 3600}

    def test_an_outage_of_hours_buries_nothing_and_ends_before_messages_do(self) -> None:
        queue = RESOURCES["MessageQueue"]["Properties"]
        delivered_for_s = queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
        assert 8 * 3600 <= delivered_for_s < queue["MessageRetentionPeriod"] / 2

    def test_dynamodb_deletes_rows_by_the_attribute_that_the_service_writes(self) -> None:
        specification = RESOURCES["MessageTable"]["Properties"]["TimeToLiveSpecification"]
        assert specification == {"AttributeName": EXPIRES_AT, "Enabled": True}

    def test_the_archive_and_the_consumer_keep_messages_for_the_same_days(self) -> None:
        days = {"Ref": "ArchiveRetentionDays"}
        assert RESOURCES["ArchiveRetentionDaysParameter"]["Properties"]["Value"] == days
        rules = RESOURCES["MessageBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        [expiring] = [rule["Fn::If"][1] for rule in rules if "ExpirationInDays" in rule.get("Fn::If", ["", {}])[1]]
        assert expiring["ExpirationInDays"] == days
        most = TEMPLATE["Parameters"]["ArchiveRetentionDays"]["MaxValue"]
        assert Settings.archive_retention_days.form.fullmatch(str(most))

    def test_clients_cannot_write_their_company(self) -> None:
        assert RESOURCES["UserPoolClient"]["Properties"]["WriteAttributes"] == ["name"]
        assert "custom:company_id" in RESOURCES["UserPoolClient"]["Properties"]["ReadAttributes"]
        assert RESOURCES["UserPool"]["Properties"]["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}

    def test_a_refresh_token_is_good_for_one_renewal_and_a_sign_in_for_twelve_hours(self) -> None:
        """AWS refuses rotation beside the flow that renews without it."""
        client = RESOURCES["UserPoolClient"]["Properties"]
        assert client["RefreshTokenRotation"] == {"Feature": "ENABLED", "RetryGracePeriodSeconds": 30}
        assert "ALLOW_REFRESH_TOKEN_AUTH" not in client["ExplicitAuthFlows"]
        assert (client["RefreshTokenValidity"], client["TokenValidityUnits"]["RefreshToken"]) == (12, "hours")

    def test_nobody_is_offered_on_a_deployed_stage(self) -> None:
        assert "DRAGONPOST_PEOPLE" not in json.dumps([TEMPLATE, OVERRIDES, CONFIG])

    def test_a_stage_has_no_sign_in_page_unless_somebody_asks_for_one(self) -> None:
        assert TEMPLATE["Parameters"]["SignInDomainPrefix"]["Default"] == "none"
        assert TEMPLATE["Conditions"]["SignInPage"] == {
            "Fn::Not": [{"Fn::Equals": [{"Ref": "SignInDomainPrefix"}, "none"]}]
        }
        assert (
            RESOURCES["SignInDomain"]["Condition"] == TEMPLATE["Outputs"]["SignInAddress"]["Condition"] == "SignInPage"
        )
        client = RESOURCES["UserPoolClient"]["Properties"]
        for name in ("AllowedOAuthFlows", "AllowedOAuthScopes", "CallbackURLs", "SupportedIdentityProviders"):
            asked, page, otherwise = client[name]["Fn::If"]
            assert (asked, otherwise) == ("SignInPage", {"Ref": "AWS::NoValue"})
            assert page

    def test_the_workflow_does_not_log_what_it_was_given(self) -> None:
        assert RESOURCES["DragonWorkflow"]["Properties"]["LoggingConfiguration"]["IncludeExecutionData"] is False

    def test_the_workflow_does_not_log_failed_steps_because_sns_quotes_the_number(self) -> None:
        """ERROR has TaskFailed with its cause, FATAL only what an execution ends with."""
        assert RESOURCES["DragonWorkflow"]["Properties"]["LoggingConfiguration"]["Level"] == "FATAL"
        failing = [state for state in WORKFLOW["States"].values() if state["Type"] == "Fail"]
        assert failing
        assert not [state for state in failing if "CausePath" in state or "ErrorPath" in state]

    def test_the_workflow_outlives_its_steps_and_all_their_retries(self) -> None:
        """Otherwise a dragon that was added could end as failed."""
        longest = max(sum(map(longest_s, path)) for path in paths_from(WORKFLOW["StartAt"]))
        assert longest < WORKFLOW["TimeoutSeconds"]

    def test_the_workflow_may_text_only_where_the_stage_allows_it(self) -> None:
        policies = RESOURCES["DragonWorkflowRole"]["Properties"]["Policies"]
        (texts,) = [item["Fn::If"] for item in policies if "Fn::If" in item and item["Fn::If"][0] != "Traced"]
        assert (texts[0], texts[2]) == ("SmsAllowed", {"Ref": "AWS::NoValue"})
        assert "NotResource" not in json.dumps([item for item in policies if item != {"Fn::If": texts}])

    def test_the_workflow_may_text_nobody_but_through_sns(self) -> None:
        """Without the condition, it could call AWS End User Messaging by itself, whatever the stage's prefixes say."""
        policies = RESOURCES["DragonWorkflowRole"]["Properties"]["Policies"]
        (texts,) = [
            item["Fn::If"][1]["PolicyDocument"]["Statement"]
            for item in policies
            if "Fn::If" in item and item["Fn::If"][0] == "SmsAllowed"
        ]
        sending = [statement for statement in texts if statement["Action"] == "sms-voice:SendTextMessage"]
        via_sns = {"StringEquals": {"aws:CalledViaLast": "sns.amazonaws.com"}}
        assert [statement["Condition"] for statement in sending] == [via_sns]


class TestAlarms:
    @pytest.mark.parametrize("name", sorted(ALARMS.keys() - RELEASE_ALARMS))
    def test_somebody_is_told(self, name: str) -> None:
        topic = "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:dragonpost-${Stage}-alarms"
        assert ALARMS[name]["AlarmActions"] == [{"Ref": "AlarmTopic"} if name in RESOURCES else {"Fn::Sub": topic}]
        assert RESOURCES["AlarmTopic"]["Properties"]["TopicName"] == {"Fn::Sub": topic.rsplit(":", maxsplit=1)[-1]}

    @pytest.mark.parametrize("name", ALARMS)
    def test_who_is_told_reads_where_the_runbook_is(self, name: str) -> None:
        """The e-mail has the alarm's description, and little else."""
        (anchor,) = re.findall(r"Runbook: docs/operations\.md#([\w-]+)\.$", ALARMS[name]["AlarmDescription"])
        headings = re.findall(r"^#+ (.+)$", (PROJECT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    @pytest.mark.parametrize("name", ALARMS)
    def test_the_runbook_knows_the_alarm_by_its_name(self, name: str) -> None:
        page = (PROJECT / "docs" / "operations.md").read_text("utf-8")
        assert f"`{ALARMS[name]['AlarmName']['Fn::Sub'].replace('${Stage}', '<stage>')}`" in page

    @pytest.mark.parametrize("name", ALARMS)
    def test_silence_is_no_alarm(self, name: str) -> None:
        """Nothing is emitted where nothing happens: no request, no message, no throttle, an idle queue."""
        assert ALARMS[name]["TreatMissingData"] == "notBreaching"

    @pytest.mark.parametrize(
        ("metric", "values"),
        [
            ("Throttles", {functions.deployed_name(function, "${Stage}") for function in FUNCTIONS}),
            ("5XXError", {"Stage"}),
            ("Latency", {"Stage"}),
            ("ApproximateAgeOfOldestMessage", {"MessageQueue"}),
            ("ApproximateNumberOfMessagesVisible", {"MessageDeadLetterQueue"}),
            ("Errors", {"dragonpost-${Stage}-store_messages", "dragonpost-${Stage}-store_messages:live"}),
            ("ExecutionsFailed", {"DragonWorkflow"}),
            ("ExecutionsTimedOut", {"DragonWorkflow"}),
            ("NotificationFailed", {"dragonpost-${Stage}"}),
            ("TextFailed", {"dragonpost-${Stage}"}),
        ],
    )
    def test_what_would_go_unseen_is_watched(self, metric: str, values: set[str]) -> None:
        """The REST function answers whatever happens, so its `Errors` stay 0. The gateway's 5XXError does not."""
        watched = [alarm["Dimensions"][-1]["Value"] for alarm in ALARMS.values() if alarm["MetricName"] == metric]
        named = [next(iter(value.values())) for value in watched]
        assert {name[0] if isinstance(name, list) else name for name in named} == values

    def test_a_message_is_late_before_its_deliveries_hide_its_age(self) -> None:
        """SQS leaves messages out of this metric once they have been received three times.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        """
        (alarm,) = [each for each in ALARMS.values() if each["MetricName"] == "ApproximateAgeOfOldestMessage"]
        redelivered_after_s = RESOURCES["MessageQueue"]["Properties"]["VisibilityTimeout"]
        assert redelivered_after_s < alarm["Threshold"] < 2 * redelivered_after_s

    def test_that_a_burst_of_reports_waits_is_no_alarm(self) -> None:
        """It is what the bound is for: `workflow_concurrency` in infrastructure/stages.toml."""
        retrier = STATES["AddDragon"]["Retry"][0]
        for function in FUNCTIONS:
            alarm = ALARMS[f"{functions.logical_id(function)}ThrottledAlarm"]
            watched_s = alarm["Period"] * alarm["EvaluationPeriods"]
            assert (watched_s > sum(waits_s(retrier))) is (function in functions.bounded())

    def test_nobody_is_written_to_unless_somebody_gave_an_address(self) -> None:
        subscription = RESOURCES["AlarmSubscription"]
        assert TEMPLATE["Parameters"]["AlarmEmail"]["Default"] == "none"
        assert subscription["Condition"] == "AlarmsAreMailed"
        assert TEMPLATE["Conditions"]["AlarmsAreMailed"] == {
            "Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmEmail"}, "none"]}]
        }
        assert (subscription["Properties"]["Protocol"], subscription["Properties"]["Endpoint"]) == (
            "email",
            {"Ref": "AlarmEmail"},
        )


class TestVariables:
    """Parameter Store answers 40 calls a second by default, and a burst of cold starts would make more:
    https://aws.amazon.com/premiumsupport/knowledge-center/ssm-parameter-store-rate-exceeded/.
    So what the template knows is in the functions' environment.
    """

    def test_each_function_is_told_what_its_policy_lets_it_use(self) -> None:
        told = {
            function: {name.removeprefix("DRAGONPOST_").lower() for name in variables_of(function)}
            for function in FUNCTIONS
        }
        assert told == {
            functions.API: {
                "user_pool_client_id", "message_table_name", "message_queue_url", "submission_table_name",
                "dragon_table_name", "dragon_workflow_arn", "commit",
            },
            functions.OPERATORS: {
                name for name, setting in Settings.table().items() if setting.source is Source.STACK
            },
            "store_messages": {
                "message_archive_bucket_name", "message_table_name", "message_queue_url",
                "message_dead_letter_queue_url",
            },
            "validate_dragon": set(),
            "add_dragon": {"dragon_table_name"},
        }  # fmt: skip

    @pytest.mark.parametrize("name", [name for name, row in Settings.table().items() if row.source is Source.STACK])
    def test_the_value_is_the_one_in_parameter_store(self, name: str) -> None:
        told = [
            each[f"DRAGONPOST_{name.upper()}"] for each in map(variables_of, FUNCTIONS) if name.upper() in str(each)
        ]
        in_parameter_store = resources.parameter_values(RESOURCES)[name]
        assert [TEMPLATE["Outputs"][reference["Ref"]]["Value"] for reference in told] == [in_parameter_store] * len(
            told
        )
        for reference in told:
            assert OVERRIDES["Parameters"][reference["Ref"]]["AllowedPattern"] == (
                f"^({Settings.table()[name].form.pattern})$"
            )

    def test_what_people_may_change_while_the_service_runs_is_in_no_environment(self) -> None:
        configured = [
            CONFIG["environment_variables"],
            *(stage["environment_variables"] for stage in CONFIG["stages"].values()),
        ]
        told = {name for each in (*configured, *map(variables_of, FUNCTIONS)) for name in each}
        changed = {row.variable for row in Settings.table().values() if row.source is Source.PARAMETER_STORE}
        assert changed
        assert not told & changed

    def test_chalice_alone_sets_nothing_that_the_stack_makes(self) -> None:
        """Its environment is the same in every account."""
        assert not [
            row.variable
            for row in Settings.table().values()
            if row.source is Source.STACK
            if row.variable in str(CONFIG)
        ]

    @pytest.mark.parametrize(
        ("arn", "service", "name"),
        [
            ("arn:aws:sqs:*:*:dragonpost-${Stage}-messages", "sqs", "dragonpost-${Stage}-messages"),
            ("arn:*:dynamodb:*:*:table/dragonpost-${Stage}-dragons/index/*", "dynamodb", "dragonpost-${Stage}-dragons"),
            ("arn:*:states:*:*:execution:dragonpost-${Stage}-dragons:*", "states", "dragonpost-${Stage}-dragons"),
            ("arn:aws:s3:::dragonpost-${Stage}-dragons-*/*", "s3", "dragonpost-${Stage}-dragons-*-*"),
        ],
    )
    def test_a_policy_names_a_resource_or_what_is_in_it(self, arn: str, service: str, name: str) -> None:
        made = variables.Made(Settings.message_table_name, "AnOutput", service, name)
        assert variables._is_about(arn, made)
        assert not variables._is_about(arn, replace(made, service="sns"))
        assert not variables._is_about(arn, replace(made, name="dragonpost-${Stage}-others"))
        assert not variables._is_about("*", made)

    def test_an_output_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lacking = {**TEMPLATE, "Outputs": {k: v for k, v in TEMPLATE["Outputs"].items() if k != "MessageQueueUrl"}}
        monkeypatch.setattr(resources, "template", lambda: lacking)
        with pytest.raises(CannotGenerate, match="lacks a parameter message_queue_url, or an output with its value"):
            variables.made_by_the_stack()


class TestAppOverrides:
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_functions_have_the_names_that_chalice_deploy_gives(self, function: str) -> None:
        name = "dragonpost-${Stage}" + ("" if function == functions.API else f"-{function}")
        logical_id = functions.logical_id(function)
        override = OVERRIDES["Resources"][logical_id]
        log = OVERRIDES["Resources"][f"{logical_id}Log"]["Properties"]
        assert override["Properties"]["FunctionName"] == {"Fn::Sub": name}
        assert override["DependsOn"] == [f"{logical_id}Log"]
        assert log["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/{name}"}
        assert log["RetentionInDays"] == {"Ref": "LogRetentionDays"}

    def test_requests_are_logged_only_where_somebody_asked_for_it(self) -> None:
        """Without the account's role for API Gateway's logs, the stack would fail."""
        condition, setting, otherwise = OVERRIDES["Resources"]["RestAPI"]["Properties"]["AccessLogSetting"]["Fn::If"]
        assert otherwise == {"Ref": "AWS::NoValue"}
        assert OVERRIDES["Conditions"][condition] == {"Fn::Equals": [{"Ref": "ApiAccessLogs"}, "on"]}
        assert OVERRIDES["Parameters"]["ApiAccessLogs"]["Default"] == "off"
        assert OVERRIDES["Resources"]["ApiAccessLogGroup"]["Condition"] == condition
        assert setting["DestinationArn"]["Fn::Sub"].endswith(":log-group:${ApiAccessLogGroup}")

    def test_the_log_of_requests_does_not_say_who_sent_them_and_what(self) -> None:
        """No address, no claim of a token, no path with its names and ids, and no query."""
        _, setting, _ = OVERRIDES["Resources"]["RestAPI"]["Properties"]["AccessLogSetting"]["Fn::If"]
        line = json.loads(setting["Format"])
        private = re.compile(
            r"\$context\.(identity|authorizer|authorize|customDomain|path\b|requestOverride|.*[Uu]serAgent)"
        )
        assert line["request_id"] == "$context.requestId"
        assert [value for value in line.values() if private.match(value) or not value.startswith("$context.")] == []

    def test_the_gateway_accepts_tokens_of_the_one_client_only(self) -> None:
        definitions = OVERRIDES["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["securityDefinitions"]
        authorizer = definitions["dragonpost-users"]["x-amazon-apigateway-authorizer"]
        assert authorizer == {"identityValidationExpression": {"Fn::Sub": "^${UserPoolClientId}$"}}

    @pytest.mark.parametrize("kinds", [{"THROTTLED"}, {*GATEWAY_RESPONSES, "QUANTUM_FAILURE"}])
    def test_an_answer_that_the_gateway_makes_in_its_own_words_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, kinds: set[str]
    ) -> None:
        monkeypatch.setattr(generator, "_response_types", lambda: kinds)
        with pytest.raises(CannotGenerate, match=r"QUANTUM_FAILURE|WAF_FILTERED"):
            generator.gateway_responses({})

    @pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
    def test_the_gateway_fills_in_the_request_id_and_nothing_else(self, kind: str) -> None:
        """In a template `$` begins a variable, and `#` a directive."""
        ((content_type, template),) = GATEWAY_RESPONSES[kind]["ResponseTemplates"].items()
        problem = json.loads(template)
        assert content_type == "application/json"
        assert problem.keys() == {"type", "title", "status", "detail", "request_id"}
        assert problem["request_id"] == "$context.requestId"
        assert (template.count("$"), template.count("#")) == (1, 0)

    @pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
    def test_the_gateways_answers_carry_the_headers_of_the_apps_problems(self, kind: str) -> None:
        app = Dragonpost("test", FakeSettings())
        app.get("/")(lambda: problem_reply(INTERNAL_ERROR, "an id"))
        ours = app(proxy_event("GET", "/", "/"), None)["headers"]
        theirs = GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]
        varying = {
            "Access-Control-Allow-Origin": {"Fn::Sub": "'${AllowOrigin}'"},
            "X-Request-Id": "context.requestId",
        }
        for name, value in ours.items():
            assert theirs[name] == varying.get(name) or theirs[name].replace(" ", "") == f"'{value}'"

    @pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
    def test_the_client_is_told_what_to_do_next(self, kind: str) -> None:
        status = GATEWAY_RESPONSES[kind]["StatusCode"]
        headers = GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]
        assert ("WWW-Authenticate" in headers) == (status == 401)
        assert ("Retry-After" in headers) == (status in {429, 503, 504})

    def test_a_client_whose_request_got_no_answer_hears_that_it_may_have_been_carried_out(self) -> None:
        """A throttled function did nothing, one that crashed may have done it all; both are an INTEGRATION_FAILURE."""
        answer = GATEWAY_RESPONSES["INTEGRATION_FAILURE"]
        assert answer["StatusCode"] == 503
        assert answer["ResponseParameters"]["Headers"]["Retry-After"] == "'5'"
        assert "may or may not have been carried out" in answer["ResponseTemplates"]["application/json"]

    @pytest.mark.parametrize(
        "kind", ["MISSING_AUTHENTICATION_TOKEN", "INVALID_SIGNATURE", "RESOURCE_NOT_FOUND", "DEFAULT_4XX"]
    )
    def test_an_unknown_route_is_a_404(self, kind: str) -> None:
        """If there is no route, the gateway looks for an AWS signature, and mistakes `Bearer` for a broken one."""
        assert GATEWAY_RESPONSES[kind]["StatusCode"] == 404
