"""Deploy one stage of Dragonpost: `python -m operations.deploy --stage dev`.

It runs the same `aws` and `chalice` commands as docs and README name, in the order they need each other: the
resources stack, its outputs, the packaged app. Progress goes to stderr, the result to stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from operations import vendor

APP_NAME = "dragonpost"
PROJECT = Path(__file__).resolve().parent.parent
STAGES = ("local", "dev", "prod")


class DeployError(Exception):
    """A step failed; the message says which one and what to do."""


@dataclass(frozen=True)
class Target:
    """What is deployed, and where to.

    `environment` is what the commands see (credentials, region, endpoint); `build` receives templates and packages.
    With `artifacts_owner` the bucket has to be that account's: whoever guesses a name can have made it before.
    Without `sms_allowed_prefixes` a deployed stage keeps those it has, and a new one texts nobody.
    """

    stage: str
    build: Path
    artifacts_bucket: str
    environment: Mapping[str, str]
    project: Path = PROJECT
    sms_allowed_prefixes: str | None = None
    artifacts_owner: str | None = None

    @property
    def resources_stack(self) -> str:
        """The stack of everything that Chalice does not own."""
        return f"{APP_NAME}-{self.stage}-resources"

    @property
    def app_stack(self) -> str:
        """The stack of the packaged Chalice app."""
        return f"{APP_NAME}-{self.stage}-app"

    def say(self, message: str) -> None:
        """Print one line of progress on stderr."""
        print(f"  {self.stage}: {message}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)
    try:
        _deploy(options)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to finish", file=sys.stderr)
        return 130
    return 0


def _deploy(options: argparse.Namespace) -> None:
    target = _target(options)
    check_not_deployed_otherwise(target, options.with_)
    ensure_artifacts_bucket(target)
    outputs = deploy_resources(target)
    if options.resources_only:
        for name, value in app_environment(outputs).items():
            print(f"export {name}={shlex.quote(value)}")
    elif options.with_ == "chalice":
        print(chalice_deploy(target, outputs), end="")
    else:
        print(deploy_app(target, outputs, package_app(target, outputs)))


def _target(options: argparse.Namespace) -> Target:
    environment = dict(os.environ)
    bucket, owner = options.artifacts_bucket, None
    if not bucket:
        bucket, owner = default_artifacts_bucket(environment)
    return Target(
        stage=options.stage,
        build=PROJECT / ".local" / "build" / options.stage,
        artifacts_bucket=bucket,
        artifacts_owner=owner,
        environment=environment,
        sms_allowed_prefixes=options.sms_allowed_prefixes,
    )


def default_artifacts_bucket(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return `dragonpost-artifacts-<account>-<region>` for the credentials in `environment`, and the account.

    Raises DeployError without credentials or region.
    """
    region = environment.get("AWS_DEFAULT_REGION") or _configured_region(environment)
    if not region:
        raise DeployError("no region. Set AWS_DEFAULT_REGION, or run `aws configure`.")
    said = run("aws", "sts", "get-caller-identity", "--query", "Account", "--output", "text", env=environment)
    account = said.strip()
    return f"{APP_NAME}-artifacts-{account}-{region}", account


def check_not_deployed_otherwise(target: Target, deployed_with: str) -> None:
    """Raise DeployError if the stage's app was deployed in the other way: neither can take over from the other."""
    if deployed_with == "cloudformation":
        if _chalice_recorded_something(target):
            raise DeployError(
                f"stage {target.stage} was deployed with `chalice deploy`. Go on with --with chalice, or first run "
                f"`.venv/bin/chalice delete --stage {target.stage}` and delete the log groups that Lambda made, "
                f"/aws/lambda/{APP_NAME}-{target.stage}*, because the app's stack makes them itself "
                "(docs/operations.md, Deploying)."
            )
    elif _stack_exists(target, target.app_stack):
        raise DeployError(
            f"stage {target.stage} was deployed with CloudFormation. Go on with that, or first run "
            f"`aws cloudformation delete-stack --stack-name {target.app_stack}`."
        )


def ensure_artifacts_bucket(target: Target) -> None:
    """Create the bucket for templates and packages if there is none. Raises DeployError."""
    bucket = target.artifacts_bucket
    owner = ("--expected-bucket-owner", target.artifacts_owner) if target.artifacts_owner else ()
    try:
        run("aws", "s3api", "head-bucket", "--bucket", bucket, *owner, env=target.environment)
        target.say(f"artefact bucket {bucket} is there")
    except DeployError as error:
        if "(404)" not in str(error):  # with parentheses: the command is in it, and a name may have these digits
            raise DeployError(f"bucket {bucket}: name one that you may use with --artifacts-bucket. {error}") from error
        run("aws", "s3", "mb", f"s3://{bucket}", env=target.environment)
        target.say(f"artefact bucket {bucket} created")


def deploy_resources(target: Target) -> dict[str, str]:
    """Deploy infrastructure/resources.yaml and return the stack's outputs. Raises DeployError."""
    target.say(f"deploying {target.resources_stack}")
    template = target.project / "infrastructure" / "resources.yaml"
    parameters = {"Stage": target.stage}
    if target.sms_allowed_prefixes is not None:
        parameters["SmsAllowedPrefixes"] = target.sms_allowed_prefixes
    _deploy_template(target, target.resources_stack, template, parameters)
    return stack_outputs(target, target.resources_stack)


def package_app(target: Target, outputs: Mapping[str, str], merge_template: Path | None = None) -> Path:
    """Run `chalice package` and return the template (JSON) beside the deployment package.

    `merge_template` is merged over the generated template (default: infrastructure/app-overrides.json).
    Raises DeployError, also when Chalice could not get every dependency.
    """
    target.say("packaging the app")
    folder = target.build / "app"
    folder.mkdir(parents=True, exist_ok=True)
    merge = merge_template or target.project / "infrastructure" / "app-overrides.json"
    command = ["chalice", "package", "--stage", target.stage, "--template-format", "json"]
    environment = {**target.environment, **app_environment(outputs)}
    with _one_packager_at_a_time(target.project):
        _fill_vendor(target)
        said = run(*command, "--merge-template", str(merge), str(folder), env=environment, cwd=target.project)
    requirements = [target.project / name for name in ("requirements.txt", "requirements-vendor.txt")]
    _require_complete_package(said, folder / "deployment.zip", *requirements)
    return folder / "sam.json"


def deploy_app(target: Target, outputs: Mapping[str, str], template: Path) -> str:
    """Deploy the packaged app and return the URL of its API. Raises DeployError."""
    target.say(f"deploying {target.app_stack}")
    known = {"Stage": target.stage, "AllowOrigin": _allow_origin(target), **outputs}
    declared = json.loads(template.read_text(encoding="utf-8")).get("Parameters", {})
    parameters = {name: known[name] for name in declared if name in known}
    _deploy_template(target, target.app_stack, template, parameters)
    return stack_outputs(target, target.app_stack)["EndpointURL"]


def chalice_deploy(target: Target, outputs: Mapping[str, str]) -> str:
    """Run `chalice deploy` in place of package and CloudFormation; return what it printed. Raises DeployError."""
    target.say(f"chalice deploy --stage {target.stage}")
    environment = {**target.environment, **app_environment(outputs)}
    with _one_packager_at_a_time(target.project):
        _fill_vendor(target)
        with _interrupts_wait(target):
            said = run("chalice", "deploy", "--stage", target.stage, env=environment, cwd=target.project)
    if _INCOMPLETE in said:
        raise DeployError(f"deployed, but the package is incomplete: fix the dependencies and deploy again.\n{said}")
    return said


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _interrupts_wait(target: Target) -> Iterator[None]:
    """Hold interrupts back until what is done here has ended; raise KeyboardInterrupt then.

    `chalice deploy` records what it made at its very end. Without that, the next one makes a second API.
    """
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)
        if len(held) == 1:
            with contextlib.suppress(OSError):  # the terminal may be gone
                target.say("interrupted; waiting for `chalice deploy` to end, which records what it made only then")

    held_back = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # as nohup's SIGHUP is
    before = {number: signal.signal(number, hold) for number in held_back}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt


def app_environment(outputs: Mapping[str, str]) -> dict[str, str]:
    """Return what app.py reads from the environment while Chalice loads it, from the resources stack's outputs."""
    return {"DRAGONPOST_USER_POOL_ARN": outputs["UserPoolArn"]}


def stack_outputs(target: Target, stack: str) -> dict[str, str]:
    """Return the outputs of a deployed stack. Raises DeployError."""
    described = run(
        *("aws", "cloudformation", "describe-stacks", "--stack-name", stack),
        *("--query", "Stacks[0].Outputs", "--output", "json"),
        env=target.environment,
    )
    return {output["OutputKey"]: output["OutputValue"] for output in json.loads(described) or []}


# Runs a command, and kills it with all that it started when the file named first ends.
_ENDING_WITH_US = '(cat "$0"; kill -KILL 0) >/dev/null 2>&1 & exec "$@"'


def run(command: str, *arguments: str, env: Mapping[str, str], cwd: Path | None = None) -> str:
    """Run `aws` or `chalice` of this interpreter's environment and return what it printed.

    Raises DeployError with the command and its own words when it fails.
    """
    program = Path(sysconfig.get_path("scripts")) / command
    if not program.exists():
        raise DeployError(f"{command} is not installed here: pip install -r requirements-run.txt")
    ours, alive = os.pipe()  # `ours` ends when this process does, however it does
    process = subprocess.Popen(
        ["/bin/sh", "-c", _ENDING_WITH_US, f"/dev/fd/{ours}", str(program), *arguments],
        env=dict(env),
        cwd=cwd,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(ours,),
        # So that an interrupt can end it together with what it started (pip). In a group of the same session it would
        # be stopped for ever when it asks for an MFA code on the terminal; in a session of its own it fails instead.
        start_new_session=True,
    )
    os.close(ours)
    try:
        said, _ = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        os.close(alive)
    if process.returncode != 0:
        raise DeployError(f"`{shlex.join([command, *arguments])}` failed:\n{said.strip()}")
    return said


def _chalice_recorded_something(target: Target) -> bool:
    try:
        recorded = (target.project / ".chalice" / "deployed" / f"{target.stage}.json").read_text(encoding="utf-8")
        return bool(json.loads(recorded)["resources"])  # `chalice delete` leaves the file, with none
    except FileNotFoundError:
        return False
    except (ValueError, LookupError):  # cut short: what stands is unknown
        return True


def _stack_exists(target: Target, stack: str) -> bool:
    try:
        run("aws", "cloudformation", "describe-stacks", "--stack-name", stack, env=target.environment)
    except DeployError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _deploy_template(target: Target, stack: str, template: Path, parameters: Mapping[str, str]) -> None:
    target.build.mkdir(parents=True, exist_ok=True)
    packaged = target.build / f"{stack}.json"
    run(
        *("aws", "cloudformation", "package", "--template-file", str(template), "--use-json"),
        *("--s3-bucket", target.artifacts_bucket, "--s3-prefix", f"{APP_NAME}-{target.stage}"),
        *("--output-template-file", str(packaged)),
        env=target.environment,
    )
    run(
        *("aws", "cloudformation", "deploy", "--stack-name", stack, "--template-file", str(packaged)),
        *("--s3-bucket", target.artifacts_bucket, "--s3-prefix", f"{APP_NAME}-{target.stage}"),
        *("--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND", "--no-fail-on-empty-changeset"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
        env=target.environment,
    )


# `chalice package` prints this and still exits 0 (chalice/constants.py, MISSING_DEPENDENCIES_TEMPLATE).
_INCOMPLETE = "Could not install dependencies"


def _fill_vendor(target: Target) -> None:
    try:
        vendor.fill(target.project, target.environment)
    except vendor.VendorError as error:
        raise DeployError(str(error)) from error


def _require_complete_package(said: str, package: Path, *requirements: Path) -> None:
    if _INCOMPLETE in said:
        raise DeployError(f"the package would be incomplete; pin versions that have wheels for Lambda.\n{said.strip()}")
    with zipfile.ZipFile(package) as archive:
        packed = {_normal(name.split("-")[0]) for name in archive.namelist() if ".dist-info/" in name}
    lines = (line for file in requirements for line in _requirement_lines(file))
    wanted = {_normal(re.split(r"[\s\[=<>!~;]", line)[0]) for line in lines}
    if missing := sorted(wanted - packed):
        raise DeployError(f"the package lacks {', '.join(missing)}; pin versions that have wheels for Lambda.")


def _requirement_lines(requirements: Path) -> Iterator[str]:
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "-")):
            yield line.strip()


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@contextlib.contextmanager
def _one_packager_at_a_time(project: Path) -> Iterator[None]:
    """Chalice rewrites its cached package in .chalice/deployments in place, so two builds must not overlap."""
    folder = project / ".chalice" / "deployments"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _configured_region(environment: Mapping[str, str]) -> str:
    try:
        return run("aws", "configure", "get", "region", env=environment).strip()
    except DeployError:
        return ""


def _allow_origin(target: Target) -> str:
    config = json.loads((target.project / ".chalice" / "config.json").read_text(encoding="utf-8"))
    variables = config["stages"][target.stage].get("environment_variables", {})
    return str(variables.get("DRAGONPOST_ALLOW_ORIGIN", "*"))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m operations.deploy", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--artifacts-bucket", help="bucket for templates and packages (created if there is none)")
    parser.add_argument(
        "--sms-allowed-prefixes",
        help="countries that may be texted, such as +1,+44, or none (default: as deployed; a new stage texts nobody)",
    )
    parser.add_argument(
        "--with",
        dest="with_",
        choices=("cloudformation", "chalice"),
        default="cloudformation",
        help="deploy the app through CloudFormation or through `chalice deploy`; never both for one stage",
    )
    parser.add_argument(
        "--resources-only", action="store_true", help="stop after the resources and print what `chalice` needs to know"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
