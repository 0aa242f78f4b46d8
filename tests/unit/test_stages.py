"""The stages' file, which is the only place that has a stage's name, and the stages that are added to it."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from msgspec import structs

from operations import PROJECT, functions, new_stage, stages
from operations.generate import __main__ as generate
from operations.generate import chalice_config, policies
from operations.new_stage import NewStageError
from operations.stages import FILE, NATIVE, STAGES, Stage

NEW = "unheardof"  # no project has it yet
TEXT = (PROJECT / FILE).read_text(encoding="utf-8")

# Each member with a value that is not its default.
UNLIKE = Stage(
    allow_origin="https://drag\u00f6ns.example",
    architecture="x86_64",
    keeps_data=False,
    workflow_concurrency=3,
    consumer_concurrency=2,
    tracing=False,
    partition="aws-cn",
    environment={"AWS_CA_BUNDLE": "/opt/roots.pem", "QUOTED": 'a "b" \\ c'},
    parameters={"Canary": "Canary10Percent5Minutes", "SmsAllowedPrefixes": "+1,+44"},
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[a]\nallow_orgin = "*"', "stage a: .*unknown field `allow_orgin`"),
        ("[a]", "stage a: .*missing required field `allow_origin`"),
        ('[a]\nallow_origin = "example.com"', r"stage a: .*matching regex .* at `\$\.allow_origin`"),
        ('[a]\nallow_origin = "*"\nconsumer_concurrency = 1', r"stage a: .*>= 2 .*`\$\.consumer_concurrency`"),
        ('[a]\nallow_origin = "*"\npartition = "azure"', r"stage a: .*`\$\.partition`"),
        ('[a]\nallow_origin = "*"\n[a.parameters]\nThrottlingRateLimit = 5', r"stage a: .*`\$\.parameters"),
        ('[A]\nallow_origin = "*"', "stage A: a name is a letter"),
        ("[a", "line 1|end of document"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        stages.read(text)


def test_a_file_that_cannot_be_read_ends_every_command_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "PROJECT", tmp_path)

    with pytest.raises(SystemExit, match=r"^error: infrastructure/stages\.toml cannot be read: "):
        stages._stages()


class TestNames:
    @pytest.mark.parametrize("name", [NEW, "s", "s2", "exactly14chars"])
    def test_one_that_buckets_can_have_in_theirs_is_taken(self, name: str) -> None:
        new_stage.check_name(name)

    @pytest.mark.parametrize("name", ["Staging", "2s", "a-b", "a_b", "fifteen1letters", "é", "a\n", " a"])
    def test_any_other_is_refused(self, name: str) -> None:
        with pytest.raises(NewStageError, match="cannot be a stage's name"):
            new_stage.check_name(name)

    @pytest.mark.parametrize("name", STAGES)
    def test_one_that_is_there_is_refused(self, name: str) -> None:
        with pytest.raises(NewStageError, match=f"has a stage {name} already"):
            new_stage.check_name(name)

    @pytest.mark.parametrize("like", ["local", "nowhere"])
    def test_a_stage_is_like_one_of_an_account(self, like: str) -> None:
        """Stage local's functions would look for AWS on their own machine."""
        others = ", ".join(name for name in STAGES if name != stages.EMBEDDED)
        with pytest.raises(NewStageError, match=f"like {others}, and not like {like}"):
            new_stage.add(NEW, like)
        assert (PROJECT / FILE).read_text(encoding="utf-8") == TEXT

    def test_a_missing_one_is_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert new_stage.main(["--name", ""]) == 1
        assert capsys.readouterr().err == "error: give the new stage a name: `make stage NAME=staging`\n"


class TestWritten:
    @pytest.mark.parametrize("like", [UNLIKE, *(stage for stage in STAGES.values() if stage.architecture != NATIVE)])
    def test_a_stage_is_read_back_like_the_other_and_nothing_else_changes(self, like: Stage) -> None:
        read = stages.read(TEXT + new_stage.written(NEW, like))

        assert read == {**STAGES, NEW: like}

    def test_this_has_every_member_with_another_value_than_its_default(self) -> None:
        """Otherwise the test above would not notice a member that is not written."""
        assert all(getattr(UNLIKE, name) != new_stage._default(name) for name in Stage.__struct_fields__)

    def test_what_two_stages_cannot_share_is_not_copied(self) -> None:
        """API Gateway refuses a domain name that another stage has, Cognito a prefix."""
        unique = {"ApiDomainName": "a.example", "SignInDomainPrefix": "dragons"}
        like = structs.replace(STAGES["dev"], parameters={**unique, "LogRetentionDays": "30"})

        assert stages.read(new_stage.written(NEW, like))[NEW].parameters == {"LogRetentionDays": "30"}

    def test_a_table_of_which_nothing_is_left_is_not_written(self) -> None:
        like = structs.replace(STAGES["dev"], parameters={"ApiDomainName": "a.example"})

        assert "parameters" not in tomllib.loads(new_stage.written(NEW, like))[NEW]

    def test_a_stage_that_cannot_be_generated_is_not_in_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "infrastructure").mkdir()
        (tmp_path / FILE).write_text(TEXT, encoding="utf-8")
        monkeypatch.setattr(new_stage, "PROJECT", tmp_path)
        failed = subprocess.CompletedProcess([], 1)
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)

        assert new_stage.main(["--name", NEW]) == 1

        assert "stages.toml is as it was" in capsys.readouterr().err
        assert (tmp_path / FILE).read_text(encoding="utf-8") == TEXT


class TestTracing:
    @pytest.fixture
    def untraced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stages = {"quiet": structs.replace(STAGES["prod"], tracing=False)}
        monkeypatch.setattr(policies, "STAGES", stages)
        monkeypatch.setattr(chalice_config, "STAGES", stages)

    @pytest.mark.usefixtures("untraced")
    def test_a_stage_without_it_has_functions_that_send_no_traces_and_may_not(self) -> None:
        [config] = chalice_config.files().values()
        written = policies.files()

        assert json.loads(config)["stages"]["quiet"]["xray"] is False
        assert len(written) == len(functions.names())
        assert not [path for path, text in written.items() if "xray" in text]

    @pytest.mark.parametrize("function", functions.names())
    def test_a_stage_with_it_has_functions_that_may_send_them(self, function: str) -> None:
        assert "xray:PutTraceSegments" in policies.files()[Path(".chalice", policies.file_name(function, "prod"))]


def test_no_file_that_people_write_names_the_stages_of_accounts() -> None:
    """A stage that is added or renamed in the file is so everywhere: only what is generated repeats it."""
    written = generate.generated().keys()
    sources = [
        *(path for folder in ("operations", "devstack") for path in (PROJECT / folder).rglob("*.py")),
        *(path for path in (PROJECT / "infrastructure").rglob("*") if path.suffix in {".json", ".yaml"}),
    ]
    names = "|".join(stage for stage in STAGES if stage != stages.EMBEDDED)
    naming = re.compile(rf"""["']({names})["']|Ref:?\s*Stage, ?({names})""")
    assert naming.search("IsProd: !Equals [!Ref Stage, prod]"), "as people write it in a template"
    for path in sources:
        if path.relative_to(PROJECT) not in written:
            code = re.sub(r'"""[\s\S]*?"""|#.*|"npm_config_include": "dev"', "", path.read_text(encoding="utf-8"))
            assert not naming.findall(code), path
