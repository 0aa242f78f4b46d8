"""People who visit a deployed stage for a while: what `make smoke` and `make verify` make, and remove.

They have addresses and companies that nobody else has, so that what is theirs can be told from everybody else's.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws import DependencyError
from chalicelib.dragons.submissions import Submission, submission_of_row
from operations import forget, versions
from operations.deploy.commands import interrupts_wait
from operations.forget import COMPANY, PERSON, ROWS_AT_ONCE, Person
from operations.stores import EXECUTIONS_KEPT_DAYS, LOGS_KEPT, Standing

Say = Callable[[str], None]

# What visitors leave behind, in words for the operator.
LEFT = (
    f"the executions of the dragons' workflow, which cannot be deleted, for {EXECUTIONS_KEPT_DAYS} days",
    f"log lines, for {LOGS_KEPT}, and metrics, which letters that were dead for a while are part of",
    "notifications of dragons that were added or refused: whoever subscribes to the topic has got them",
)


class VisitorsRemain(Exception):
    """Something of visitors could not be removed; the message says why, and which commands remove it."""


@dataclass(frozen=True)
class Visitor:
    """Somebody who may sign in: for a company, or as an operator."""

    name: str
    email: str
    password: str
    sub: str
    company_id: str = ""


@contextlib.contextmanager
def visiting(stage: Standing, say: Say, *, dead_letters: bool = True) -> Iterator[list[Visitor]]:
    """Have an operator and a user of each of two companies in the block: `operator`, `amber` and `cobalt`.

    They are removed at its end, however it ends: SIGTERM and SIGHUP end it as Ctrl-C does, and none of them ends the
    removal. Without `dead_letters`, visitors cannot have any, and nobody looks. Raises ClientError if the credentials
    may not create users, and VisitorsRemain.
    """
    run, visitors = secrets.token_hex(4), list[Visitor]()
    companies = {"operator": "", "amber": str(uuid.uuid4()), "cobalt": str(uuid.uuid4())}
    with _ended_as_by_ctrl_c():
        try:
            for name, company_id in companies.items():
                with interrupts_wait(lambda: None):  # or nobody knew who was made
                    visitors.append(_made(stage, name, f"{name}-{run}@visitors.example", company_id))
                _let_in(stage, visitors[-1])
            yield visitors
        finally:
            with interrupts_wait(lambda: say("interrupted; visitors and what was theirs are removed first")):
                remove(stage, visitors, say, dead_letters=dead_letters)


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) != signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _made(stage: Standing, name: str, email: str, company_id: str) -> Visitor:
    attributes = {"email": email, "email_verified": "true"} | ({"custom:company_id": company_id} if company_id else {})
    made = stage.clients("cognito-idp").admin_create_user(
        UserPoolId=stage.resources["UserPool"],
        Username=email,
        UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        MessageAction="SUPPRESS",
    )["User"]
    sub = next(each["Value"] for each in made["Attributes"] if each["Name"] == "sub")
    return Visitor(name, email, f"Dp-{secrets.token_urlsafe(18)}-7", sub, company_id)


def _let_in(stage: Standing, visitor: Visitor) -> None:
    idp, who = stage.clients("cognito-idp"), {"UserPoolId": stage.resources["UserPool"], "Username": visitor.email}
    idp.admin_set_user_password(**who, Password=visitor.password, Permanent=True)
    if not visitor.company_id:
        idp.admin_add_user_to_group(**who, GroupName="operators")


def id_token(stage: Standing, visitor: Visitor) -> str:
    """Sign a visitor in, and return the ID token."""
    answer = stage.clients("cognito-idp").initiate_auth(
        ClientId=stage.resources["UserPoolClient"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": visitor.email, "PASSWORD": visitor.password},
    )
    return str(answer["AuthenticationResult"]["IdToken"])


def submissions(stage: Standing, visitors: Sequence[Visitor]) -> list[Submission]:
    """Return everything that visitors have reported."""
    table = {"TableName": stage.resources["SubmissionTable"], "ConsistentRead": True}
    pages = (
        stage.clients("dynamodb")
        .get_paginator("query")
        .paginate(
            **table,
            KeyConditionExpression="#sub = :sub",
            ExpressionAttributeNames={"#sub": "sub"},
            ExpressionAttributeValues={":sub": {"S": visitor.sub}},
        )
        for visitor in visitors
    )
    return [submission_of_row(item) for found in pages for page in found for item in page["Items"]]


def remove(stage: Standing, visitors: Sequence[Visitor], say: Say, *, dead_letters: bool = True) -> None:
    """Remove visitors with their messages, dead letters and rows; dragons that they added are not theirs any more.

    What is gone already is no error. Raises VisitorsRemain once everything that can be removed is.
    """
    remain: dict[str, Exception] = {}  # why, by what removes it
    for visitor in visitors:
        for whose, removal in _removals(stage, visitor, dead_letters=dead_letters):
            try:
                removal()
            except (ClientError, BotoCoreError, DependencyError, versions.VersionsRemain, forget.ForgetError) as error:
                remain.setdefault(f"make forget STAGE={stage.name} {whose} DO=yes", error)
    if remain:
        why, *_ = remain.values()
        raise VisitorsRemain(
            "\n  ".join([f"not all that visitors made could be removed: {why}. These do it:", *remain])
        )
    say(f"{len(visitors)} visitors and what was theirs are removed")


def _removals(stage: Standing, visitor: Visitor, *, dead_letters: bool) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what removes everything of a visitor's company and of the visitor, with whose it is for `make forget`."""
    company, person = visitor.company_id, Person(visitor.sub, visitor.email, ())
    if company:
        yield f"COMPANY={company}", lambda: _remove_messages(stage, company)
    if company and dead_letters:
        letters = "MessageDeadLetterQueue"
        yield f"COMPANY={company}", lambda: _delete(COMPANY[letters](stage, letters, company))
    for store in ("SubmissionTable", "UserPool"):
        yield f"PERSON={visitor.sub}", functools.partial(_remove_person, stage, store, person)


def _remove_person(stage: Standing, store: str, person: Person) -> None:
    _delete(PERSON[store](stage, store, person))


def _delete(part: forget.Part) -> None:
    for _ in part.delete() if part.delete and part.count else ():
        pass


def _remove_messages(stage: Standing, company_id: str) -> None:
    """Remove a company's rows and objects. The archive has them by company; the index would have to be read whole."""
    s3, dynamodb = stage.clients("s3"), stage.clients("dynamodb")
    bucket, table, prefix = stage.resources["MessageBucket"], stage.resources["MessageTable"], f"{company_id}/"
    keys = {item["Key"] for page in versions.pages(s3, bucket, prefix) for item in page}
    ids = sorted(key.removeprefix(prefix).removesuffix(".json") for key in keys)
    for start in range(0, len(ids), ROWS_AT_ONCE):
        _delete_rows(dynamodb, table, company_id, ids[start : start + ROWS_AT_ONCE])
    for _ in versions.delete(s3, bucket, prefix):
        pass


def _delete_rows(dynamodb: Any, table: str, company_id: str, ids: Sequence[str]) -> None:
    wanted: list[Mapping[str, Any]] = [
        {"DeleteRequest": {"Key": {"message_id": {"S": message_id}, "company_id": {"S": company_id}}}}
        for message_id in ids
    ]
    while wanted:  # DynamoDB leaves over what would be too much at once
        wanted = dynamodb.batch_write_item(RequestItems={table: wanted})["UnprocessedItems"].get(table, [])
