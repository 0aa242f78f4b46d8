"""The routes with FastAPI and Mangum. Mangum brings no SQS events to an app, so there is no consumer."""

import json
import os
from functools import cache
from uuid import UUID

import boto3
from botocore.exceptions import ClientError
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from mangum import Mangum
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

app = FastAPI()


class Metadata(BaseModel):
    message_time: AwareDatetime
    company_id: UUID
    message_id: UUID


class Order(BaseModel):
    order_id: UUID
    order_time: AwareDatetime
    order_amount: float = Field(ge=0)


class OrderMessage(BaseModel):
    metadata: Metadata
    data: Order


class Dragon(BaseModel):
    dragon_name_str: str
    family_str: str
    description_str: str
    location_city_str: str
    location_country_str: str
    location_neighborhood_str: str
    location_state_str: str


document = TypeAdapter(list[Dragon])
known = {"etag": None, "dragons": []}


@cache
def client(service):
    return boto3.client(service)


def company_of(request):
    return request.scope["aws.event"]["requestContext"]["authorizer"]["claims"]["custom:company_id"]


def key_of(message_id, company_id):
    return {"message_id": {"S": message_id}, "company_id": {"S": company_id}}


@app.exception_handler(RequestValidationError)
async def refuse(request: Request, error: RequestValidationError):
    return JSONResponse({"message": str(error.errors())}, 400)


@app.post("/post-message", status_code=202)
async def post_message(message: OrderMessage, request: Request, response: Response):
    message_id, company_id = str(message.metadata.message_id), str(message.metadata.company_id)
    if company_id != company_of(request):
        raise HTTPException(403, "another company")
    found = client("dynamodb").get_item(TableName=os.environ["MESSAGE_TABLE"], Key=key_of(message_id, company_id))
    if "Item" in found:
        response.status_code = 200
        return {"message_id": message_id, "status": "stored"}
    client("sqs").send_message(
        QueueUrl=os.environ["MESSAGE_QUEUE_URL"],
        MessageBody=message.model_dump_json(),
        MessageAttributes={
            "correlation_id": {
                "DataType": "String",
                "StringValue": request.scope["aws.event"]["requestContext"]["requestId"],
            }
        },
    )
    return {"message_id": message_id, "status": "accepted"}


@app.get("/message/{message_id}")
async def get_message(message_id: UUID, request: Request):
    found = client("dynamodb").get_item(
        TableName=os.environ["MESSAGE_TABLE"], Key=key_of(str(message_id), company_of(request)), ConsistentRead=True
    )
    if "Item" not in found:
        raise HTTPException(404, "no such message")
    item = found["Item"]
    shown = {name: item[name]["S"] for name in ("message_time", "company_id", "message_id", "message_s3_key")}
    return {"metadata": shown, "data": json.loads(item["data"]["S"]), "digest": item["digest"]["S"]}


def dragons():
    unless = {"IfNoneMatch": known["etag"]} if known["etag"] else {}
    try:
        found = client("s3").get_object(Bucket=os.environ["DRAGON_BUCKET"], Key=os.environ["DRAGON_KEY"], **unless)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 304:
            raise
        return known["dragons"]
    known.update(etag=found["ETag"], dragons=document.validate_json(found["Body"].read()))
    return known["dragons"]


@app.get("/dragons")
async def list_dragons(family: str | None = None, limit: int = 100) -> list[Dragon]:
    return [dragon for dragon in dragons() if family in (None, dragon.family_str)][:limit]


handler = Mangum(app, lifespan="off")
