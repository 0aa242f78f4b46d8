"""The parameters of the app's template, its conditions, and what has to be true of several parameters together.

`make deploy SET="NAME=VALUE …"` sets them (operations/parameters.py); what the resources stack made comes from there.
"""

from __future__ import annotations

from typing import Any

from chalicelib.settings import Setting, Settings
from operations import resources
from operations.generate import live_alias
from operations.generate.variables import Made

NONE = "none"

WORKFLOW_BOUNDED = "WorkflowBounded"
API_BOUNDED = "ApiBounded"
API_PROVISIONED = "ApiProvisioned"
API_SNAPPED = "ApiSnapStarted"
ACCESS_LOGGED = "ApiAccessLogged"
TRACED = "Traced"
HAS_DOMAIN = "ApiHasDomain"
HAS_BASE_PATH = "ApiHasBasePath"
HAS_WEB_ACL = "ApiHasWebAcl"


def parameters(made: list[Made]) -> dict[str, Any]:
    """Return the template's parameters; `made` is what the resources stack makes, whose outputs have the same names."""
    return {**_of_the_stage(), **_limits(), **_entrance(), **_remedies(), **_outputs(made)}


def conditions() -> dict[str, Any]:
    """Return the conditions by their names."""
    return {
        WORKFLOW_BOUNDED: _is_not("WorkflowConcurrency", 0),
        API_BOUNDED: _is_not("ApiConcurrency", 0),
        API_PROVISIONED: _is_not("ApiProvisionedConcurrency", 0),
        API_SNAPPED: _is("ApiSnapStart", "on"),
        ACCESS_LOGGED: _is("ApiAccessLogs", "on"),
        TRACED: _is("Tracing", "on"),
        HAS_DOMAIN: _is_not("ApiDomainName", NONE),
        HAS_BASE_PATH: _is_not("ApiDomainBasePath", NONE),
        HAS_WEB_ACL: _is_not("WebAclArn", NONE),
    }


def rules() -> dict[str, Any]:
    """Return what CloudFormation refuses before it changes anything.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
    """
    return {
        "DomainHasCertificate": {
            "RuleCondition": _is_not("ApiDomainName", NONE),
            "Assertions": [
                {
                    "Assert": _is_not("ApiDomainCertificateArn", NONE),
                    "AssertDescription": "ApiDomainName needs ApiDomainCertificateArn, a certificate for that name.",
                }
            ],
        },
        "OneRemedyOfColdStarts": {
            "RuleCondition": _is("ApiSnapStart", "on"),
            "Assertions": [
                {
                    "Assert": _is("ApiProvisionedConcurrency", "0"),
                    "AssertDescription": "Lambda takes ApiSnapStart or ApiProvisionedConcurrency, and not both.",
                }
            ],
        },
    }


def _of_the_stage() -> dict[str, Any]:
    shared = resources.template()["Parameters"]
    return {
        "Stage": {
            "Type": "String",
            "AllowedPattern": _pattern_of(Settings.stage),
            "Description": "The Chalice stage this template was packaged for.",
        },
        "AllowOrigin": {
            "Type": "String",
            "AllowedPattern": _pattern_of(Settings.allow_origin),
            "Description": (
                "The stage's allow_origin in infrastructure/stages.toml, for the answers that the gateway makes by "
                "itself."
            ),
        },
        "Commit": {
            "Type": "String",
            "AllowedPattern": _pattern_of(Settings.commit),
            "Description": "The commit that the package was made of, which GET /health tells.",
        },
        "Tracing": {
            **shared["Tracing"],
            "Description": (
                "Whether the API sends traces to X-Ray. Deploying sets it to the stage's tracing in "
                "infrastructure/stages.toml, which the functions follow as well."
            ),
        },
        "LogRetentionDays": {
            **shared["LogRetentionDays"],
            "Description": "After how many days CloudWatch deletes what the functions and API Gateway logged.",
        },
        "ApiAccessLogs": {
            "Type": "String",
            "Default": "off",
            "AllowedValues": ["off", "on"],
            "Description": (
                "Whether API Gateway logs every request, without who sent it. The account needs a role for that."
            ),
        },
    }


def _limits() -> dict[str, Any]:
    return {
        "ThrottlingRateLimit": {
            "Type": "Number",
            "Default": 1000,
            "MinValue": 1,
            "Description": "How many requests per second the whole stage accepts; it answers others with 429.",
        },
        "ThrottlingBurstLimit": {
            "Type": "Number",
            "Default": 500,
            "MinValue": 1,
            "Description": "How many requests may come in a burst (the size of API Gateway's token bucket).",
        },
        "WorkflowConcurrency": {
            "Type": "Number",
            "Default": 0,
            "MinValue": 0,
            "Description": (
                "How many runs of each of the workflow's functions there may be at once, or 0 for no bound. They are "
                "reserved from the account's, of which Lambda keeps 100 for other functions."
            ),
        },
        "ApiConcurrency": {
            "Type": "Number",
            "Default": 0,
            "MinValue": 0,
            "Description": (
                "How many requests the API's function may work on at once, or 0 for no bound. These runs are reserved: "
                "no other function of the account can take them."
            ),
        },
    }


def _entrance() -> dict[str, Any]:
    return {
        "ApiDomainName": {
            "Type": "String",
            "Default": NONE,
            "AllowedPattern": r"^(none|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63})$",
            "Description": "A domain name of your own for the API, or none.",
        },
        "ApiDomainCertificateArn": {
            "Type": "String",
            "Default": NONE,
            "AllowedPattern": r"^(none|arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+)$",
            "Description": "The ACM certificate for that name, in the stage's region, or none.",
        },
        "ApiDomainBasePath": {
            "Type": "String",
            "Default": NONE,
            "AllowedPattern": "^[A-Za-z0-9_-]{1,128}$",
            "Description": "The path below which that name has the API, without slashes, or none for the name itself.",
        },
        "WebAclArn": {
            "Type": "String",
            "Default": NONE,
            "AllowedPattern": (
                r"^(none|arn:[a-z-]+:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/[A-Za-z0-9_-]{1,128}/[0-9a-f-]+)$"
            ),
            "Description": "A web ACL of AWS WAF that looks at every request first, or none.",
        },
    }


def _remedies() -> dict[str, Any]:
    """Return how versions are released, and what keeps them from starting slowly."""
    return {
        live_alias.CANARY: live_alias.PARAMETER,
        "ApiProvisionedConcurrency": {
            "Type": "Number",
            "Default": 0,
            "MinValue": 0,
            "Description": "How many environments of the API's function are kept started, for a price by the hour.",
        },
        "ApiSnapStart": {
            "Type": "String",
            "Default": "off",
            "AllowedValues": ["off", "on"],
            "Description": "Whether the API's function starts from a snapshot (Python 3.12 or later).",
        },
    }


def _outputs(made: list[Made]) -> dict[str, Any]:
    return {
        each.output: {
            "Type": "String",
            "AllowedPattern": _pattern_of(each.setting),
            "Description": f"This output of the resources stack: the functions' setting {each.setting.name}.",
        }
        for each in made
    }


def _pattern_of(setting: Setting) -> str:
    """Return a setting's form as CloudFormation takes it for a parameter."""
    return f"^({setting.form.pattern})$"


def _is(parameter: str, value: Any) -> dict[str, Any]:
    return {"Fn::Equals": [{"Ref": parameter}, value]}


def _is_not(parameter: str, value: Any) -> dict[str, Any]:
    return {"Fn::Not": [_is(parameter, value)]}
