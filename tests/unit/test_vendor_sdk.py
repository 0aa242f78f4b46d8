"""The package's botocore, whose data is trimmed, and the untouched one: they send the same and understand the same.

Both are the same code here (the versions are compared in test_vendor.py), with the data of vendor/ and with its own,
the former read into plain dicts (`aws.PlainData`).
"""

from __future__ import annotations

import ast
import base64
import io
import itertools
import json
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.loaders import Loader
from botocore.session import Session

from chalicelib import aws
from operations import PROJECT
from operations.deploy.commands import DeployError
from operations.vendor import calls, sdk, stand_ins
from operations.vendor.calls import CALLS

UNTOUCHED, TRIMMED = Path(botocore.__file__).parent / "data", PROJECT / "vendor" / "botocore" / "data"
REGIONS = ("us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1", "xx-new-1")
PLACES = {
    **{region: Config(region_name=region) for region in REGIONS},
    "dual stack": Config(region_name="eu-central-1", use_dualstack_endpoint=True),
    "FIPS": Config(region_name="us-east-1", use_fips_endpoint=True),
}
DEPTH_MAX = 6  # of values that may hold values of their own kind

# What differs between any two requests.
_OF_ONE_REQUEST = {"Authorization", "X-Amz-Date", "amz-sdk-invocation-id"}
_WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# Values that have to have a form before a request is built at all.
_WELL_FORMED = {"Bucket": "dragonpost-dev-dragons", "SSECustomerKey": "k" * 32, "CopySourceSSECustomerKey": "k" * 32}


@dataclass
class Sdk:
    """A client, and what it sent."""

    client: Any
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent: list[object] = field(default_factory=list)

    def send(self, request: Any, **_: Any) -> AWSResponse:
        """Keep the request, and answer it."""
        headers = {name: value for name, value in request.headers.items() if name not in _OF_ONE_REQUEST}
        body = request.body.read() if hasattr(request.body, "read") else request.body
        self.sent.append((request.method, request.url, headers, body))
        raw = io.BytesIO(self.body)
        raw.stream = lambda *_, **__: iter([self.body])  # type: ignore[attr-defined]
        return AWSResponse(request.url, self.status, self.headers, raw)

    def does(self, operation: str, values: dict[str, Any]) -> object:
        """Return what a call returns or raises, with the body read."""
        try:
            answer = getattr(self.client, xform_name(operation))(**values)
        except ClientError as error:
            return error.response
        return answer | {name: value.read() for name, value in answer.items() if hasattr(value, "read")}


@cache
def session(data: Path) -> Session:
    """Return a session for which this is the data that botocore has of its own: it treats any other differently."""

    class InPlace(Loader):
        BUILTIN_DATA_PATH = str(data)

    files = aws.PlainData() if data == TRIMMED else None  # as the app reads it, or as botocore does
    made = Session()
    made.register_component("data_loader", InPlace([str(data)], files, include_default_search_paths=False))
    made.set_credentials("id", "key")
    return made


def both(service: str, config: Config) -> tuple[Sdk, Sdk]:
    made = []
    for data in (UNTOUCHED, TRIMMED):
        sdk_of = Sdk(session(data).create_client(service, config=config))
        sdk_of.client.meta.events.register_first("before-send", sdk_of.send)
        made.append(sdk_of)
    return made[0], made[1]


def value_of(shape: Any, *, everything: bool, name: str = "", depth: int = 0) -> Any:
    """Return a value of a shape, with every member or with those that are required; of a union, with one."""
    nested = {"everything": everything, "depth": depth + 1}
    if shape.type_name == "structure":
        members = {} if depth > DEPTH_MAX else shape.members
        chosen = list(members) if everything else shape.required_members
        if members and shape.name == "AttributeValue":
            chosen = [list(members)[depth % len(members)]]
        return {each: value_of(members[each], name=each, **nested) for each in chosen}
    if shape.type_name == "list":
        return [value_of(shape.member, **nested)]
    if shape.type_name == "map":
        return {value_of(shape.key, **nested): value_of(shape.value, **nested)}
    return _WELL_FORMED.get(name) or plain_value_of(shape)


def plain_value_of(shape: Any) -> Any:
    """Return a value of a shape that is neither structure, list nor map."""
    length = shape.metadata.get("min", 0)
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "a+b/c=d ".ljust(length, "x")
    return {"timestamp": _WHEN, "blob": b"some bytes", "boolean": True, "double": 1.5}.get(shape.type_name, length or 7)


def answer_of(shape: Any) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an answer with every member: JSON, or S3's, whose members are headers and the body."""
    headers, content = {"x-amzn-requestid": "an-id"}, {}
    if shape is None:
        return headers, b""
    for name, value in value_of(shape, everything=True).items():
        member = shape.members[name]
        match member.serialization.get("location"):
            case "header":
                is_time = member.type_name == "timestamp"
                text = (
                    "Fri, 02 Jan 2026 03:04:05 GMT" if is_time else str(value).lower() if value is True else str(value)
                )
                headers[member.serialization["name"]] = text.encode("ascii", "replace").decode()
            case "headers":
                headers[member.serialization["name"] + "one"] = "a value"
            case _:
                content[name] = value
    if shape.serialization.get("payload"):
        body = content[shape.serialization["payload"]]
        # botocore checks these two, so they have to be true.
        kept = {name: text for name, text in headers.items() if not name.lower().startswith("x-amz-checksum-")}
        return kept | {"Content-Length": str(len(body))}, body
    return headers, json.dumps(content, default=_as_json).encode() if content else b""


def _as_json(value: Any) -> object:
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()


def error_of(service: str) -> tuple[dict[str, str], bytes]:
    if service == "s3":
        return {}, b"<Error><Code>NoSuchThing</Code><Message>Why</Message><RequestId>an-id</RequestId></Error>"
    body = {"__type": "com.amazonaws#ConditionalCheckFailedException", "message": "Why", "Item": {"id": {"S": "1"}}}
    return {"x-amzn-requestid": "an-id", "x-amzn-query-error": "AWS.Gone;Sender"}, json.dumps(body).encode()


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("service", CALLS)
class TestTheSame:
    @pytest.fixture
    def sdks(self, service: str, place: str, stubbed_services: set[str]) -> tuple[Sdk, Sdk]:
        stubbed_services.add(service)
        return both(service, PLACES[place])

    def test_requests_are_sent_and_answers_are_understood(
        self, sdks: tuple[Sdk, Sdk], service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The SDK gives each transaction a token of its own.
        monkeypatch.setattr(uuid, "uuid4", lambda: "63c57c6d-a519-4316-b6a8-92cb7167b059")
        untouched, trimmed = sdks
        for operation in sorted(CALLS[service]):
            model = untouched.client.meta.service_model.operation_model(operation)
            for everything in (False, True):
                for status, (headers, body) in ((200, answer_of(model.output_shape)), (400, error_of(service))):
                    values = value_of(model.input_shape, everything=everything)
                    done = []
                    for each in sdks:
                        each.status, each.headers, each.body = status, headers, body
                        done.append(each.does(operation, values))

                    assert done[0] == done[1]
                    assert done[0]["ResponseMetadata"]["HTTPStatusCode"] == status  # type: ignore[index]
        assert untouched.sent == trimmed.sent
        assert len(trimmed.sent) == 4 * len(CALLS[service])

    def test_everything_is_known_of_a_service(self, sdks: tuple[Sdk, Sdk]) -> None:
        untouched, trimmed = (each.client for each in sdks)

        for attribute in ("endpoint_url", "partition", "region_name"):
            assert getattr(untouched.meta, attribute) == getattr(trimmed.meta, attribute)
        assert untouched.meta.method_to_api_mapping == trimmed.meta.method_to_api_mapping
        assert untouched.waiter_names == trimmed.waiter_names
        assert [name for name in dir(untouched) if untouched.meta.method_to_api_mapping.get(name)] == [
            name for name in dir(trimmed) if trimmed.meta.method_to_api_mapping.get(name)
        ]


def test_no_other_services_are_in_it() -> None:
    assert {path.name for path in TRIMMED.iterdir() if path.is_dir()} == set(CALLS)


def test_events_have_the_same_names_without_the_other_services_aliases() -> None:
    source = (TRIMMED.parent / "utils.py").read_text(encoding="utf-8").partition("EVENT_ALIASES = ")[2]
    trimmed = EventAliaser(HierarchicalEmitter(), ast.literal_eval(source.partition("}")[0] + "}"))
    untouched = EventAliaser(HierarchicalEmitter())
    for service in CALLS:
        model = session(UNTOUCHED).get_service_model(service)
        names = {service, model.endpoint_prefix, model.service_id.hyphenize()}
        for event in itertools.chain(
            (f"before-call.{name}.{operation}" for name in names for operation in CALLS[service]),
            (event for event, *_ in BUILTIN_HANDLERS if names & set(event.split("."))),
        ):
            assert trimmed._alias_event_name(event) == untouched._alias_event_name(event)


def test_the_sdk_works_with_its_stand_ins_and_imports_nothing_in_their_place() -> None:
    program = """
import sys
from botocore.session import Session
client = Session().create_client("dynamodb", region_name="eu-central-1")
assert client.__class__.get_item.__doc__ == "", client.__class__.get_item.__doc__
assert client.can_paginate("query") and client.get_paginator("query").paginate.__doc__ == ""
assert client.get_waiter("table_exists").wait.__doc__ == ""
print(*sys.modules)
"""
    environment = {"PYTHONPATH": str(PROJECT / "vendor"), "PATH": "/usr/bin"}
    imported = subprocess.check_output([sys.executable, "-S", "-c", program], env=environment, text=True).split()

    assert {name for name in imported if name.startswith("botocore.docs.")} == {
        "botocore.docs.docstring",
        "botocore.docs.utils",
    }
    assert not {"importlib.metadata", "html.parser"} & set(imported)


def test_a_module_that_has_no_stand_in_any_more_is_named(tmp_path: Path) -> None:
    (tmp_path / "botocore" / "docs").mkdir(parents=True)
    (tmp_path / "botocore" / "docs" / "__init__.py").touch()

    with pytest.raises(DeployError, match=r"botocore/docs/docstring\.py is no longer there: correct"):
        stand_ins.put(tmp_path)


def test_only_texts_for_people_are_empty_in_a_model() -> None:
    model = {"documentation": "why", "shapes": [{"members": {"documentation": {"shape": "S", "documentation": "x"}}}]}

    assert sdk.without_documentation(model) == {
        "documentation": "",
        "shapes": [{"members": {"documentation": {"shape": "S", "documentation": ""}}}],
    }


def test_a_service_that_the_sdk_does_not_have_is_named() -> None:
    with pytest.raises(DeployError, match=r"no service dragons: correct operations/vendor/calls\.py"):
        sdk.trim(UNTOUCHED.parent, ["s3", "dragons"])


class TestCalls:
    def test_those_that_are_declared_are_made(self) -> None:
        declared = {(service, xform_name(name)) for service, names in CALLS.items() for name in names}

        assert set(calls.made(PROJECT)) == declared

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("aws.s3().delete_object(Bucket='b')", "app.py:1 calls s3.delete_object, .*operations/vendor/calls.py"),
            ("self._new().list_topics()", "app.py:1 calls sns.list_topics"),
            ("client = self._s3(", "app.py:1 is no Python: '.' was never closed"),
            ("client = self._s3()", "app.py:1: call an operation of the client at once"),
            (
                "from chalicelib.aws import s3\ns3().delete_object()",
                "app.py:1: call an operation of the client at once",
            ),
            ("from chalicelib.aws import *\ns3().delete_object()", "app.py:1: call an operation of the client at once"),
            ("client = aws.s3\nclient().delete_object()", "app.py:1: call an operation of the client at once"),
            ("def f(client=aws.s3): client().delete_object()", "app.py:1: call an operation of the client at once"),
            ("aws._client('sns').list_topics()", "app.py:1: call an operation of the client at once"),
            ("self._client().list_topics()", "app.py:1: call an operation of the client at once"),
            ("Session().create_client('sns').list_topics()", "app.py:1: call an operation of the client at once"),
            ("aws._made('sns', config).list_topics()", "app.py:1: call an operation of the client at once"),
            ("getattr(aws, 's3')().delete_object()", "app.py:1: call an operation of the client at once"),
            ("from chalicelib import aws as cloud\nc = cloud.s3", "app.py:1: call an operation of the client at once"),
            ("client = self._s3\nclient().delete_object()", "app.py:1: call an operation of the client at once"),
            ("for c in (aws.s3, aws.new): c().list_topics()", "app.py:1: call an operation of the client at once"),
        ],
    )
    def test_a_call_that_is_not_declared_stops_packaging(self, code: str, says: str, tmp_path: Path) -> None:
        (tmp_path / "chalicelib").mkdir()
        clients = "def s3():\n return _client('s3')\ndef new():\n return _client('sns', hasty=True)\n"
        (tmp_path / "chalicelib" / "aws.py").write_text(clients, encoding="utf-8")
        (tmp_path / "app.py").write_text(code, encoding="utf-8")

        with pytest.raises(DeployError, match=says):
            calls.check(tmp_path)
