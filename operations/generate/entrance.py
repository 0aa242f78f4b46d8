"""What stands before the API if somebody asks for it: a domain name of one's own, and a web ACL.

Neither has a setting in Chalice that works for one account and not for another, so both are parameters.
"""

from __future__ import annotations

from typing import Any

from operations.generate.app_parameters import HAS_BASE_PATH, HAS_DOMAIN, HAS_WEB_ACL

# SAM gives the API's stage a name in the template, and knows it by this one:
# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources-api.html
_STAGE = {"Ref": "RestAPI.Stage"}


def resources() -> dict[str, Any]:
    """Return the domain name, its mapping, and the web ACL's association, each with its condition."""
    api_stage = "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${RestAPI}/stages/${ApiStage}"
    return {
        "ApiDomain": {
            "Type": "AWS::ApiGateway::DomainName",
            "Condition": HAS_DOMAIN,
            "Properties": {
                "DomainName": {"Ref": "ApiDomainName"},
                "RegionalCertificateArn": {"Ref": "ApiDomainCertificateArn"},
                "EndpointConfiguration": {"Types": ["REGIONAL"]},
                "SecurityPolicy": "TLS_1_2",
            },
        },
        "ApiDomainMapping": {
            "Type": "AWS::ApiGateway::BasePathMapping",
            "Condition": HAS_DOMAIN,
            "Properties": {
                "DomainName": {"Ref": "ApiDomain"},
                "RestApiId": {"Ref": "RestAPI"},
                "Stage": _STAGE,
                "BasePath": {"Fn::If": [HAS_BASE_PATH, {"Ref": "ApiDomainBasePath"}, {"Ref": "AWS::NoValue"}]},
            },
        },
        "ApiWebAcl": {
            "Type": "AWS::WAFv2::WebACLAssociation",
            "Condition": HAS_WEB_ACL,
            "Properties": {
                "ResourceArn": {"Fn::Sub": [api_stage, {"ApiStage": _STAGE}]},
                "WebACLArn": {"Ref": "WebAclArn"},
            },
        },
    }


def outputs() -> dict[str, Any]:
    """Return what the domain's DNS record points to: a name, and the hosted zone that Route 53 asks for."""
    return {
        "ApiDomainTarget": {
            "Condition": HAS_DOMAIN,
            "Value": {"Fn::GetAtt": ["ApiDomain", "RegionalDomainName"]},
        },
        "ApiDomainHostedZoneId": {
            "Condition": HAS_DOMAIN,
            "Value": {"Fn::GetAtt": ["ApiDomain", "RegionalHostedZoneId"]},
        },
    }
