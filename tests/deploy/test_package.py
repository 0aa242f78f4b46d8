"""What `chalice package --stage prod` makes: a package that is complete and small, and a template that fits it.

The embedded AWS runs functions in its own interpreter, which hides a missing dependency. So the app is imported here in
an interpreter that sees the unzipped package and the standard library. After the package, as in Lambda's path, come the
parts of the AWS SDK that Lambda has of its own: here, they cannot be imported.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from app import app
from operations import PROJECT
from operations.deploy import commands
from operations.deploy.commands import DeployError
from operations.deploy.package import MACHINES, elf_machine, package_app, requirements
from operations.deploy.target import Target, app_environment, this_machine
from operations.functions import deployed_name, logical_id, names
from operations.generate import live_alias, openapi
from operations.stages import STAGES
from operations.vendor import STAMP
from tests.deploy.project import copy_of_project, without_aws_settings
from tests.locked import INSTALLED

POOL_ARN = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_DragonPst"
# Ours: a package that is larger takes longer to start. Lambda takes 50 MB, and 250 MB unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
PACKAGE_BYTES_MAX = 4_000_000
UNZIPPED_BYTES_MAX = 20_000_000

# What Lambda's Python has beyond the standard library: boto3, which the package does without, and what boto3 needs.
OF_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
LONG_AGO = 1_000_000_000
LOGICAL_IDS = {logical_id(function): function for function in names()}


@dataclass(frozen=True)
class Package:
    """The package's zip, its template, and the folder it was unzipped to."""

    zipped: Path
    template_path: Path
    template: dict[str, Any]
    unzipped: Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything that a clone has, and of what Python leaves in one."""
    project = copy_of_project(tmp_path_factory.mktemp("package") / "project")
    for folder in ("chalicelib", "chalicelib/web"):
        (project / folder / "__pycache__").mkdir()
        (project / folder / "__pycache__" / f"left.cpython-3{sys.version_info.minor}.pyc").touch()
    return project


@pytest.fixture(scope="module")
def package(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Stage prod, packaged as a deployment does."""
    return packaged(project, tmp_path_factory.mktemp("shipped"))


@pytest.fixture(scope="module")
def runnable(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The same for this machine, whose interpreter cannot load what ships."""
    return packaged(project, tmp_path_factory.mktemp("runnable"), this_machine())


def packaged(project: Path, folder: Path, architecture: str | None = None, **environment: str) -> Package:
    """Package stage prod into this folder."""
    environment = without_aws_settings() | environment
    target = Target(*("prod", folder / "build", "unused", environment), project=project, architecture=architecture)
    template_path = package_app(target, {"UserPoolArn": POOL_ARN})
    zipped = template_path.with_name("deployment.zip")
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(folder / "unzipped")
    template = json.loads(template_path.read_text(encoding="utf-8"))
    return Package(zipped, template_path, template, folder / "unzipped")


@pytest.fixture(scope="module")
def of_lambda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Lambda's own Python has, of a version that cannot be used."""
    folder = tmp_path_factory.mktemp("of-lambda")
    for name in OF_LAMBDA:
        (folder / f"{name}.py").write_text("raise AssertionError('of Lambda: ' + __name__)", encoding="utf-8")
    return folder


def run_as_lambda_would(package: Package, of_lambda: Path, program: str, *arguments: str) -> str:
    """Run a program in an interpreter that has no other packages, and return what it printed.

    Python looks in the package first, before what Lambda has of its own:
    https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
    """
    start = f"import sys; sys.path[:0] = {[str(package.unzipped), str(of_lambda)]!r}\n"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", start + program, *arguments],
        cwd=package.unzipped,
        env=without_aws_settings() | {"DRAGONPOST_STAGE": "prod", "POWERTOOLS_SERVICE_NAME": "test"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


class TestCompleteness:
    def test_the_interpreter_of_these_tests_sees_no_other_packages(self, runnable: Package, of_lambda: Path) -> None:
        program = "import importlib.util as u; print([n for n in ('pytest', 'chalice.cli', 'moto') if u.find_spec(n)])"

        assert run_as_lambda_would(runnable, of_lambda, program).strip() == "[]"

    def test_every_handler_of_the_template_can_be_called(self, runnable: Package, of_lambda: Path) -> None:
        handlers = {functions(runnable)[logical_id]["Handler"] for logical_id in LOGICAL_IDS}
        program = """
import app
for handler in sys.argv[1:]:
    module, name = handler.split(".")
    assert module == "app" and callable(getattr(app, name)), handler
print(app.__file__)
"""
        assert handlers == {
            *("app.app", "app.operator_api", "app.validate_dragon", "app.add_dragon", "app.store_messages"),
        }
        imported = run_as_lambda_would(runnable, of_lambda, program, *sorted(handlers))
        assert Path(imported.strip()) == runnable.unzipped / "app.py"

    def test_every_module_can_be_imported_including_those_imported_late(
        self, runnable: Package, of_lambda: Path
    ) -> None:
        program = """
import importlib, pkgutil, chalicelib
names = [module.name for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib.")]
for name in names:
    importlib.import_module(name)
print("\\n".join(names))
"""
        imported = run_as_lambda_would(runnable, of_lambda, program).split()

        assert set(imported) >= {"chalicelib.telemetry", "chalicelib.dragons.s3", "chalicelib.messages.queue"}

    def test_it_answers_a_request(self, runnable: Package, of_lambda: Path) -> None:
        program = """
import json
from app import app
event = json.loads(sys.argv[1])
print(json.dumps(app(event, None)))
"""
        event = {
            "resource": "/health",
            "path": "/health",
            "httpMethod": "GET",
            "headers": {"Accept": "*/*"},
            "multiValueHeaders": {},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": "/health",
                "httpMethod": "GET",
                "path": "/prod/health",
                "stage": "prod",
                "requestId": "5e6c1f62-6f0b-4a0a-8e55-5dd33a1f2f2f",
            },
            "body": None,
            "isBase64Encoded": False,
        }
        *_, last = run_as_lambda_would(runnable, of_lambda, program, json.dumps(event)).splitlines()

        answer = json.loads(last)
        told = {"status": "ok", "version": openapi.version(), "commit": None}
        assert (answer["statusCode"], json.loads(answer["body"])) == (200, told)


class TestStart:
    """What a function pays for whenever it starts. Each is a count, and the same on every machine."""

    # A new one takes up to some milliseconds of every cold start: import what few requests need where they need it. The
    # package's are counted exactly. What they import of the standard library differs with Python (357 to 360 in all).
    MODULES_OF_THE_PACKAGE = 172
    MODULES_MAX = 360

    def test_importing_the_app_compiles_nothing_and_calls_nobody(self, runnable: Package, of_lambda: Path) -> None:
        program = """
import sys
seen = []
def see(event, arguments):
    if event == "compile" and str(arguments[1]).endswith(".py"):
        seen.append(f"compiled {arguments[1]}")
    if event in {"socket.connect", "socket.getaddrinfo", "subprocess.Popen"}:
        seen.append(f"{event} {arguments}")
sys.addaudithook(see)
import app
print(seen)
"""
        assert run_as_lambda_would(runnable, of_lambda, program).strip() == "[]"

    @pytest.mark.parametrize(
        ("handler", "clients"),
        [
            ("app.app", []),
            ("app.validate_dragon", []),
            ("app.add_dragon", ["ssm", "s3", "dynamodb"]),
            ("app.store_messages", ["ssm", "dynamodb", "s3", "sqs"]),
        ],
    )
    def test_a_function_makes_the_clients_that_it_surely_needs(
        self, runnable: Package, of_lambda: Path, handler: str, clients: list[str]
    ) -> None:
        assert handler in {functions(runnable)[name]["Handler"] for name in LOGICAL_IDS}
        program = """
import json, os
os.environ.update(_HANDLER=sys.argv[1], AWS_DEFAULT_REGION="eu-central-1")
import app
print(json.dumps([*app.aws._clients]))
"""
        assert json.loads(run_as_lambda_would(runnable, of_lambda, program, handler)) == clients

    def test_what_was_made_at_import_is_never_looked_through_for_garbage(
        self, runnable: Package, of_lambda: Path
    ) -> None:
        program = """
import gc
passes = []
gc.callbacks.append(lambda phase, about: passes.append(phase))
import app
print(len(passes), gc.isenabled(), gc.get_freeze_count() > 50_000, sum(gc.get_count()) < 1_000)
"""
        assert run_as_lambda_would(runnable, of_lambda, program).split() == ["0", "True", "True", "True"]

    def test_importing_the_app_imports_no_more_than_it_did(self, runnable: Package, of_lambda: Path) -> None:
        program = """
import app, json, sys
package = app.__file__.removesuffix("app.py")
names = [name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(package)]
print(json.dumps([len(sys.modules), sorted(names)]))
"""
        count, names = json.loads(run_as_lambda_would(runnable, of_lambda, program))

        assert len(names) == self.MODULES_OF_THE_PACKAGE, names
        assert count <= self.MODULES_MAX


class TestContents:
    def test_it_holds_the_app_and_its_requirements_and_nothing_else(self, package: Package) -> None:
        packed = {canonicalize_name(found.name) for found in distributions(path=[str(package.unzipped)])}
        described = {path.name for path in package.unzipped.glob("*.dist-info")}
        tops = {path.name.removesuffix(".py") for path in package.unzipped.iterdir()} - described

        assert packed == {canonicalize_name(requirement.name) for requirement in requirements(PROJECT)}
        assert tops - {STAMP, "__pycache__"} == {"app", "chalice", "chalicelib"} | {
            {"python-dateutil": "dateutil"}.get(name, name.replace("-", "_")) for name in packed
        }

    def test_its_bill_of_materials_names_all_of_it_and_its_hash(self, package: Package) -> None:
        made = json.loads(package.zipped.with_name("bom.json").read_text(encoding="utf-8"))
        packed = {(canonicalize_name(each.name), each.version) for each in distributions(path=[str(package.unzipped)])}
        project = made["metadata"]["component"]

        assert {(part["name"], part["version"]) for part in made["components"]} == packed | {
            ("chalice", importlib.metadata.version("chalice"))
        }
        assert project["hashes"] == [{"alg": "SHA-256", "content": digest(package)}]
        for part in (project, *made["components"]):
            for inside in part.get("components", ()):
                assert (package.unzipped / inside["bom-ref"].partition("#")[2]).exists()

    def test_nothing_of_development_is_in_it(self, package: Package) -> None:
        names = {part for path in package.unzipped.rglob("*") for part in path.relative_to(package.unzipped).parts}

        assert names.isdisjoint({"devstack", "operations", "tests", "postman", "benchmarks", "infrastructure"})
        assert names.isdisjoint({"pytest", "ministack", "moto"})

    def test_the_pages_find_swagger_ui_in_it(self, runnable: Package, of_lambda: Path) -> None:
        program = """
from chalicelib.web import pages
print([pages.asset(name, None).status_code for name in (*pages.ASSETS, *pages.SWAGGER_UI)])
"""
        statuses = json.loads(run_as_lambda_would(runnable, of_lambda, program))

        assert set(statuses) == {200}

    def test_functions_can_read_every_file_whoever_checked_it_out(self, package: Package) -> None:
        """https://docs.amazonaws.cn/en_us/lambda/latest/dg/lambda-deploy-functions.html"""
        with zipfile.ZipFile(package.zipped) as archive:
            assert {stat.filemode(file.external_attr >> 16) for file in archive.infolist()} == {"-rw-r--r--"}

    def test_files_are_in_the_order_of_their_names_not_of_a_file_system(self, package: Package) -> None:
        with zipfile.ZipFile(package.zipped) as archive:
            modules = [name for name in archive.namelist() if Path(name).match("botocore/*.py")]

        assert len(modules) > 20
        assert modules == sorted(modules)

    def test_a_bare_chalice_packs_the_same_files(self, package: Package, project: Path, tmp_path: Path) -> None:
        """Without chalice_command.py, as a bare `chalice deploy` does; docs/deploying.md says what it does without."""
        shutil.rmtree(project / ".chalice" / "deployments")  # or it would only update the package that is there
        command = [sys.executable, "-P", str(Path(sys.executable).with_name("chalice")), "package", "--stage", "prod"]
        environment = without_aws_settings() | app_environment({"UserPoolArn": POOL_ARN})
        ran = subprocess.run(
            [*command, str(tmp_path)],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr

        assert contents(tmp_path / "deployment.zip") == contents(package.zipped)

    def test_it_is_small(self, package: Package) -> None:
        unzipped = sum(path.stat().st_size for path in package.unzipped.rglob("*") if path.is_file())
        print(f"package: {package.zipped.stat().st_size:,} bytes, unzipped {unzipped:,}")

        assert package.zipped.stat().st_size < PACKAGE_BYTES_MAX
        assert unzipped < UNZIPPED_BYTES_MAX


class TestSdk:
    """The AWS SDK is the package's own. Lambda's depends on runtime and region, and may be too old for the code."""

    def test_botocore_is_in_it_once_where_python_looks_before_lambdas_own(self, package: Package) -> None:
        with zipfile.ZipFile(package.zipped) as archive:
            files = archive.namelist()

        assert [file for file in files if file.endswith("botocore/__init__.py")] == ["botocore/__init__.py"]
        assert len(files) == len(set(files)), "a file that is in the zip twice is one that Chalice packed a second time"

    def test_a_wheel_that_has_another_hash_is_never_packed(self, tmp_path: Path) -> None:
        """Chalice fetches wheels for this machine, and then for the functions'. Only the first hash is left."""
        other = copy_of_project(tmp_path / "project")
        pinned = (other / "requirements.txt").read_text(encoding="utf-8")
        options = ("--no-deps", "--only-binary", ":all:", "--dest", str(tmp_path))
        commands.run("pip", "download", *options, "-r", str(other / "requirements.txt"), env=without_aws_settings())
        [wheel] = tmp_path.glob("*.whl")
        kept = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines = [line for line in pinned.splitlines() if "--hash" not in line or kept in line]
        (other / "requirements.txt").write_text("\n".join(lines).rstrip("\\ "), encoding="utf-8")

        with pytest.raises(DeployError, match="DO NOT MATCH THE HASHES"):
            packaged(other, tmp_path, "arm64" if this_machine() == "x86_64" else "x86_64")

    def test_two_builds_of_one_commit_have_one_hash(self, package: Package, tmp_path: Path) -> None:
        """Elsewhere, by somebody with other habits, at another time, and with nothing left of an earlier build."""
        again = copy_of_project(tmp_path / "elsewhere and later")
        shutil.rmtree(again / "vendor")
        for path in again.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.utime(path, (LONG_AGO, LONG_AGO))
        before = os.umask(0o077)
        try:
            built = packaged(again, tmp_path, TZ="Pacific/Kiritimati", PYTHONHASHSEED="1")
        finally:
            os.umask(before)

        assert digest(built) == digest(package)

    def test_every_version_is_the_one_that_the_tests_run_on(self, package: Package) -> None:
        packed = {found.name: found.version for found in distributions(path=[str(package.unzipped)])}
        del packed["star-openapi-swagger"]  # it is not installed here: only its files are used

        assert {"botocore", "urllib3", "msgspec"} <= set(packed)
        for name, version in packed.items():
            assert INSTALLED[canonicalize_name(name)] == version
            assert importlib.metadata.version(name) == version

    def test_whatever_its_parts_require_is_in_it(self, package: Package) -> None:
        packed = {canonicalize_name(found.name): found for found in distributions(path=[str(package.unzipped)])}
        del packed["star-openapi-swagger"]  # its Python is never imported
        required = [
            requirement
            for found in packed.values()
            for requirement in map(Requirement, found.requires or ())
            if not requirement.marker or requirement.marker.evaluate({"extra": ""})
        ]

        assert {canonicalize_name(requirement.name) for requirement in required} >= {"jmespath", "urllib3", "six"}
        for requirement in required:
            assert requirement.specifier.contains(packed[canonicalize_name(requirement.name)].version)

    def test_it_can_do_what_the_code_asks_of_it(self, runnable: Package, of_lambda: Path) -> None:
        """botocore has `IfMatch` from 1.36 on, `resolved_protocol` from 1.38 on."""
        program = """
import botocore, json
from chalicelib import aws
put = aws.s3().meta.service_model.operation_model("PutObject").input_shape.members
protocols = [client().meta.service_model.resolved_protocol
             for client in (aws.s3, aws.dynamodb, aws.sqs, aws.ssm, aws.stepfunctions)]
print(json.dumps([botocore.__file__, "IfMatch" in put, "IfNoneMatch" in put, protocols]))
"""
        file, *conditions, protocols = json.loads(run_as_lambda_would(runnable, of_lambda, program))

        assert Path(file) == runnable.unzipped / "botocore" / "__init__.py"
        assert conditions == [True, True]
        assert protocols == ["rest-xml", "json", "json", "json", "json"]


def contents(zipped: Path) -> dict[str, str]:
    """Return the hash of each file in a package."""
    with zipfile.ZipFile(zipped) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def digest(package: Package) -> str:
    return hashlib.sha256(package.zipped.read_bytes()).hexdigest()


class TestBytecode:
    def test_all_that_is_imported_at_first_has_it_for_the_functions_own_python(self, package: Package) -> None:
        tag = f".cpython-3{sys.version_info.minor}.pyc"
        assert {functions(package)[name]["Runtime"] for name in LOGICAL_IDS} == {f"python3.{sys.version_info.minor}"}
        for source in (*(package.unzipped / "chalicelib").rglob("*.py"), *package.unzipped.rglob("botocore/*.py")):
            assert (source.parent / "__pycache__" / f"{source.stem}{tag}").exists(), source
        assert {"".join(path.suffixes) for path in package.unzipped.rglob("__pycache__/*")} == {tag}

    def test_it_is_compared_with_the_code_that_can_be_edited_and_trusted_otherwise(self, package: Package) -> None:
        """Bytecode that goes by time (0) would never be used: every file in the package has another time."""
        kinds: dict[str, set[int]] = {}
        for path in package.unzipped.rglob("*.pyc"):
            top = path.relative_to(package.unzipped).parts[0]
            kinds.setdefault(top, set()).add(int.from_bytes(path.read_bytes()[4:8], "little"))
        compared, trusted = {0b11}, {0b01}  # https://peps.python.org/pep-0552/

        assert {top: kinds[top] for top in ("chalicelib", "chalice", "msgspec")} == dict.fromkeys(
            ("chalicelib", "chalice", "msgspec"), compared
        )
        assert {top: kinds[top] for top in ("botocore", "urllib3", "jmespath")} == dict.fromkeys(
            ("botocore", "urllib3", "jmespath"), trusted
        )


class TestMachine:
    def test_the_functions_run_on_what_the_stage_says(self, package: Package) -> None:
        assert STAGES["prod"].architecture == "arm64"
        for made in functions(package).values():
            assert made["Architectures"] == [STAGES["prod"].architecture]

    def test_every_library_is_for_that_machine(self, package: Package) -> None:
        libraries = [path for path in package.unzipped.rglob("*") if ".so" in path.suffixes]

        assert libraries
        for library in libraries:
            assert elf_machine(library.read_bytes()[:20]) == MACHINES["arm64"], library.name

    def test_nothing_else_differs_from_the_package_that_these_tests_run(
        self, package: Package, runnable: Package
    ) -> None:
        assert python_files(package.unzipped) == python_files(runnable.unzipped)


def released_gradually(package: Package) -> dict[str, Any]:
    """Return what CloudFormation gets of the template with `Canary`, deployed with a Python that AWS takes."""
    template = json.loads(package.template_path.read_text(encoding="utf-8"))
    for name in LOGICAL_IDS:
        template["Resources"][name]["Properties"] |= {"CodeUri": "s3://artefacts/zip", "Runtime": "python3.13"}
    region = SimpleNamespace(region_name="eu-central-1")
    chosen = {"Canary": "Canary10Percent5Minutes", "AllowOrigin": "*"}
    made: dict[str, Any] = Translator({}, Parser(), boto_session=region).translate(template, chosen)
    del made["Mappings"], made["Parameters"]["Canary"]  # SAM has used them up
    return made


def python_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


class TestTemplate:
    def test_storing_messages_cannot_take_all_of_the_accounts_runs(self, package: Package) -> None:
        [source] = functions(package)[logical_id("store_messages")]["Events"].values()

        assert source["Properties"]["ScalingConfig"] == {"MaximumConcurrency": STAGES["prod"].consumer_concurrency}

    def test_cfn_lint_finds_nothing_whether_or_not_codedeploy_releases_it(
        self, package: Package, tmp_path: Path
    ) -> None:
        """cfn-lint gives SAM no parameters, and CodeDeploy is in the template only if `Canary` says so."""
        released = tmp_path / "released.json"
        released.write_text(json.dumps(released_gradually(package)), encoding="utf-8")
        command = "import sys; from cfnlint.runner import main; sys.exit(main())"

        linted = subprocess.run(
            [sys.executable, "-c", command, str(package.template_path), str(released)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert "AWS::CodeDeploy::DeploymentGroup" in released.read_text(encoding="utf-8")
        assert (linted.returncode, linted.stdout) == (0, "")

    def test_there_are_no_functions_but_those_of_the_app(self, package: Package) -> None:
        assert set(functions(package)) == set(LOGICAL_IDS)

    @pytest.mark.parametrize(("logical_id", "function"), LOGICAL_IDS.items())
    def test_functions_have_the_names_that_chalice_deploy_gives_them(
        self, package: Package, logical_id: str, function: str
    ) -> None:
        named = functions(package)[logical_id]["FunctionName"]

        assert named == {"Fn::Sub": deployed_name(function, "${Stage}")}

    @pytest.mark.parametrize(("logical_id", "function"), LOGICAL_IDS.items())
    def test_functions_are_set_up_as_the_stage_says(self, package: Package, logical_id: str, function: str) -> None:
        config = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))
        stage = config["stages"]["prod"]
        wanted = stage["lambda_functions"][function]

        overrides = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
        merged = overrides["Resources"][logical_id]["Properties"].get("Environment", {"Variables": {}})["Variables"]

        made = functions(package)[logical_id]

        assert made["Environment"]["Variables"] == (
            config["environment_variables"] | stage["environment_variables"] | merged
        )
        assert (made["Timeout"], made["MemorySize"]) == (wanted["lambda_timeout"], wanted["lambda_memory_size"])
        assert made["Tracing"] == "Active"

    @pytest.mark.parametrize(("logical_id", "function"), LOGICAL_IDS.items())
    def test_each_function_may_do_what_its_policy_file_says(
        self, package: Package, logical_id: str, function: str
    ) -> None:
        role = functions(package)[logical_id]["Role"]["Fn::GetAtt"][0]
        file = PROJECT / ".chalice" / f"policy-{function}-prod.json"

        made = package.template["Resources"][role]["Properties"]

        assert [policy["PolicyDocument"] for policy in made["Policies"]] == [
            json.loads(file.read_text(encoding="utf-8"))
        ]
        assert not made.get("ManagedPolicyArns")

    def test_every_route_calls_the_alias_that_api_gateway_may_call_by_then(self, package: Package) -> None:
        """A route that the overrides lack would go on calling whatever was deployed last, whatever is released."""
        api, resources = package.template["Resources"]["RestAPI"], package.template["Resources"]
        called = [
            (path, operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"].rpartition("functions/")[2])
            for path, operations in api["Properties"]["DefinitionBody"]["paths"].items()
            for operation in operations.values()
            if "uri" in operation["x-amazon-apigateway-integration"]
        ]
        permissions = [resources[name]["Properties"] for name in api["DependsOn"]]

        assert len(called) == sum(len(methods) for methods in app.routes.values())
        for path, function in called:
            for_operators = path == "/ready" or path.startswith("/operator/")
            assert function == f"${{{'OperatorApi' if for_operators else 'APIHandler'}Aliaslive}}/invocations", path
        assert [permission["FunctionName"] for permission in permissions] == [
            {"Ref": "APIHandlerAliaslive"},
            {"Ref": "OperatorApiAliaslive"},
        ]
        assert "RestAPI" not in json.dumps(permissions), "the API waits for them, so they cannot wait for the API"

    def test_the_routes_that_are_merged_in_are_the_apps(self, package: Package) -> None:
        """Merging would add any other, and API Gateway would refuse it."""
        merged = live_alias.paths()
        made = package.template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]

        assert merged.keys() == made.keys()
        for path, methods in merged.items():
            assert methods.keys() == made[path].keys() - {"options"}

    def test_the_authorizer_is_the_user_pools_and_checks_the_audience(self, package: Package) -> None:
        swagger = package.template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
        [(name, definition)] = swagger["securityDefinitions"].items()

        authorizer = definition["x-amazon-apigateway-authorizer"]

        assert name == "dragonpost-users"
        assert authorizer["providerARNs"] == [POOL_ARN]
        assert authorizer["identityValidationExpression"] == {"Fn::Sub": "^${UserPoolClientId}$"}

    def test_the_alarms_of_the_api_watch_it_by_the_name_that_it_has(self, package: Package) -> None:
        """API Gateway's metrics have the API's name, which is the title of its document."""
        resources = package.template["Resources"]
        title = resources["RestAPI"]["Properties"]["DefinitionBody"]["info"]["title"]

        watched = [resources[name]["Properties"]["Dimensions"] for name in ("ApiErrorAlarm", "ApiLatencyAlarm")]

        assert "Name" not in resources["RestAPI"]["Properties"]
        assert [{each["Name"]: each["Value"] for each in dimensions} for dimensions in watched] == [
            {"ApiName": title, "Stage": {"Ref": "Stage"}}
        ] * 2

    def test_the_consumer_reads_the_stages_queue(self, package: Package) -> None:
        [event] = functions(package)["StoreMessages"]["Events"].values()

        assert event["Type"] == "SQS"
        assert "dragonpost-prod-messages" in json.dumps(event["Properties"]["Queue"])


def functions(package: Package) -> dict[str, dict[str, Any]]:
    """Return the properties of the template's functions by logical id."""
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in package.template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
