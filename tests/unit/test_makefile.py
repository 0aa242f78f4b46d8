"""The Makefile, in a folder where programs that only talk stand in for those that install."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from operations import PROJECT

pytestmark = pytest.mark.slow

MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
CHATTER = "Collecting dragons\n"
ANSWER = "the-answer\n"

# Answers what has an answer, and only talks when it is to install something.
STAND_IN = """#!/bin/sh
case "$*" in
  *"devstack token"* | *"devstack aws-env"* | *"operations.deploy "* | *"operations.dead_letters"*) echo the-answer ;;
  *"operations.trace"* | *"operations.status"*) echo "$*" ;;
  *"operations.logs"* | *"operations.destroy"* | *"operations.forget"* | *"operations.restore"*) echo "$*" ;;
  *"operations.new_stage"* | *"operations.docs_site"*) echo "$*" ;;
  *) echo Collecting dragons; echo and more on stderr >&2 ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which nothing is installed, as after a pull that changed every pin."""
    clone = tmp_path / "a clone"
    for program in (
        ".venv/bin/python",
        ".local/checkov/bin/python",
        ".local/docs/bin/python",
        "programs/npm",
        "programs/python3",
    ):
        (clone / program).parent.mkdir(parents=True, exist_ok=True)
        (clone / program).write_text(STAND_IN, encoding="utf-8")
        (clone / program).chmod(0o755)
    (clone / "node_modules").mkdir()
    for source in [PROJECT / "Makefile", *PROJECT.glob("requirements*.txt"), *PROJECT.glob("package*.json")]:
        shutil.copy(source, clone)
    return clone


def make(clone: Path, *arguments: str, **exported: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env={**environment, "PATH": f"{clone / 'programs'}:{environment['PATH']}", **exported},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize("target", ["token", "aws-env", "deploy", "dead-letters"])
def test_a_target_prints_its_answer_alone_even_where_it_installs_first(clone: Path, target: str) -> None:
    made = make(clone, "-s", target)

    assert made.stdout == ANSWER
    assert CHATTER in made.stderr, "nothing was installed, so this test tests nothing"


@pytest.mark.parametrize(
    "target", [".venv/.mutants", "node_modules/.installed", ".local/checkov/.made", ".local/docs/.made"]
)
def test_whatever_installs_prints_nothing_on_stdout(clone: Path, target: str) -> None:
    made = make(clone, "-s", target)

    assert made.stdout == ""
    assert CHATTER in made.stderr


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([], "--stage local"),
        (["STAGE=prod", "FUNCTION=add_dragon", "ID=a-1", "HOURS=24"],
         "--stage prod --function add_dragon --id a-1 --hours 24"),
    ],
    ids=["nothing", "everything"],
)  # fmt: skip
def test_logs_are_those_of_make_run_unless_you_name_a_stage(clone: Path, given: list[str], asked: str) -> None:
    made = make(clone, "-s", "logs", *given)

    assert made.stdout.rstrip().endswith(f"-m operations.logs {asked}")


@pytest.mark.parametrize(
    ("target", "given", "asked"),
    [
        ("status", [], "status --stage local"),
        ("status", ["STAGE=prod"], "status --stage prod"),
        ("trace", ["ID=Ash of Eger"], "trace --stage local --id=Ash of Eger"),
        ("trace", ["ID=a-1", "STAGE=dev", "HOURS=48"], "trace --stage dev --id=a-1 --hours 48"),
    ],
)
def test_what_only_looks_looks_at_make_run_unless_you_name_a_stage(
    clone: Path, target: str, given: list[str], asked: str
) -> None:
    made = make(clone, "-s", target, *given, STAGE="prod", ID="exported")

    assert made.stdout.rstrip().endswith(f"-m operations.{asked}")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (["NAME=staging"], "--name staging"),
        (["NAME=staging", "FROM=prod"], "--name staging --from prod"),
        ([], "--name "),
    ],
    ids=["like the default", "like another", "nothing"],
)
def test_a_new_stage_has_the_name_that_is_given_on_the_command_line(clone: Path, given: list[str], asked: str) -> None:
    """A shell may have exported NAME, for something else."""
    made = make(clone, "-s", "stage", *given, NAME="ada", FROM="nowhere")

    assert made.stdout.rstrip("\n").endswith(f"-m operations.new_stage {asked}")


@pytest.mark.parametrize(("given", "port"), [([], "8001"), (["PORT=9000"], "9000")], ids=["nothing", "a port"])
def test_the_site_is_served_where_the_command_line_says(clone: Path, given: list[str], port: str) -> None:
    """A shell may have exported PORT, for something else."""
    made = make(clone, "-s", "docs", *given, PORT="80")

    assert made.stdout.rstrip().endswith(f"-m operations.docs_site --port {port}")


def test_each_parameter_that_is_set_reaches_the_deployment_as_it_was_written(clone: Path) -> None:
    """An address may have characters that mean something to a shell."""
    url, many = "https://dragons.example/?a=1&b=$x", "+1,+44"

    made = make(clone, "-n", "deploy", f"SET=SignInCallbackUrls={url.replace('$', '$$')} SmsAllowedPrefixes={many}")

    [command] = re.findall(r"operations\.deploy .*", made.stdout)
    given = shlex.split(command)
    assert given[-4:] == ["--set", f"SignInCallbackUrls={url}", "--set", f"SmsAllowedPrefixes={many}"]


@pytest.mark.parametrize("exported", [{}, {"STAGE": "prod"}], ids=["nothing", "exported"])
@pytest.mark.parametrize("target", ["destroy", "forget", "restore", "verify"])
def test_what_cannot_be_taken_back_is_not_done_to_a_stage_that_nobody_named(
    clone: Path, target: str, exported: dict[str, str]
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make(clone, "-s", target, **exported)

    assert failed.value.stdout == ""
    assert "name the stage, such as STAGE=dev" in failed.value.stderr


@pytest.mark.parametrize(
    ("target", "given", "asked"),
    [
        ("destroy", [], "destroy --stage dev"),
        ("forget", ["COMPANY=e-1"], "forget --stage dev --company e-1"),
        ("forget", ["PERSON=a b@c", "DO=yes"], "forget --stage dev --person a b@c --yes"),
        ("restore", ["WHAT=table", "TO=2026-11-26T04:00:00Z", "DO=list"],
         "restore --stage dev --what table --to 2026-11-26T04:00:00Z"),
        ("restore", ["WHAT=dragons", "TO=now", "DO=yes"], "restore --stage dev --what dragons --to now --yes"),
    ],
)  # fmt: skip
def test_commands_that_change_data_do_it_only_if_told_so(
    clone: Path, target: str, given: list[str], asked: str
) -> None:
    made = make(clone, "-s", target, "STAGE=dev", *given, DO="yes")

    assert made.stdout.rstrip().endswith(f"-m operations.{asked}")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([], ["operations.deploy --stage dev --with cloudformation", "operations.smoke --stage dev"]),
        (["STAGE=prod", "SMOKE=no"], ["operations.deploy --stage prod --with cloudformation"]),
    ],
    ids=["ends with a look", "unless you say no"],
)
def test_a_deployment_is_of_the_stage_that_is_named_and_ends_with_a_look_at_it(
    clone: Path, given: list[str], asked: list[str]
) -> None:
    made = make(clone, "-n", "deploy", *given, STAGE="local")

    assert re.findall(r"-m (operations\.(?:deploy|smoke) --stage \w+(?: --with \w+)?)", made.stdout) == asked


def test_what_you_have_exported_chooses_no_company_and_skips_no_look(clone: Path) -> None:
    exported = {"COMPANY": "e-1", "PERSON": "ada", "WHAT": "table", "TO": "now", "SMOKE": "no", "WITH": "chalice"}

    forgotten = make(clone, "-s", "forget", "STAGE=dev", "DO=yes", **exported).stdout
    restored = make(clone, "-s", "restore", "STAGE=dev", "DO=yes", **exported).stdout
    deployed = make(clone, "-n", "deploy", **exported).stdout

    assert forgotten.rstrip().endswith("operations.forget --stage dev --yes")
    assert restored.rstrip().endswith("operations.restore --stage dev --what  --to  --yes")
    assert "--with cloudformation" in deployed
    assert "operations.smoke" in deployed


def test_every_program_of_python_gets_our_environment_and_is_a_module() -> None:
    """Scripts in .venv/bin may not start where the path has a space in it; uv and zizmor are programs, not scripts."""
    recipes = [line for line in MAKEFILE.splitlines() if line.startswith("\t")]
    bare = [line for line in recipes if re.search(r"(?<!\$\(TOOLS\) )\$\(PYTHON\)|\.venv/bin/(?!(uv|zizmor)\b)", line)]

    assert bare == []


def test_every_program_of_node_gets_our_environment() -> None:
    recipes = [line for line in MAKEFILE.splitlines() if line.startswith("\t")]
    bare = [line for line in recipes if re.search(r"(?<!\$\(HERE\) )node_modules/\.bin/|(?<!tools )\bnpm ci", line)]

    assert bare == []


def test_help_prints_commands_as_they_are_typed(clone: Path) -> None:
    assert 'eval "$(make -s aws-env)"' in make(clone, "-s", "help").stdout
