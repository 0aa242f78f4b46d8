"""Signing in to the embedded Cognito, as a client does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

from devstack.opener import opener
from devstack.settings import DevstackError


def id_token(aws_url: str, client_id: str, email: str, password: str, ca_bundle: Path | None = None) -> str:
    """Return an ID token. InitiateAuth needs no credentials, and without boto3 it takes half the time.

    `ca_bundle` is for a URL of TLS. Raises DevstackError if Cognito refuses, and OSError if the embedded AWS does not
    answer.
    """
    body = {
        "AuthFlow": "USER_PASSWORD_AUTH",
        "ClientId": client_id,
        "AuthParameters": {"USERNAME": email, "PASSWORD": password},
    }
    request = urllib.request.Request(  # noqa: S310 - the address comes from our own run.json
        aws_url,
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
        },
    )
    try:
        with opener(ca_bundle).open(request, timeout=10) as answer:
            return str(json.load(answer)["AuthenticationResult"]["IdToken"])
    except urllib.error.HTTPError as error:
        raise DevstackError(f"{email} cannot log in: {error.read().decode(errors='replace')}") from error
