"""A stage's two stacks, and `chalice deploy`, which can take the place of the second."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from operations import functions
from operations.deploy import commands, failures, losses, package, release
from operations.deploy.commands import DeployError
from operations.deploy.commit import commit_of
from operations.deploy.target import APP_NAME, Target, app_environment
from operations.stages import NAME_LETTERS_MAX, STAGES
from operations.stores import Clients

# What the templates take: they name roles, and have transforms.
CAPABILITIES = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")

_NEVER_RESERVED = 100


def check_not_deployed_otherwise(target: Target, deployed_with: str) -> None:
    """Raise DeployError if the stage's app was deployed the other way: neither way can take over from the other.

    `deployed_with` is `cloudformation` or `chalice`.
    """
    if deployed_with == "cloudformation":
        if chalice_recorded_something(target):
            raise DeployError(
                f"stage {target.stage} was deployed with `chalice deploy`. Go on with --with chalice, or first run "
                f"`.venv/bin/chalice delete --stage {target.stage}` and delete the log groups that Lambda made, "
                f"/aws/lambda/{APP_NAME}-{target.stage}*, because the app's stack makes them itself "
                "(docs/deploying.md, From Chalice to CloudFormation)."
            )
    elif _stack_exists(target, target.app_stack):
        raise DeployError(
            f"stage {target.stage} was deployed with CloudFormation. Go on with that, or first run "
            f"`.venv/bin/aws cloudformation delete-stack --stack-name {target.app_stack}`."
        )


def ensure_artifacts_bucket(target: Target) -> None:
    """Create the bucket for templates and packages if there is none. Raises DeployError."""
    bucket = target.artifacts_bucket
    owner = ("--expected-bucket-owner", target.artifacts_owner) if target.artifacts_owner else ()
    try:
        commands.run("aws", "s3api", "head-bucket", "--bucket", bucket, *owner, env=target.environment)
        target.say(f"artefact bucket {bucket} is there")
    except DeployError as error:
        if "(404)" not in str(error):  # with parentheses: the message quotes the command, and a name may have 404
            raise DeployError(
                f"bucket {bucket}: use --artifacts-bucket to name one that you may use. {error}"
            ) from error
        commands.run("aws", "s3", "mb", f"s3://{bucket}", env=target.environment)
        target.say(f"artefact bucket {bucket} created")


def deploy_resources(target: Target) -> dict[str, str]:
    """Deploy infrastructure/resources.yaml and return the stack's outputs. Raises DeployError."""
    target.say(f"deploying {target.resources_stack}")
    template = target.project / "infrastructure" / "resources.yaml"
    new = is_new(target, target.resources_stack)
    parameters = resources_parameters(target, new=new)
    _deploy_template(target, target.resources_stack, template, parameters, holds_data=not new)
    return stack_outputs(target, target.resources_stack)


def resources_parameters(target: Target, *, new: bool) -> dict[str, str]:
    """Return the parameters that the resources stack is deployed with; it keeps its values of all others.

    `new` says that there is no such stack yet. Raises DeployError if the stage's name is too long for one.
    """
    parameters = {"Stage": target.stage, **_of_the_stage(target)}
    if not target.require_tls:
        parameters["RequireTls"] = "false"
    if new:
        check_name_fits(target.stage)
        parameters["BucketNamesHaveRegion"] = "true"  # one that stands keeps what it has
    template = target.project / "infrastructure" / "resources.yaml"
    declared = yaml_parse(template.read_text(encoding="utf-8")).get("Parameters", {})
    return parameters | {name: value for name, value in _chosen(target).items() if name in declared}


def check_name_fits(new_stage: str) -> None:
    """Raise DeployError if a stage's buckets would get names that are too long. Stages that stand may have longer ones.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if len(new_stage) > NAME_LETTERS_MAX:
        raise DeployError(
            f"the name of stage {new_stage} has more than {NAME_LETTERS_MAX} letters, so its buckets' names would be "
            "too long. Give it a shorter one in infrastructure/stages.toml, and run `make generate`."
        )


def check_partition(target: Target, outputs: Mapping[str, str]) -> None:
    """Raise DeployError if the functions' policies name another part of AWS than the one that the stage is in."""
    partition = outputs["UserPoolArn"].split(":")[1]
    if partition != STAGES[target.stage].partition:
        raise DeployError(
            f"stage {target.stage} is in the partition {partition} of AWS, and its functions' policies name another. "
            f'Give it partition="{partition}" in infrastructure/stages.toml, and run `make generate`.'
        )


def deploy_app(target: Target, outputs: Mapping[str, str], template: Path, clients: Clients | None = None) -> str:
    """Deploy the packaged app and return the URL of its API. Raises DeployError."""
    target.say(f"deploying {target.app_stack}")
    _deploy_template(target, target.app_stack, template, prepare_app(target, outputs, template, clients))
    made = stack_outputs(target, target.app_stack)
    if domain := made.get("ApiDomainTarget"):
        target.say(f"the DNS record of the API's own name has to point to {domain}")
    return made["EndpointURL"]


def prepare_app(
    target: Target, outputs: Mapping[str, str], template: Path, clients: Clients | None = None
) -> dict[str, str]:
    """Make a packaged template ready to be deployed. Return the parameters that it is deployed with.

    `clients` tell what earlier deployments left; the embedded AWS, which refuses no version, goes without.
    Raises DeployError.
    """
    chosen = _chosen(target)
    known = {
        "Stage": target.stage,
        "AllowOrigin": STAGES[target.stage].allow_origin,
        **_of_the_stage(target),
        "Commit": commit_of(target.project),
        "WorkflowConcurrency": chosen.get("WorkflowConcurrency") or str(_workflow_concurrency(target)),
        **chosen,
        **outputs,
    }
    declared = json.loads(template.read_text(encoding="utf-8")).get("Parameters", {})
    parameters = {name: known[name] for name in declared if name in known}
    release.prepare(template, parameters, release.earlier(target.stage, clients) if clients else None)
    return parameters


def chalice_deploy(target: Target, outputs: Mapping[str, str]) -> str:
    """Run `chalice deploy` in place of package and CloudFormation; return what it printed. Raises DeployError.

    The package is made and checked first, and Chalice takes it over.

    An interrupt waits until the command has ended. Only then does it record what it made, and without the record the
    next deployment would make a second API.
    """
    package.package_app(target, outputs)
    target.say(f"chalice deploy --stage {target.stage}")
    environment = {**target.environment, **app_environment(outputs), commands.ARCHITECTURE: target.architecture or ""}
    waiting = "interrupted; waiting for `chalice deploy` to end, which records what it made only then"
    with package.ready_to_package(target), commands.interrupts_wait(lambda: target.say(waiting)):
        said = commands.run("chalice", "deploy", "--stage", target.stage, env=environment, cwd=target.project)
    if package.INCOMPLETE in said:
        raise DeployError(f"deployed, but the package is incomplete: fix the dependencies and deploy again.\n{said}")
    return said


def stack_outputs(target: Target, stack: str) -> dict[str, str]:
    """Return the outputs of a deployed stack. Raises DeployError."""
    described = commands.run(
        *("aws", "cloudformation", "describe-stacks", "--stack-name", stack),
        *("--query", "Stacks[0].Outputs", "--output", "json"),
        env=target.environment,
    )
    return {output["OutputKey"]: output["OutputValue"] for output in json.loads(described) or []}


def chalice_recorded_something(target: Target) -> bool:
    """Tell whether `chalice deploy` has deployed the stage from this folder, or may have."""
    try:
        recorded = (target.project / ".chalice" / "deployed" / f"{target.stage}.json").read_text(encoding="utf-8")
        return bool(json.loads(recorded)["resources"])  # `chalice delete` leaves the file, with none
    except FileNotFoundError:
        return False
    except (ValueError, LookupError):  # cut short, so nobody knows what exists
        return True


def _chosen(target: Target) -> dict[str, str]:
    """Return what was chosen for this deployment, or else for every one of the stage (operations/parameters.py)."""
    return {**STAGES[target.stage].parameters, **target.parameters}


def _of_the_stage(target: Target) -> dict[str, str]:
    """Return the parameters of both templates that say what infrastructure/stages.toml says of the stage."""
    differences = STAGES[target.stage]
    return {
        "KeepData": str(differences.keeps_data).lower(),
        "Tracing": "on" if differences.tracing else "off",
    }


def _workflow_concurrency(target: Target) -> int:
    """Return how many runs of each of the workflow's functions there may be at once, or 0 for no bound.

    A new account may have as few as 10 runs in all, and Lambda leaves 100 to functions that reserve none:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    """
    wanted = STAGES[target.stage].workflow_concurrency
    needed = _NEVER_RESERVED + wanted * len(functions.bounded())
    settings = ("lambda", "get-account-settings", "--query", "AccountLimit.ConcurrentExecutions", "--output", "text")
    limit = int(commands.run("aws", *settings, env=target.environment))
    if limit >= needed:
        return wanted
    consumer = STAGES[target.stage].consumer_concurrency
    if consumer * 2 > limit:
        target.say(
            f"of the {limit} functions that this account may run at once, storing messages may take {consumer}; give "
            f"{target.stage} a lower consumer_concurrency in infrastructure/stages.toml (at least 2), and run "
            "`make generate`"
        )
    target.say(
        f"this account may run {limit} functions at once, too few to reserve {wanted} for each of the workflow's "
        f"(that takes {needed}). They stay unbounded. Ask AWS for more and deploy again (docs/configuring.md, How much "
        "runs at once)"
    )
    return 0


def is_new(target: Target, stack: str) -> bool:
    """Tell whether there is no such stack, or one of which no resource was ever made."""
    status = ("--stack-name", stack, "--query", "Stacks[0].StackStatus", "--output", "text")
    try:
        said = commands.run("aws", "cloudformation", "describe-stacks", *status, env=target.environment)
    except DeployError as error:
        if "does not exist" in str(error):
            return True
        raise
    return said.strip() == "REVIEW_IN_PROGRESS"


def _stack_exists(target: Target, stack: str) -> bool:
    try:
        commands.run("aws", "cloudformation", "describe-stacks", "--stack-name", stack, env=target.environment)
    except DeployError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _deploy_template(
    target: Target, stack: str, template: Path, parameters: Mapping[str, str], *, holds_data: bool = False
) -> None:
    """Deploy a template, and say so if that changes nothing.

    If the stack holds data already, what the change would do to it is looked at first. An empty change set is not made
    again then: the AWS CLI leaves it, and gives the next one of the same second the same name.
    """
    target.build.mkdir(parents=True, exist_ok=True)
    packaged = target.build / f"{stack}.json"
    commands.run(
        *("aws", "cloudformation", "package", "--template-file", str(template), "--use-json"),
        *("--s3-bucket", target.artifacts_bucket, "--s3-prefix", f"{APP_NAME}-{target.stage}"),
        *("--output-template-file", str(packaged)),
        env=target.environment,
    )
    deployment = (
        *("cloudformation", "deploy", "--stack-name", stack, "--template-file", str(packaged)),
        *("--s3-bucket", target.artifacts_bucket, "--s3-prefix", f"{APP_NAME}-{target.stage}"),
        *("--capabilities", *CAPABILITIES, "--no-fail-on-empty-changeset"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
    )
    unchanged = holds_data and not losses.check(target, stack, deployment)
    if not unchanged:
        try:
            unchanged = losses.NOTHING_CHANGES in commands.run("aws", *deployment, env=target.environment)
        except DeployError as error:
            raise failures.explained(target, stack, error) from error
    if unchanged:
        target.say(f"{stack}: nothing changes")
