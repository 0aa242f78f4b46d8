"""The routes with Lambda Powertools: its REST resolver, Logger, Metrics, and its batch processor."""

import json
import os
from datetime import datetime
from functools import cache
from uuid import UUID

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import BadRequestError, ForbiddenError, NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.exceptions import ClientError

app = APIGatewayRestResolver()
logger = Logger(service="peer")
metrics = Metrics(namespace="Peer", service="peer")
processor = BatchProcessor(event_type=EventType.SQS)

known = {"etag": None, "dragons": []}


@cache
def client(service):
    return boto3.client(service)


def answer(body, status=200):
    return Response(status_code=status, content_type=content_types.APPLICATION_JSON, body=json.dumps(body))


def company():
    return app.current_event.request_context.authorizer.claims["custom:company_id"]


def key_of(message_id, company_id):
    return {"message_id": {"S": message_id}, "company_id": {"S": company_id}}


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


def count(name):
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)


@app.post("/post-message")
def post_message():
    try:
        message = checked(app.current_event.body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.info("message refused")
        count("MessagesRefused")
        raise BadRequestError(str(error)) from error
    message_id, company_id = message["metadata"]["message_id"], message["metadata"]["company_id"]
    if company_id != company():
        raise ForbiddenError("another company")
    found = client("dynamodb").get_item(TableName=os.environ["MESSAGE_TABLE"], Key=key_of(message_id, company_id))
    if "Item" in found:
        return answer({"message_id": message_id, "status": "stored"})
    client("sqs").send_message(
        QueueUrl=os.environ["MESSAGE_QUEUE_URL"],
        MessageBody=json.dumps(message),
        MessageAttributes={
            "correlation_id": {"DataType": "String", "StringValue": app.current_event.request_context.request_id}
        },
    )
    logger.info("message accepted", extra={"message_id": message_id})
    count("MessagesAccepted")
    return answer({"message_id": message_id, "status": "accepted"}, 202)


@app.get("/message/<message_id>")
def get_message(message_id: str):
    found = client("dynamodb").get_item(
        TableName=os.environ["MESSAGE_TABLE"], Key=key_of(message_id, company()), ConsistentRead=True
    )
    if "Item" not in found:
        raise NotFoundError("no such message")
    item = found["Item"]
    logger.info("message shown", extra={"message_id": message_id})
    count("MessagesShown")
    shown = {name: item[name]["S"] for name in ("message_time", "company_id", "message_id", "message_s3_key")}
    return answer({"metadata": shown, "data": json.loads(item["data"]["S"]), "digest": item["digest"]["S"]})


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


@app.get("/dragons")
def list_dragons():
    query = app.current_event.query_string_parameters or {}
    family, limit = query.get("family"), int(query.get("limit", "100"))
    matching = [dragon for dragon in dragons() if family in (None, dragon["family_str"])][:limit]
    logger.info("dragons listed", extra={"dragons": len(matching)})
    count("DragonsListed")
    return answer([{name: text for name, text in dragon.items() if name != "submission_id"} for dragon in matching])


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def handler(event, context):
    return app.resolve(event, context)


def store(record):
    dynamodb, table = client("dynamodb"), os.environ["MESSAGE_TABLE"]
    message = checked(record.body)
    metadata, order = message["metadata"], message["data"]
    key = key_of(metadata["message_id"], metadata["company_id"])
    if "Item" in dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True):
        return
    archived_as = f"{metadata['company_id']}/{metadata['message_id']}.json"
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
            "message_time": {"S": metadata["message_time"]},
            "order_id": {"S": order["order_id"]},
            "order_time": {"S": order["order_time"]},
            "order_amount": {"N": str(order["order_amount"])},
            "message_s3_key": {"S": archived_as},
            "data": {"S": json.dumps(order)},
        },
        ConditionExpression="attribute_not_exists(message_id)",
    )
    logger.info("message stored", extra={"message_id": metadata["message_id"]})
    count("MessagesStored")


@logger.inject_lambda_context
@metrics.log_metrics
def consume(event, context):
    partial = process_partial_response(event=event, record_handler=store, processor=processor, context=context)
    failed = {failure["itemIdentifier"] for failure in partial["batchItemFailures"]}
    client("sqs").delete_message_batch(
        QueueUrl=os.environ["MESSAGE_QUEUE_URL"],
        Entries=[
            {"Id": str(place), "ReceiptHandle": record["receiptHandle"]}
            for place, record in enumerate(event["Records"])
            if record["messageId"] not in failed
        ],
    )
    return partial
