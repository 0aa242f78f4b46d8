"""The routes as a plain handler: boto3, the standard library, and nothing else."""

import json
import os
from datetime import datetime
from functools import cache
from uuid import UUID

import boto3
from botocore.exceptions import ClientError

known = {"etag": None, "dragons": []}


@cache
def client(service):
    return boto3.client(service)


def handler(event, context):
    view = VIEWS.get((event["httpMethod"], event["resource"]))
    return view(event) if view else answer(404, {"message": "no such route"})


def answer(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}


def company_of(event):
    return event["requestContext"]["authorizer"]["claims"]["custom:company_id"]


def key_of(metadata):
    return {"message_id": {"S": metadata["message_id"]}, "company_id": {"S": metadata["company_id"]}}


def checked(body):
    message = json.loads(body)
    metadata, order = message["metadata"], message["data"]
    for identifier in (metadata["company_id"], metadata["message_id"], order["order_id"]):
        UUID(identifier)
    for time in (metadata["message_time"], order["order_time"]):
        if datetime.fromisoformat(time).tzinfo is None:
            raise ValueError("a time without an offset")
    if not isinstance(order["order_amount"], int | float) or order["order_amount"] < 0:
        raise ValueError("not an amount")
    return message


def post_message(event):
    try:
        message = checked(event["body"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return answer(400, {"message": str(error)})
    metadata = message["metadata"]
    message_id = metadata["message_id"]
    if metadata["company_id"] != company_of(event):
        return answer(403, {"message": "another company"})
    if "Item" in client("dynamodb").get_item(TableName=os.environ["MESSAGE_TABLE"], Key=key_of(metadata)):
        return answer(200, {"message_id": message_id, "status": "stored"})
    client("sqs").send_message(
        QueueUrl=os.environ["MESSAGE_QUEUE_URL"],
        MessageBody=json.dumps(message),
        MessageAttributes={
            "correlation_id": {"DataType": "String", "StringValue": event["requestContext"]["requestId"]}
        },
    )
    return answer(202, {"message_id": message_id, "status": "accepted"})


def get_message(event):
    metadata = {"message_id": event["pathParameters"]["message_id"], "company_id": company_of(event)}
    found = client("dynamodb").get_item(
        TableName=os.environ["MESSAGE_TABLE"], Key=key_of(metadata), ConsistentRead=True
    )
    if "Item" not in found:
        return answer(404, {"message": "no such message"})
    item = found["Item"]
    shown = {name: item[name]["S"] for name in ("message_time", "company_id", "message_id", "message_s3_key")}
    return answer(200, {"metadata": shown, "data": json.loads(item["data"]["S"]), "digest": item["digest"]["S"]})


def dragons():
    unless = {"IfNoneMatch": known["etag"]} if known["etag"] else {}
    try:
        found = client("s3").get_object(Bucket=os.environ["DRAGON_BUCKET"], Key=os.environ["DRAGON_KEY"], **unless)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 304:
            raise
        return known["dragons"]
    known.update(etag=found["ETag"], dragons=json.loads(found["Body"].read()))
    return known["dragons"]


def list_dragons(event):
    query = event["queryStringParameters"] or {}
    family, limit = query.get("family"), int(query.get("limit", "100"))
    matching = [dragon for dragon in dragons() if family in (None, dragon["family_str"])][:limit]
    shown = [{name: text for name, text in dragon.items() if name != "submission_id"} for dragon in matching]
    return answer(200, shown)


VIEWS = {
    ("POST", "/post-message"): post_message,
    ("GET", "/message/{message_id}"): get_message,
    ("GET", "/dragons"): list_dragons,
}


def consume(event, context):
    dynamodb, table = client("dynamodb"), os.environ["MESSAGE_TABLE"]
    for record in event["Records"]:
        message = checked(record["body"])
        metadata, order = message["metadata"], message["data"]
        key = key_of(metadata)
        if "Item" in dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True):
            continue
        archived_as = f"{metadata['company_id']}/{metadata['message_id']}.json"
        client("s3").put_object(
            Bucket=os.environ["ARCHIVE_BUCKET"],
            Key=archived_as,
            Body=record["body"].encode(),
            ContentType="application/json",
            IfNoneMatch="*",
        )
        dynamodb.put_item(
            TableName=table,
            Item={
                **key,
                "message_time": {"S": metadata["message_time"]},
                "order_id": {"S": order["order_id"]},
                "order_time": {"S": order["order_time"]},
                "order_amount": {"N": str(order["order_amount"])},
                "message_s3_key": {"S": archived_as},
                "data": {"S": json.dumps(order)},
            },
            ConditionExpression="attribute_not_exists(message_id)",
        )
    client("sqs").delete_message_batch(
        QueueUrl=os.environ["MESSAGE_QUEUE_URL"],
        Entries=[
            {"Id": str(place), "ReceiptHandle": record["receiptHandle"]}
            for place, record in enumerate(event["Records"])
        ],
    )
