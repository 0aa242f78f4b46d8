"""What AWS answers to the calls of the measured apps, and which calls they made. Standard library alone.

The answers are prepared, so that a call costs as little as can be. Those of DynamoDB, SQS and Parameter Store are the
JSON objects that the services send; S3's are bytes with an ETag.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REGION = "eu-central-1"
STAGE = "prod"
ACCOUNT = "123456789012"
COMPANY = "e0721e56-fb09-4273-ae74-7bcbc92d43eb"
CLIENT_ID = "3n4b5urk1ft4fl3mg5e62d9ado"
STORED_ID = "fc0daad3-4f10-4d15-b8c6-276cca111e87"

# By the names that the settings of the measured service have (chalicelib/settings.py).
SETTINGS: Mapping[str, str] = {
    "user_pool_client_id": CLIENT_ID,
    "message_archive_bucket_name": f"dragonpost-{STAGE}-messages-{ACCOUNT}",
    "message_table_name": f"dragonpost-{STAGE}-messages",
    "message_queue_url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/dragonpost-{STAGE}-messages",
    "message_dead_letter_queue_url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/dragonpost-{STAGE}-messages-dead",
    "dragon_store": "s3",
    "dragon_table_name": f"dragonpost-{STAGE}-dragons",
    "submission_table_name": f"dragonpost-{STAGE}-submissions",
    "dragon_workflow_arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:dragonpost-{STAGE}-dragons",
    "dragon_data_bucket_name": f"dragonpost-{STAGE}-dragons-{ACCOUNT}",
    "dragon_data_file_name": "dragons.json",
    "sms_allowed_prefixes": "none",
    "archive_retention_days": "0",
    "commit": "5ad1f6d0c7c24f6a0a3a3b3c1f0e9d8c7b6a5940",
}

# The message that the index holds, as the service writes its row; the digest is that of docs/api.md, "Digests".
_STORED_DATA = {
    "order_id": "a929b88e-bc47-4f7d-9584-61c3c94ad2f2",
    "order_time": "2023-12-10T22:00:00Z",
    "order_amount": 19.9,
}
STORED_MESSAGE: Mapping[str, Any] = {
    "metadata": {"message_time": "2023-12-10T22:02:38Z", "company_id": COMPANY, "message_id": STORED_ID},
    "data": _STORED_DATA,
}
_STORED_ITEM = {
    "message_id": {"S": STORED_ID},
    "company_id": {"S": COMPANY},
    "message_time": {"S": "2023-12-10T22:02:38Z"},
    "order_id": {"S": _STORED_DATA["order_id"]},
    "order_time": {"S": "2023-12-10T22:00:00Z"},
    "order_amount": {"N": "19.9"},
    "message_s3_key": {"S": f"{COMPANY}/{STORED_ID}.json"},
    "data": {"S": json.dumps(_STORED_DATA, separators=(",", ":"))},
    "digest": {"S": "sha-256:c621b6437e1b6b3f79ac60407403588efe79eb10ef354472c34700c835dc377c"},
}

FAMILIES = ("gold", "red", "green", "blue", "black")
_VARIANTS = 4  # of a document; a new version is never the bytes of the last one


def dragons(count: int, variant: int = 0) -> list[dict[str, str]]:
    """Return that many entries of the registry, in the order of their names, a fifth of them golden."""
    return [dragon(place, variant) for place in range(count)]


def dragon(place: int, variant: int = 0) -> dict[str, str]:
    """Return the entry at this place, of ten million at most."""
    return {
        "dragon_name_str": f"Amberwick the {place:07d}th",
        "family_str": FAMILIES[place % len(FAMILIES)],
        "description_str": f"Sleeps on warm granaries, is paid in honey and was seen {variant} times this week.",
        "location_city_str": "Bruges",
        "location_country_str": "Belgium",
        "location_neighborhood_str": "Sint-Anna",
        "location_state_str": "West Flanders",
        "submission_id": f"7b9e6c1a-2f43-4e0a-9d17-{place:012d}",
    }


class UnknownCall(Exception):
    """An app makes a call that nothing here answers. Add the answer to `Aws.answer` in benchmarks/aws.py."""


@dataclass
class Aws:
    """The services as one function sees them. Safe to share between threads.

    The document has so many `entries`, and changes before every read if `moving`. Each call takes `latency_s` more.
    `calls` are those that were made, and `items` counts what DynamoDB read for them (benchmarks/grown_aws.py).
    """

    entries: int = 1_000
    moving: bool = False
    latency_s: float = 0.0
    calls: list[str] = field(default_factory=list)
    items: int = 0
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def __post_init__(self) -> None:
        self._documents: dict[int, list[bytes]] = {}
        self._version = 0
        self._lock = threading.Lock()
        named = {f"/dragonpost/{STAGE}/{name}": value for name, value in self.settings.items()}
        self._parameters = {name: {"Name": name, "Value": value} for name, value in named.items()}

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return a service's JSON answer to an operation, such as `GetItem`. Raises `UnknownCall`."""
        self._arrived(operation)
        match operation:
            case "GetItem":
                return {"Item": _STORED_ITEM} if parameters["Key"]["message_id"]["S"] == STORED_ID else {}
            case "SendMessage":
                return {"MessageId": "059f36b4-87a3-44ab-83d2-661975830a7d"}
            case "PutItem" | "DeleteMessage":
                return {}
            case "DeleteMessageBatch":
                return {"Successful": [{"Id": entry["Id"]} for entry in parameters["Entries"]], "Failed": []}
            case "BatchGetItem":
                return {"Responses": {table: [] for table in parameters["RequestItems"]}, "UnprocessedKeys": {}}
            case "GetParameters":
                return {"Parameters": [self._parameters[name] for name in parameters["Names"]]}
        raise UnknownCall(operation)

    def document(self, known_etag: str | None) -> tuple[str, bytes | None]:
        """Answer GetObject for the dragon document: its ETag, and its bytes, or None if that version is known."""
        self._arrived("GetObject")
        with self._lock:
            self._version += self.moving
            etag = f'"{self._version:032x}"'
        if etag == known_etag:
            return etag, None
        variants = self._documents.get(self.entries) or self._prepared()
        return etag, variants[self._version % _VARIANTS]

    def put(self, _body: bytes) -> str:
        """Answer PutObject: the new object's ETag."""
        self._arrived("PutObject")
        return '"d41d8cd98f00b204e9800998ecf8427e"'

    def restore(self) -> None:
        """Have everything as it was at first, and nothing counted."""
        self.calls.clear()
        self.items = 0

    def _arrived(self, operation: str) -> None:
        self.calls.append(operation)
        if self.latency_s:
            time.sleep(self.latency_s)

    def _prepared(self) -> list[bytes]:
        made = [
            json.dumps(dragons(self.entries, variant), separators=(",", ":")).encode() for variant in range(_VARIANTS)
        ]
        self._documents[self.entries] = made
        return made
