"""Both homes of the registry, seen from behind the service's back."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, ClassVar, Protocol

import boto3
from botocore.config import Config

from chalicelib.dragons.dynamodb import PART, SORT_KEY, DynamoDBDragonRepository
from chalicelib.dragons.repository import DragonRepository
from chalicelib.dragons.s3 import S3DragonRepository
from operations.dragon_rows import Holding, add, close_fences, dragons, open_fences
from operations.migrate import DYNAMODB, Homes
from operations.stages import EMBEDDED
from operations.stores import Standing
from tests.e2e.running import Devstack
from tests.fakes.settings import FakeSettings
from tests.proof.awkward import Awkward, AwkwardDynamoDB, AwkwardS3

Entry = dict[str, Any]


class Home(Protocol):
    """One home of a registry, in the embedded AWS."""

    aws_url: str
    service: ClassVar[str]  # as its requests name it
    called: ClassVar[str]  # in the service's errors
    reads: ClassVar[str]  # the operation by which a reader finds one dragon
    writes: ClassVar[str]
    recognises: ClassVar[str]  # the operation by which an addition that is tried again recognises its own work
    awkward: ClassVar[type[Awkward]]
    unsettled: ClassVar[str]  # what a writer says last before the moment at which nobody knows how its addition ends

    def repository(self, client: Any) -> DragonRepository:
        """Return a new repository, as each warm function has one of its own."""
        ...

    def make(self, entries: Sequence[Entry]) -> None:
        """Make it, with these entries."""
        ...

    def remove(self) -> None:
        """Remove it with all that it holds."""
        ...

    def entries(self) -> list[Entry]:
        """Return the entries that it holds."""
        ...

    def what_is_wrong(self) -> list[str]:
        """Return in what it contradicts itself."""
        ...


@dataclass(frozen=True)
class Document:
    """A document in S3."""

    service, called, reads, writes, recognises = "s3", "S3", "GetObject", "PutObject", "GetObject"
    awkward = AwkwardS3
    unsettled = "read"

    aws_url: str
    bucket: str
    key: str

    def repository(self, client: Any) -> S3DragonRepository:
        """See `Home.repository`."""
        place = FakeSettings(dragon_data_bucket_name=self.bucket, dragon_data_file_name=self.key)
        return S3DragonRepository(place, lambda: client)

    def make(self, entries: Sequence[Entry]) -> None:
        """See `Home.make`."""
        client_of(self).put_object(Bucket=self.bucket, Key=self.key, Body=json.dumps(entries).encode())

    def remove(self) -> None:
        """See `Home.remove`."""
        client_of(self).delete_object(Bucket=self.bucket, Key=self.key)

    def entries(self) -> list[Entry]:
        """See `Home.entries`."""
        found: list[Entry] = json.loads(client_of(self).get_object(Bucket=self.bucket, Key=self.key)["Body"].read())
        return found

    def what_is_wrong(self) -> list[str]:
        """See `Home.what_is_wrong`. A document says everything once."""
        return []


@dataclass(frozen=True)
class Table:
    """A table in DynamoDB."""

    service, called, reads, writes = "dynamodb", "DynamoDB", "GetItem", "TransactWriteItems"
    recognises = writes
    awkward = AwkwardDynamoDB
    unsettled = "write"

    aws_url: str
    table: str

    def repository(self, client: Any) -> DynamoDBDragonRepository:
        """See `Home.repository`."""
        return DynamoDBDragonRepository(FakeSettings(dragon_table_name=self.table), lambda: client)

    def make(self, entries: Sequence[Entry]) -> None:
        """See `Home.make`."""
        client = client_of(self)
        client.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in (PART, SORT_KEY)],
            KeySchema=[
                {"AttributeName": PART, "KeyType": "HASH"},
                {"AttributeName": SORT_KEY, "KeyType": "RANGE"},
            ],
        )
        close_fences(client, self.table, "s3", "made", unless_open=False)
        open_fences(client, self.table, "made")
        for entry in entries:
            add(client, self.table, json.dumps(entry).encode())

    def remove(self) -> None:
        """See `Home.remove`."""
        client_of(self).delete_table(TableName=self.table)

    def entries(self) -> list[Entry]:
        """See `Home.entries`."""
        return [json.loads(entry) for entry in dragons(client_of(self), self.table).values()]

    def what_is_wrong(self) -> list[str]:
        """See `Home.what_is_wrong`. Each dragon has its copy among its family's, and is counted there."""
        held = Holding.of_table(client_of(self), self.table)
        due = Holding.of_entries(held.dragons)
        return [] if held == due else [f"{held.copies.keys() ^ due.copies.keys()}, {held.counts} of {due.counts}"]


HOMES: dict[str, type[Document] | type[Table]] = {"s3": Document, "dynamodb": Table}


def home_at(service: str, *place: str) -> Home:
    """Return a home by what `place_of` says of it."""
    return HOMES[service](*place)


def place_of(home: Any) -> tuple[str, ...]:
    """Say where a home is."""
    return (home.service, *astuple(home))


def client_of(home: Home) -> Any:
    """Return a client with root's credentials, enough connections, and one attempt."""
    return _client(home.service, home.aws_url)


@functools.cache
def _client(service: str, aws_url: str) -> Any:
    config = Config(max_pool_connections=70, retries={"mode": "standard", "total_max_attempts": 1})
    session = boto3.Session("test", "test", region_name="us-east-1")
    return session.client(service, endpoint_url=aws_url, config=config)  # type: ignore[call-overload]


def deployed_home(stack: Devstack) -> Home:
    """Return the home of a devstack's registry, as its parameters name it."""
    homes = Homes.of(Standing.found(EMBEDDED, stack.client))
    url = str(stack.running["aws_url"])
    return Table(url, homes.table) if homes.store == DYNAMODB else Document(url, homes.bucket, homes.key)
