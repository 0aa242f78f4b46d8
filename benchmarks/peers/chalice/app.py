"""The routes with Chalice and msgspec, and nothing else."""

import os
from datetime import datetime
from functools import cache
from typing import Annotated
from uuid import UUID

import boto3
import msgspec
from botocore.exceptions import ClientError
from chalice import BadRequestError, Chalice, ForbiddenError, NotFoundError, Response

app = Chalice(app_name="peer")

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Metadata(msgspec.Struct):
    message_time: Time
    company_id: UUID
    message_id: UUID


class Order(msgspec.Struct):
    order_id: UUID
    order_time: Time
    order_amount: Annotated[float, msgspec.Meta(ge=0)]


class OrderMessage(msgspec.Struct):
    metadata: Metadata
    data: Order


class Dragon(msgspec.Struct):
    dragon_name_str: str
    family_str: str
    description_str: str
    location_city_str: str
    location_country_str: str
    location_neighborhood_str: str
    location_state_str: str


known = {"etag": None, "dragons": []}


@cache
def client(service):
    return boto3.client(service)


def answer(body, status=200):
    return Response(msgspec.json.encode(body).decode(), {"Content-Type": "application/json"}, status)


def company():
    return app.current_request.context["authorizer"]["claims"]["custom:company_id"]


def key_of(message_id, company_id):
    return {"message_id": {"S": message_id}, "company_id": {"S": company_id}}


@app.route("/post-message", methods=["POST"])
def post_message():
    try:
        message = msgspec.json.decode(app.current_request.raw_body, type=OrderMessage)
    except msgspec.DecodeError as error:
        raise BadRequestError(str(error)) from error
    message_id, company_id = str(message.metadata.message_id), str(message.metadata.company_id)
    if company_id != company():
        raise ForbiddenError("another company")
    found = client("dynamodb").get_item(TableName=os.environ["MESSAGE_TABLE"], Key=key_of(message_id, company_id))
    if "Item" in found:
        return answer({"message_id": message_id, "status": "stored"})
    client("sqs").send_message(
        QueueUrl=os.environ["MESSAGE_QUEUE_URL"],
        MessageBody=msgspec.json.encode(message).decode(),
        MessageAttributes={
            "correlation_id": {"DataType": "String", "StringValue": app.current_request.context["requestId"]}
        },
    )
    return answer({"message_id": message_id, "status": "accepted"}, 202)


@app.route("/message/{message_id}")
def get_message(message_id):
    found = client("dynamodb").get_item(
        TableName=os.environ["MESSAGE_TABLE"], Key=key_of(message_id, company()), ConsistentRead=True
    )
    if "Item" not in found:
        raise NotFoundError("no such message")
    item = found["Item"]
    shown = {name: item[name]["S"] for name in ("message_time", "company_id", "message_id", "message_s3_key")}
    return answer({"metadata": shown, "data": msgspec.Raw(item["data"]["S"]), "digest": item["digest"]["S"]})


def dragons():
    unless = {"IfNoneMatch": known["etag"]} if known["etag"] else {}
    try:
        found = client("s3").get_object(Bucket=os.environ["DRAGON_BUCKET"], Key=os.environ["DRAGON_KEY"], **unless)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 304:
            raise
        return known["dragons"]
    known.update(etag=found["ETag"], dragons=msgspec.json.decode(found["Body"].read(), type=list[Dragon]))
    return known["dragons"]


@app.route("/dragons")
def list_dragons():
    query = app.current_request.query_params or {}
    family, limit = query.get("family"), int(query.get("limit", "100"))
    return answer([dragon for dragon in dragons() if family in (None, dragon.family_str)][:limit])


@app.on_sqs_message(queue="messages", batch_size=10)
def consume(event):
    dynamodb, table = client("dynamodb"), os.environ["MESSAGE_TABLE"]
    records = list(event)
    for record in records:
        message = msgspec.json.decode(record.body, type=OrderMessage)
        metadata, order = message.metadata, message.data
        key = key_of(str(metadata.message_id), str(metadata.company_id))
        if "Item" in dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True):
            continue
        archived_as = f"{metadata.company_id}/{metadata.message_id}.json"
        client("s3").put_object(
            Bucket=os.environ["ARCHIVE_BUCKET"],
            Key=archived_as,
            Body=record.body.encode(),
            ContentType="application/json",
            IfNoneMatch="*",
        )
        dynamodb.put_item(
            TableName=table,
            Item={
                **key,
                "message_time": {"S": metadata.message_time.isoformat()},
                "order_id": {"S": str(order.order_id)},
                "order_time": {"S": order.order_time.isoformat()},
                "order_amount": {"N": str(order.order_amount)},
                "message_s3_key": {"S": archived_as},
                "data": {"S": msgspec.json.encode(order).decode()},
            },
            ConditionExpression="attribute_not_exists(message_id)",
        )
    client("sqs").delete_message_batch(
        QueueUrl=os.environ["MESSAGE_QUEUE_URL"],
        Entries=[{"Id": str(place), "ReceiptHandle": record.receipt_handle} for place, record in enumerate(records)],
    )
