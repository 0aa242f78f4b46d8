"""Errors as botocore raises them."""

from botocore.exceptions import ClientError


def client_error(code: str, status: int = 400, operation: str = "Operation", **members: object) -> ClientError:
    """Return the error that an AWS answer raises. Its message is a text that must never reach a client."""
    answer = {
        "Error": {"Code": code, "Message": "arn:aws:iam::123456789012:role/secret-inside"},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **members,
    }
    return ClientError(answer, operation)  # type: ignore[arg-type]
