"""Forget a company or a person: `.venv/bin/python -m operations.forget --stage prod --company <id>`.

Without `--yes` nothing is changed: it prints what would go, with counts, and what stays and for how long. With `--yes`
it deletes that. What is gone already is no error, so an interrupted run is finished by the next one.

A company's messages are rows, archived objects with all their versions, and what waits in the two queues. A person is a
user of the pool, who is deleted, and rows of the submissions. What the person reported are executions of the workflow,
too, which nobody can delete.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import boto3
import msgspec
from botocore.config import Config

from chalicelib.dragons.document import moved_to
from chalicelib.messages.dead_letters import DeadLetters, Queues
from operations import dragon_rows, stores, versions
from operations.contents import PLACE
from operations.exit_status import exit_status
from operations.reach import reach
from operations.stages import STAGES
from operations.stores import Clients, Standing
from operations.terminal import printable

ROWS_AT_ONCE = 25  # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
TOLD_EACH = 1_000
# DescribeExecution is throttled at some 15 a second, for the account.
PATIENT = Config(retries={"mode": "adaptive", "total_max_attempts": 10})


class ForgetError(Exception):
    """An error that the operator has to see; the message says what to do."""


@dataclass(frozen=True)
class Part:
    """What one store holds of whoever is forgotten: how many, of what, and how they are deleted.

    `delete` yields how many it has deleted so far; without it, they stay.
    """

    count: int
    what: str
    delete: Callable[[], Iterator[int]] | None = None


# --- A company ---------------------------------------------------------------------------------------------------


def _queued(stage: Standing, store: str, company: str) -> Part:
    """Count what waits in the message queue, of all companies. Only deleting looks into it, as that delays messages."""
    sqs, url = stage.clients("sqs"), stage.resources[store]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    count = sum(int(attributes[name]) for name in names)
    what = "messages of all companies in the message queue, of which the company's are deleted"
    return Part(count, what, lambda: _delete_letters(sqs, url, company))


def _dead(stage: Standing, store: str, company: str) -> Part:
    sqs, url = stage.clients("sqs"), stage.resources[store]
    letters = list(DeadLetters(Queues(url, url), lambda: sqs).each())
    ours = sum(letter.metadata("company_id").lower() == company for letter in letters)
    nobodys = sum(letter.metadata("company_id") == "-" for letter in letters)
    unread = f" ({nobodys} more do not say whose they are: look at them with `make dead-letters`)" if nobodys else ""
    return Part(ours, f"dead letters{unread}", lambda: _delete_letters(sqs, url, company))


def _delete_letters(sqs: Any, url: str, company: str) -> Iterator[int]:
    """Delete a company's messages from a queue. All others become visible again at the end."""
    letters, deleted = DeadLetters(Queues(url, url), lambda: sqs), 0
    for letter in letters.each():
        if letter.metadata("company_id").lower() == company:
            letters.delete(letter)
            deleted += 1
    yield deleted
    if not letters.read_whole:
        raise ForgetError(f"the end of {url} was not reached; run this again until it is")


def _rows(stage: Standing, store: str, company: str) -> Part:
    dynamodb, table = stage.clients("dynamodb"), stage.resources[store]
    # The index is by message id first, so all of it has to be read to find a company's rows.
    asked = {
        "TableName": table,
        "FilterExpression": "company_id = :company",
        "ExpressionAttributeValues": {":company": {"S": company}},
        "ConsistentRead": True,
    }
    return _found(dynamodb, "scan", asked, "message_id, company_id", "rows of the index")


def _found(dynamodb: Any, operation: str, asked: Mapping[str, Any], key: str, what: str) -> Part:
    """Count the rows that a Scan or a Query finds. `key`: the attributes of the table's key."""
    pages = dynamodb.get_paginator(operation).paginate(**asked, Select="COUNT")
    return Part(sum(page["Count"] for page in pages), what, lambda: _delete_rows(dynamodb, operation, asked, key))


def _delete_rows(dynamodb: Any, operation: str, asked: Mapping[str, Any], key: str) -> Iterator[int]:
    table, deleted = asked["TableName"], 0
    for page in dynamodb.get_paginator(operation).paginate(**asked, ProjectionExpression=key):
        keys = page["Items"]
        for start in range(0, len(keys), ROWS_AT_ONCE):
            wanted = [{"DeleteRequest": {"Key": key}} for key in keys[start : start + ROWS_AT_ONCE]]
            while wanted:  # DynamoDB leaves over what would be too much at once
                wanted = dynamodb.batch_write_item(RequestItems={table: wanted})["UnprocessedItems"].get(table, [])
        deleted += len(keys)
        if keys:
            yield deleted


def _archived(stage: Standing, store: str, company: str) -> Part:
    s3, bucket, prefix = stage.clients("s3"), stage.resources[store], f"{company}/"
    what = "versions of archived messages, delete markers among them"
    return Part(versions.count(s3, bucket, prefix), what, lambda: versions.delete(s3, bucket, prefix))


# In this order: a row must not point at nothing, and what waits in the queue must not be stored afterwards.
COMPANY: Mapping[str, Callable[[Standing, str, str], Part]] = {
    "MessageQueue": _queued,
    "MessageTable": _rows,
    "MessageBucket": _archived,
    "MessageDeadLetterQueue": _dead,
}


# --- A person ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """A person's `sub`, the user name in the pool (None: there is no such user), and the person's executions."""

    sub: str
    username: str | None
    executions: Sequence[Mapping[str, Any]]


def person(stage: Standing, given: str, say: Callable[[str], None]) -> Person:
    """Find a person by e-mail address or `sub`. Raises ForgetError if no user has that address.

    A `sub` need not be a user's any more: the user may have been deleted in an earlier run.
    """
    by = "email" if "@" in given else "sub"
    users = stage.clients("cognito-idp").list_users(
        UserPoolId=stage.resources["UserPool"], Filter=f'{by} = "{given}"', Limit=1
    )["Users"]
    if not users and by == "email":
        raise ForgetError(
            f"stage {stage.name} has no user {given}. If the user was deleted already, give the sub instead, which the "
            "run that deleted the user printed"
        )
    attributes = {each["Name"]: each["Value"] for each in users[0]["Attributes"]} if users else {}
    sub = attributes.get("sub", given)
    return Person(sub, users[0]["Username"] if users else None, list(_executions(stage, sub, say)))


def _executions(stage: Standing, sub: str, say: Callable[[str], None]) -> Iterator[Mapping[str, Any]]:
    """Yield the executions that a person's reports started, as DescribeExecution shows them."""
    steps, looked_at = stage.clients("stepfunctions"), 0
    for page in steps.get_paginator("list_executions").paginate(stateMachineArn=stage.resources["DragonWorkflow"]):
        for execution in page["executions"]:
            described = steps.describe_execution(executionArn=execution["executionArn"])
            looked_at += 1
            if looked_at % TOLD_EACH == 0:
                say(f"{looked_at} executions looked at")
            if _reporter(described["input"]) == sub:
                yield described


def _reporter(given: str) -> str | None:
    try:
        return str(msgspec.json.decode(given)["requested_by"])
    except (msgspec.DecodeError, TypeError, LookupError, RecursionError):  # somebody started it by hand
        return None


def _user(stage: Standing, store: str, who: Person) -> Part:
    pool, idp = stage.resources[store], stage.clients("cognito-idp")

    def delete() -> Iterator[int]:
        if who.username is not None:
            try:
                idp.admin_delete_user(UserPoolId=pool, Username=who.username)
            except idp.exceptions.UserNotFoundException:
                yield 0
                return
            yield 1

    return Part(int(who.username is not None), f"user (sub {who.sub})", delete)


def _submissions(stage: Standing, store: str, who: Person) -> Part:
    # The workflow updates a row only while there is one, so a running execution brings none back.
    asked = {
        "TableName": stage.resources[store],
        "KeyConditionExpression": "#sub = :sub",
        "ExpressionAttributeNames": {"#sub": "sub"},  # a reserved word
        "ExpressionAttributeValues": {":sub": {"S": who.sub}},
        "ConsistentRead": True,
    }
    return _found(stage.clients("dynamodb"), "query", asked, "#sub, started_at_id", "rows of submissions")


def _executions_left(_stage: Standing, _store: str, who: Person) -> Part:
    running = sum(each["status"] == "RUNNING" for each in who.executions)
    ends = [each["stopDate"] for each in who.executions if "stopDate" in each]
    until = ""
    if ends:
        last: datetime = max(ends) + timedelta(days=stores.EXECUTIONS_KEPT_DAYS)
        until = f", the last of them until {last:%Y-%m-%d}"
    still = f"; {running} still run" if running else ""
    return Part(len(who.executions), f"executions{until}{still}")


def _dragons(stage: Standing, _store: str, who: Person) -> Part:
    bucket, key = (stage.parameter(name) for name in PLACE)
    body = stage.clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    entries = [] if moved_to(body) else msgspec.json.decode(body)
    return Part(_reported(who, entries), "dragons that the person reported")


def _dragon_rows(stage: Standing, store: str, who: Person) -> Part:
    entries = dragon_rows.dragons(stage.clients("dynamodb"), stage.resources[store]).values()
    return Part(_reported(who, map(msgspec.json.decode, entries)), "dragons in the table that the person reported")


def _reported(who: Person, entries: Iterable[Mapping[str, Any]]) -> int:
    """Return how many entries of the registry the person reported."""
    ids = {each["name"] for each in who.executions}
    return sum(each.get("submission_id") in ids for each in entries)


# The user comes last, so that an interrupted run can still be repeated with the e-mail address.
PERSON: Mapping[str, Callable[[Standing, str, Person], Part]] = {
    "DragonWorkflow": _executions_left,
    "SubmissionTable": _submissions,
    "DragonBucket": _dragons,
    "DragonTable": _dragon_rows,
    "UserPool": _user,
}


def forget(parts: Sequence[Part], *, really: bool, left: Sequence[str]) -> None:
    """Print what goes, what stays and for how long; with `really`, delete it part by part and tell how far it is."""
    for part in parts:
        does = "stays" if part.delete is None else "deleting" if really else "would go"
        print(printable(f"{does}: {part.count} {part.what}"), flush=True)
        if part.delete is None or not really:
            continue
        told = deleted = 0
        for deleted in part.delete():
            if deleted - told >= TOLD_EACH:
                print(f"  {deleted} deleted", flush=True)
                told = deleted
        print(f"  {deleted} deleted", flush=True)
    for what in left:
        print(f"stays: {what}")


def _parts(options: argparse.Namespace, stage: Standing) -> tuple[list[Part], list[str]]:
    logs = f"log lines, for {stores.LOGS_KEPT}"
    if options.company:
        parts = [find(stage, store, options.company) for store, find in COMPANY.items()]
        flying = "what the consumer was storing meanwhile: run this again three minutes later, and it goes too"
        return parts, [*stores.leaves(stores.COMPANY), f"{logs}, with the ids of company and messages", flying]
    who = person(stage, options.person, lambda told: print(told, flush=True))
    parts = [find(stage, store, who) for store, find in PERSON.items()]
    signed_in = "a token of the person's, which lasts an hour at most, and what is reported with it"
    return parts, [
        *stores.leaves(stores.PERSON),
        f"{logs}, with the ids of submissions, but no name or number",
        signed_in,
    ]


def patient(service: str) -> Any:
    """Return a boto3 client that waits when it is throttled."""
    return boto3.client(service, config=PATIENT)  # type: ignore[call-overload]


def main(arguments: Sequence[str] | None = None, clients: Clients = patient) -> int:
    """Run the command line; returns the exit status."""
    options = _parse(arguments)

    def work() -> None:
        reach(options.stage)
        parts, left = _parts(options, Standing.found(options.stage, clients))
        forget(parts, really=options.yes, left=left)
        if not options.yes:
            print("nothing was deleted; DO=yes (--yes) deletes it")

    told = ForgetError, versions.VersionsRemain
    interrupted = "interrupted; run the same command again to finish"
    return exit_status(work, *told, may="delete in its stores", interrupted=interrupted)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=".venv/bin/python -m operations.forget", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, required=True)
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--company", type=_company, help="a company's id, a UUID")
    whom.add_argument("--person", type=_person, help="a user's e-mail address or sub")
    parser.add_argument("--yes", action="store_true", help="delete; without this, only say what would go")
    return parser.parse_args(arguments)


def _company(text: str) -> str:
    with contextlib.suppress(ValueError):
        if str(uuid.UUID(text)) == text.lower():
            return text.lower()
    raise argparse.ArgumentTypeError("a company's id is a UUID, such as e0721e56-fb09-4273-ae74-7bcbc92d43eb")


def _person(text: str) -> str:
    if not re.fullmatch(r"[^\s\"\\@]+(@[^\s\"\\@]+)?", text):
        raise argparse.ArgumentTypeError("a person is an e-mail address, or a sub, such as Cognito's console shows")
    return text


if __name__ == "__main__":
    sys.exit(main())
