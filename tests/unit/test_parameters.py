"""The templates' parameters: which can be chosen, what is refused before anything is deployed, and their defaults."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec import structs

from operations import PROJECT, parameters, resources
from operations.deploy.commands import DeployError
from operations.stages import STAGES

OVERRIDES = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
TEMPLATES: dict[str, dict[str, Any]] = {"resources": resources.template(), "app": OVERRIDES}
KNOWN = parameters.of_the_resources() | parameters.of_the_app()
PAGE = (PROJECT / "docs" / "configuring.md").read_text(encoding="utf-8")

CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/1a2b3c4d-0000-1111-2222-333344445555"
WEB_ACL = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/dragons/1a2b3c4d-0000-1111-2222-333344445555"

TAKEN = {
    "AlarmEmail": "ops@dragons.example",
    "ApiDomainBasePath": "v1",
    "ApiDomainCertificateArn": CERTIFICATE,
    "ApiDomainName": "api.dragons.example",
    "ArchiveRetentionDays": "365",
    "Canary": "Linear10PercentEvery1Minute",
    "LogRetentionDays": "30",
    "SignInCallbackUrls": "https://dragons.example/a.html,https://dragons.example/b.html?x=1&y=2",
    "SmsAllowedPrefixes": "+1,+44",
    "ThrottlingRateLimit": "5",
    "WebAclArn": WEB_ACL,
}
REFUSED = {
    "AlarmEmail": ("ops", "ops @dragons.example"),
    "ApiConcurrency": ("-1", "1.5", "many", "", "\uff11"),
    "ApiDomainBasePath": ("/v1", "a/b", ""),
    "ApiDomainCertificateArn": ("1a2b3c4d", CERTIFICATE.replace("acm", "iam")),
    "ApiDomainName": ("https://api.dragons.example", "api", "API.dragons.example", "-a.example"),
    "ApiSnapStart": ("yes",),
    "ArchiveRetentionDays": ("36501",),
    "Canary": ("on", "AllAtOnce"),
    "LogRetentionDays": ("2", "0"),
    "ThrottlingBurstLimit": ("0",),
    "WebAclArn": ("dragons", WEB_ACL.replace("regional", "global")),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_value_that_its_template_takes_is_set(name: str) -> None:
    assert parameters.chosen("dev", [f"{name}={TAKEN[name]}"]) == {name: TAKEN[name]}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_a_value_that_cloudformation_or_aws_would_refuse_is_refused_at_once(name: str, value: str) -> None:
    with pytest.raises(DeployError, match=f"^SET: {name}"):
        parameters.chosen("dev", [f"{name}={value}"])


@pytest.mark.parametrize("name", sorted(parameters.OF_THE_STAGE))
def test_what_the_stages_own_entry_says_cannot_be_chosen_beside_it(name: str) -> None:
    with pytest.raises(DeployError, match=f"deploying sets {name} by itself"):
        parameters.chosen("dev", [f"{name}=true"])


@pytest.mark.parametrize("text", ["AlarmEmail", "=x", ""])
def test_what_is_no_assignment_is_named(text: str) -> None:
    with pytest.raises(DeployError, match="is not NAME=VALUE"):
        parameters.chosen("dev", [text])


@pytest.mark.parametrize("name", ["AlarmMail", "MessageTableName"])
def test_a_parameter_that_nobody_can_choose_is_told_which_there_are(name: str) -> None:
    with pytest.raises(DeployError, match=f"no parameter {name}; there are AlarmEmail, ApiAccessLogs,"):
        parameters.chosen("dev", [f"{name}=x"])


def test_chalice_deploy_is_not_told_what_only_cloudformation_can_set() -> None:
    parameters.check_chalice_can(["AlarmEmail=ops@dragons.example", "LogRetentionDays=30"])

    with pytest.raises(DeployError, match="cannot set Canary, WebAclArn: only"):
        parameters.check_chalice_can(["WebAclArn=none", "AlarmEmail=none", "Canary=off"])


def test_a_choice_in_the_stages_file_that_is_wrong_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = structs.replace(STAGES["dev"], parameters={"Canary": "on"})
    monkeypatch.setattr(parameters, "STAGES", {"dev": wrong})

    with pytest.raises(DeployError, match=r"^infrastructure/stages\.toml, stage dev: Canary is one of off, Canary10"):
        parameters.chosen("dev", [])


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_stages_file_chooses_can_be_deployed(stage: str) -> None:
    assert parameters.chosen(stage, []) == {}


@pytest.mark.parametrize("name", KNOWN)
def test_each_says_what_it_is_and_is_in_the_table_of_the_page_with_its_default(name: str) -> None:
    assert KNOWN[name]["Description"]
    rows = re.findall(rf"^\| `{name}` \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
    assert rows == [f"`{KNOWN[name]['Default']}`"]


@pytest.mark.parametrize("name", KNOWN)
def test_its_default_is_a_value_that_it_takes(name: str) -> None:
    parameters.chosen("dev", [f"{name}={KNOWN[name]['Default']}"])


def test_a_parameter_of_both_templates_takes_the_same_in_both() -> None:
    """One choice sets both."""
    shared = TEMPLATES["resources"]["Parameters"].keys() & TEMPLATES["app"]["Parameters"].keys()
    assert shared == {"Stage", "Tracing", "LogRetentionDays"}
    for name in shared:
        one, other = (
            {key: value for key, value in template["Parameters"][name].items() if "Description" not in key}
            for template in TEMPLATES.values()
        )
        one.pop("ConstraintDescription", None)
        assert one == other


def test_the_entrance_and_every_remedy_are_off_unless_somebody_asks() -> None:
    conditional = {
        name: OVERRIDES["Conditions"][resource["Condition"]]
        for name, resource in OVERRIDES["Resources"].items()
        if name in {"ApiDomain", "ApiDomainMapping", "ApiWebAcl"}
    }
    domain = {"Fn::Not": [{"Fn::Equals": [{"Ref": "ApiDomainName"}, "none"]}]}
    assert conditional == {
        "ApiDomain": domain,
        "ApiDomainMapping": domain,
        "ApiWebAcl": {"Fn::Not": [{"Fn::Equals": [{"Ref": "WebAclArn"}, "none"]}]},
    }
    off = {name: str(OVERRIDES["Parameters"][name]["Default"]) for name in OVERRIDES["Parameters"] if name in KNOWN}
    assert {name for name, value in off.items() if value not in {"none", "off", "0"}} == {
        *("LogRetentionDays", "ThrottlingRateLimit", "ThrottlingBurstLimit")
    }
