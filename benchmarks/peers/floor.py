"""What this service's rules cost in a plain handler: no framework, log, settings, or limits of time.

It runs inside our package (benchmarks/floors.py). `exact` keeps the rules: a message is parsed exactly, checked, and
given its canonical form and digest; the document is decoded strictly, its names are compared normalised and put in
order, and a page has its ETag. `decoded` only decodes the document strictly, and shows what the raw handler shows.
"""

import json
import os

import msgspec
from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.dragons.document import Document, Entry
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import DragonQuery
from chalicelib.exact_json import MalformedJson, parse_object
from chalicelib.faults import InvalidInput
from chalicelib.messages.model import message_from

_held = {"etag": "", "document": None}


def exact(event, context):
    """Answer a POST of a message, or the list of dragons, by this service's rules."""
    return _post(event) if event["httpMethod"] == "POST" else _list(event, _page)


def decoded(event, context):
    """Answer the list of dragons from the decoded document, as it is."""
    return _list(event, _first_of_family)


def _post(event):
    try:
        message = message_from(parse_object(event["body"]))
    except (MalformedJson, InvalidInput) as error:
        return _answer(400, json.dumps([fault.as_json() for fault in getattr(error, "faults", ())]))
    message_id, company_id = str(message.metadata.message_id), str(message.metadata.company_id)
    if company_id != event["requestContext"]["authorizer"]["claims"]["custom:company_id"]:
        return _answer(403, "{}")
    key = {"message_id": {"S": message_id}, "company_id": {"S": company_id}}
    if "Item" in aws.dynamodb().get_item(TableName=os.environ["DRAGONPOST_MESSAGE_TABLE_NAME"], Key=key):
        return _answer(200, "{}")
    correlation = {"DataType": "String", "StringValue": event["requestContext"]["requestId"]}
    aws.sqs().send_message(
        QueueUrl=os.environ["DRAGONPOST_MESSAGE_QUEUE_URL"],
        MessageBody=message.as_json().decode(),
        MessageAttributes={"correlation_id": correlation},
    )
    return _answer(202, json.dumps({"message_id": message_id, "status": "accepted", "digest": message.digest()}))


def _list(event, shown):
    query = event["queryStringParameters"]
    unless = {"IfNoneMatch": _held["etag"]} if _held["etag"] else {}
    try:
        found = aws.s3().get_object(Bucket="dragons", Key="dragons.json", **unless)
        etag, body = found["ETag"], found["Body"].read()
    except ClientError:
        etag, body = _held["etag"], None
    text, headers = shown(body, query["family"], int(query["limit"]))
    _held["etag"] = etag
    return {**_answer(200, text), "headers": {"Content-Type": "application/json", **headers}}


def _page(body, family, limit):
    held = _held["document"]
    if body is not None:
        _held["document"] = held = None
        _held["document"] = held = Document.parsed(body)
    page = held.page(DragonQuery.of(family, None, None, limit))
    return page.shown.text, {"ETag": page.shown.etag}


def _first_of_family(body, family, limit):
    if body is not None:
        _held["document"] = msgspec.json.decode(body, type=list[Entry])
    matching = [entry for entry in _held["document"] if entry.family_str == family][:limit]
    return msgspec.json.encode(msgspec.convert(matching, list[Dragon], from_attributes=True)).decode(), {}


def _answer(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": body}
