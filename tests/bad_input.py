"""The table of what the API refuses, and of what looks odd and is accepted, as data.

Each row holds for every way to serve the API: in-process, the local server, the deployed gateway. Send `method`, `path`
(already percent-encoded, below the API's stage), `headers` and `body` with the operator's token. Compare the status
and, for a refusal, the places of its faults (`Case.places_in`). In-process, send every row; over HTTP, only those of
`over_http`.
"""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from chalicelib.dragons.model import FIELDS, DragonName
from chalicelib.dragons.repository import DragonQuery
from chalicelib.web.paging import cursor_after
from tests.samples import COMPANY, MESSAGE_METADATA, ORDER_DATA, dragon_body, message_body, raw_object

BODY_BYTES_MAX = 256 * 1024
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Case:
    """One request and its answer. `places` are `pointer #/…`, `parameter …` or `header …`, sorted."""

    name: str
    method: str
    path: str
    status: int
    places: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        """Return the name in plain ASCII: pytest escapes others, and cannot find a test by an id with a backslash."""
        return self.name.encode("ascii", "replace").decode().replace("\\", "/")

    @property
    def seen_by_a_transport(self) -> Hashable:
        """What HTTP, a gateway or a server could treat differently: everything except what the JSON means."""
        if self.body is None or not _is_json(self.body):
            return self.method, self.path, self.body
        sent = self.method, self.path, frozenset(self.headers.items()), len(self.body) // 2**16, self.body.isascii()
        return sent, self.status, len(self.places)

    @staticmethod
    def places_in(problem: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the places of a problem document's faults, in the form and order of `places`."""
        return tuple(
            sorted(
                f"{place} {error[place]}"
                for error in problem.get("errors", [])
                for place in ("pointer", "parameter", "header")
                if place in error
            )
        )


def over_http(cases: Iterable[Case]) -> list[Case]:
    """Return one case of each kind that a transport can distinguish."""
    kinds: dict[Hashable, Case] = {}
    for case in cases:
        kinds.setdefault(case.seen_by_a_transport, case)
    return list(kinds.values())


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


@dataclass(frozen=True)
class Unknown:
    """A request for a route or a method that does not exist. AWS's gateway knows no 405."""

    name: str
    method: str
    path: str
    status_local: int
    allow_local: str | None
    status_gateway: int = 404

    def __str__(self) -> str:
        return self.name


def _post_message(name: str, body: bytes, status: int, *places: str, headers: Mapping[str, str] = JSON) -> Case:
    return Case(f"message: {name}", "POST", "/post-message", status, tuple(sorted(places)), headers, body)


def _post_dragon(name: str, body: bytes, status: int, *places: str, headers: Mapping[str, str] = JSON) -> Case:
    return Case(f"dragon: {name}", "POST", "/dragons", status, tuple(sorted(places)), headers, body)


def _get(name: str, path: str, status: int, *places: str) -> Case:
    return Case(name, "GET", path, status, tuple(sorted(places)))


def _nested(levels: int) -> bytes:
    """Return an object of this many levels in all."""
    return b'{"data":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def _padded(body: bytes, size: int) -> bytes:
    """Return the body with white space at its end, which JSON allows."""
    return body + b" " * (size - len(body))


MALFORMED: Mapping[str, bytes] = {
    "empty": b"",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "a number": b"1",
    "truncated": b'{"metadata":{"company_id"',
    "two values": b"{} {}",
    "invalid UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b'{"a":-Infinity}',
    "a number out of any range": b'{"a":1e9999999999999999999}',
    "duplicate keys": b'{"a":1,"a":1}',
    "duplicate keys inside": b'{"a":[{"b":1,"b":2}]}',
    "duplicate keys, one of them escaped": b'{"a":1,"\\u0061":1}',
    "half a surrogate pair": b'{"a":"\\ud83d"}',
    "a raw control character": b'{"a":"\n"}',
    "33 levels": _nested(33),
    "10,000 levels": _nested(10_000),
    "10,000 levels, never closed": b"[" * 10_000,
    "10,000 levels of objects": b'{"a":' * 10_000,
}

OVERSIZED: Mapping[str, bytes] = {
    "256 KiB and a byte": _padded(message_body(), BODY_BYTES_MAX + 1),
    "256 KiB and a byte that are not JSON": b"\xff" * (BODY_BYTES_MAX + 1),
    "2 MB": _padded(message_body(), 2_000_000),
}

MALFORMED_MEDIA_TYPES = (
    "",
    "json",
    "application/",
    "application/json, application/json",
    "application/json charset=utf-8",
    "application/json; charset",
    'application/json; charset="utf-8',
)
OTHER_MEDIA_TYPES: Mapping[str, Mapping[str, str]] = {
    "no content type": {},
    "text/plain": {"Content-Type": "text/plain"},
    "application/xml": {"Content-Type": "application/xml"},
    "another JSON type": {"Content-Type": "application/merge-patch+json"},
}


def _bodies() -> Iterable[Case]:
    for post in (_post_message, _post_dragon):
        for name, body in MALFORMED.items():
            yield post(name, body, 400, "pointer #")
        for name, body in OVERSIZED.items():
            yield post(name, body, 413)
    for name, headers in OTHER_MEDIA_TYPES.items():
        yield _post_message(name, message_body(), 415, headers=headers)
        yield _post_dragon(name, dragon_body(), 415, headers=headers)
    for coding in ("gzip", "br", "GZIP", "x-unknown"):
        headers = {**JSON, "Content-Encoding": coding}
        packed = gzip.compress(message_body(), mtime=0) if coding == "gzip" else b"\xff" + coding.encode()
        yield _post_message(f"content encoding {coding}", packed, 415, headers=headers)
        yield _post_dragon(f"content encoding {coding}", packed, 415, headers=headers)
        yield _put_dragon(f"content encoding {coding}", packed, 415, headers=headers)
    for coding in ("", "gzip, br", "identity, identity", "identity;q=1", '"gzip"'):
        headers = {**JSON, "Content-Encoding": coding}
        yield _post_message(f"content encoding {coding}", b"{", 400, "header Content-Encoding", headers=headers)
    for text in MALFORMED_MEDIA_TYPES:
        headers = {"Content-Type": text}
        yield _post_message(f"content type {text}", message_body(), 400, "header Content-Type", headers=headers)
        yield _post_dragon(f"content type {text}", b"{", 400, "header Content-Type", headers=headers)
        yield _put_dragon(f"content type {text}", b"{", 400, "header Content-Type", headers=headers)


UUIDS_REFUSED = (
    '"{e0721e56-fb09-4273-ae74-7bcbc92d43eb}"',
    '"e0721e56fb094273ae747bcbc92d43eb"',
    '"urn:uuid:e0721e56-fb09-4273-ae74-7bcbc92d43eb"',
    '"e0721e56-fb09-4273-ae74-7bcbc92d43e"',
    '"e0721e56-fb09-4273-ae74-7bcbc92d43eb "',
    '"e0721e56-fb09-4273-ae74-7bcbc92d43eb\\n"',
    '"e0721e56-fb09-4273-ae74-7bcbc92d43eg"',
    '"\\uff10\\uff10721e56-fb09-4273-ae74-7bcbc92d43eb"',
    '""',
    "null",
    "1",
)

TIMES_REFUSED = (
    '"2023-12-10T22:02:38"',
    '"2023-12-10"',
    '"2023-12-10 22:02:38Z"',
    '"2023-02-29T00:00:00Z"',
    '"2023-13-01T00:00:00Z"',
    '"2023-12-10T24:00:00Z"',
    '"2023-12-10T22:60:00Z"',
    '"2023-12-10T22:02:61Z"',
    '"0000-01-01T00:00:00Z"',
    '"2023-12-10T22:02:38+0100"',
    '"2023-12-10T22:02:38+24:00"',
    '"2023-12-10T22:02:38.Z"',
    f'"2023-12-10T22:02:38.{"0" * 44}Z"',
    '"\\u0662023-12-10T22:02:38Z"',
    "1702245758",
    "null",
)

AMOUNTS_REFUSED = ("-1", '"20"', "true", "null", "1" * 39, "0." + "1" * 39, "1e101", "1e-101", "-1e-7", "[]", "{}")


def _message_parts() -> Iterable[Case]:
    whole = {"metadata": raw_object(MESSAGE_METADATA), "data": raw_object(ORDER_DATA)}
    for member in whole:
        for name, text in {"missing": "", "null": "null", "a list": "[]", "a string": '"x"'}.items():
            parts = whole | {member: text}
            yield _post_message(f"{member} {name}", raw_object(parts).encode(), 400, f"pointer #/{member}")
    for member in MESSAGE_METADATA:
        yield _post_message(
            f"{member} missing", message_body(metadata={member: ""}), 400, f"pointer #/metadata/{member}"
        )
    for member in ORDER_DATA:
        yield _post_message(f"{member} missing", message_body(data={member: ""}), 400, f"pointer #/data/{member}")


def _message_values() -> Iterable[Case]:
    for text in UUIDS_REFUSED:
        for member in ("company_id", "message_id"):
            body = message_body(metadata={member: text})
            yield _post_message(f"{member} {text}", body, 400, f"pointer #/metadata/{member}")
        yield _post_message(f"order_id {text}", message_body(data={"order_id": text}), 400, "pointer #/data/order_id")
    for text in TIMES_REFUSED:
        body = message_body(metadata={"message_time": text})
        yield _post_message(f"message_time {text}", body, 400, "pointer #/metadata/message_time")
        body = message_body(data={"order_time": text})
        yield _post_message(f"order_time {text}", body, 400, "pointer #/data/order_time")
    for text in AMOUNTS_REFUSED:
        body = message_body(data={"order_amount": text})
        yield _post_message(f"order_amount {text}", body, 400, "pointer #/data/order_amount")


def _message_faults() -> Iterable[Case]:
    unknown = message_body(metadata={"a/b~é": "1"})
    yield _post_message("unknown member of metadata", unknown, 400, "pointer #/metadata/a~1b~0%C3%A9")
    outside = raw_object({"metadata": raw_object({}), "data": raw_object({}), "more": "1"}).encode()
    yield _post_message(
        "all faults are listed, with that of the unknown member",
        outside,
        400,
        "pointer #/more",
        *(f"pointer #/metadata/{member}" for member in MESSAGE_METADATA),
        *(f"pointer #/data/{member}" for member in ORDER_DATA),
    )
    yield _post_message(
        "several faults at once",
        message_body({"company_id": "1", "message_time": '"now"', "more": "1"}, {"order_amount": "-1", "order_id": ""}),
        400,
        "pointer #/metadata/company_id",
        "pointer #/metadata/message_time",
        "pointer #/metadata/more",
        "pointer #/data/order_amount",
        "pointer #/data/order_id",
    )


def _message_reads() -> Iterable[Case]:
    for name in ("not-a-uuid", "e0721e56fb094273ae747bcbc92d43eb", quote("{e0721e56-fb09-4273-ae74-7bcbc92d43eb}")):
        yield _get(f"message id {name}", f"/message/{name}", 400, "parameter message_id")
    for name in ("from", "to"):
        for value in ("", "yesterday", "2026-11-24", "2026-11-24T07:20:01", "2026-02-30T00:00:00Z", "1795504801"):
            given = urlencode({name: value, "company_id": COMPANY})
            yield _get(f"messages {name} {value}", f"/messages?{given}", 400, f"parameter {name}")
    yield _get("messages of no company", "/messages?company_id=42", 400, "parameter company_id")
    yield _get(
        "messages: everything wrong at once",
        f"/messages?company_id=1&from=x&to=y&limit=0&cursor={CURSOR_OF_NO_FILTER}&since=z",
        400,
        "parameter company_id",
        "parameter from",
        "parameter to",
        "parameter limit",
        "parameter cursor",
        "parameter since",
    )
    yield _get(
        "message: unknown parameter, and an id that is not a UUID",
        "/message/1?x=1",
        400,
        "parameter message_id",
        "parameter x",
    )


NAMES_REFUSED: tuple[object, ...] = (
    "",
    "   ",
    "\u00a0\u2003",
    "x" * 65,
    "a\u0000b",
    "a\nb",
    "a\u007fb",
    "a\u0085b",
    "a\u2028b",
    "\U0001f409",
    "../x",
    "a/b",
    "a\\b",
    "a\u200bb",
    "\u200cab",
    "a\u200d",
    "a\u200c\u200db",
    "1\u200d2",
    "a\u202eb",
    "a\u2066b",
    "\u3164",
    "\u02bc",
    "a\u20f7",
    "a\U00010d4a",
    "..",
    "<b>",
    1,
    ["Ember"],
    True,
)

TEXT_FIELDS: Mapping[str, int] = {
    name: field.rule.length_max for name, field in FIELDS.items() if field.rule is not DragonName
}

PHONES_REFUSED: tuple[object, ...] = (
    "1",
    "++15555550100",
    "+",
    "+0123",
    "0049301234567",
    "+49 30 1234567",
    "+1234567890123456",
    "+1\n",
    "15555550100 ",
    " ",
    15555550100,
)


def _dragons() -> Iterable[Case]:
    for value in NAMES_REFUSED:
        body = dragon_body(dragon_name_str=value)
        yield _post_dragon(f"name {value!r:.30}", body, 400, "pointer #/dragon_name_str")
    null_name = dragon_body().replace(b'"Ember"', b"null")
    yield _post_dragon("name null", null_name, 400, "pointer #/dragon_name_str")
    for member, characters_max in TEXT_FIELDS.items():
        for name, value in {
            "missing": None,
            "blank": " \t",
            "too long": "x" * (characters_max + 1),
            "a list": [],
        }.items():
            yield _post_dragon(f"{member} {name}", dragon_body(**{member: value}), 400, f"pointer #/{member}")
    for phone in PHONES_REFUSED:
        body = dragon_body(reportingPhoneNumber=phone)
        yield _post_dragon(f"phone {phone!r}", body, 400, "pointer #/reportingPhoneNumber")
    for phone in ("15555555555", "123", ""):
        body = dragon_body(reportingPhoneNumber=phone, confirmationRequired=True)
        yield _post_dragon(f"phone {phone!r} to be texted", body, 400, "pointer #/reportingPhoneNumber")
    without_phone = dragon_body(confirmationRequired=True)
    yield _post_dragon("confirmation without phone", without_phone, 400, "pointer #/reportingPhoneNumber")
    for value in ("yes", "true", 1, []):
        body = dragon_body(confirmationRequired=value)
        yield _post_dragon(f"confirmation {value!r}", body, 400, "pointer #/confirmationRequired")
    yield _post_dragon("a name twice", dragon_body(dragonName="Ember"), 400, "pointer #/dragonName")
    yield _post_dragon(
        "an alias at fault is shown as it was sent",
        dragon_body(dragon_name_str=None, dragonName="a/b"),
        400,
        "pointer #/dragonName",
    )
    yield _post_dragon("unknown member", dragon_body(submission_id="x"), 400, "pointer #/submission_id")
    yield _post_dragon(
        "several faults at once",
        dragon_body(dragon_name_str="a/b", family_str=None, confirmationRequired=True, colour="red"),
        400,
        "pointer #/dragon_name_str",
        "pointer #/family_str",
        "pointer #/reportingPhoneNumber",
        "pointer #/colour",
    )
    for name, key in {"too long": "k" * 256, "blank": '""', "with a space": "a b"}.items():
        headers = {**JSON, "Idempotency-Key": key}
        yield _post_dragon(f"idempotency key {name}", dragon_body(), 400, "header Idempotency-Key", headers=headers)


def _put_dragon(name: str, body: bytes, status: int, *places: str, headers: Mapping[str, str] = JSON) -> Case:
    seen = {"If-Match": "*", **headers}
    return Case(f"correction: {name}", "PUT", "/dragons/Ember", status, tuple(sorted(places)), seen, body)


def _corrections() -> Iterable[Case]:
    for name in ("empty", "a list", "invalid UTF-8", "33 levels", "10,000 levels"):
        yield _put_dragon(name, MALFORMED[name], 400, "pointer #")
    yield _put_dragon("256 KiB and a byte", OVERSIZED["256 KiB and a byte"], 413)
    for name, headers in OTHER_MEDIA_TYPES.items():
        yield _put_dragon(name, dragon_body(), 415, headers=headers)
    yield _put_dragon("another name", dragon_body("Ash"), 400, "pointer #/dragon_name_str")
    aliased = dragon_body(dragon_name_str=None, dragonName="Ash")
    yield _put_dragon("another name, under its alias", aliased, 400, "pointer #/dragonName")
    yield _put_dragon(
        "several faults at once",
        dragon_body("Ash", family_str="", description_str=None, reportingPhoneNumber="+15555550100", submission_id="x"),
        400,
        "pointer #/dragon_name_str",
        "pointer #/family_str",
        "pointer #/description_str",
        "pointer #/reportingPhoneNumber",
        "pointer #/submission_id",
    )
    for value in ("abc", "'abc'", '"abc', '*, "abc"', ""):
        seen = {"If-Match": value}
        malformed = dragon_body(family_str="")
        yield Case(f"removal: If-Match {value}", "DELETE", "/dragons/Ember", 400, ("header If-Match",), seen)
        yield _put_dragon(
            f"If-Match {value}", malformed, 400, "header If-Match", "pointer #/family_str", headers={**JSON, **seen}
        )
    yield Case(
        "correction: of a version that was not seen", "PUT", "/dragons/Ember", 428, headers=JSON, body=dragon_body()
    )


def _cursor_of_version(version: int) -> str:
    text = json.dumps([version, "0" * 16, "a"]).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


CURSOR_OF_NO_FILTER = cursor_after("ember", DragonQuery())
CURSORS_REFUSED: Mapping[str, str] = {
    "of another filter": cursor_after("ember", DragonQuery.of("red", None)),
    "truncated": CURSOR_OF_NO_FILTER[:-5],
    "with more at its end": CURSOR_OF_NO_FILTER + "AAAA",
    "with a line break inside": CURSOR_OF_NO_FILTER[:4] + "\n" + CURSOR_OF_NO_FILTER[4:],
    "of version 1": _cursor_of_version(1),
    "that is not one": "ember",
    "empty": "",
    "not ASCII": "é",
    "of another form": base64.urlsafe_b64encode(b'{"version":1}').decode(),
}


def _queries() -> Iterable[Case]:
    for limit in ("0", "-1", "abc", "1001", "1.5", "", "1e2", "+1", "٣", "9" * 5000):
        yield _get(f"limit {limit:.10}", f"/dragons?{urlencode({'limit': limit})}", 400, "parameter limit")
    yield _get("limit twice", "/dragons?limit=1&limit=1", 400, "parameter limit")
    yield _get("family twice", "/dragons?family=red&family=green", 400, "parameter family")
    yield _get("unknown parameter", "/dragons?name=Ember", 400, "parameter name")
    yield _get("a parameter in another case", "/dragons?Limit=1", 400, "parameter Limit")
    yield _get("unknown parameter of one dragon", "/dragons/Ember?family=red", 400, "parameter family")
    for name in ("dragonName", "namePrefix", "family", "limit", "cursor"):
        for encoded in ("Bl%E5vinge", "%C3", "%ED%A0%80", "Bl%EF%BF%BDvinge"):
            yield _get(f"{name} {encoded} is not UTF-8", f"/dragons?{name}={encoded}", 400, f"parameter {name}")
    yield _get("a parameter whose name is not UTF-8", "/dragons?dragonNam%E5=x", 400, "parameter dragonNam\ufffd")
    for name, cursor in CURSORS_REFUSED.items():
        yield _get(f"cursor {name}", f"/dragons?{urlencode({'cursor': cursor})}", 400, "parameter cursor")
    yield _get("prefix twice", "/dragons?namePrefix=a&namePrefix=b", 400, "parameter namePrefix")
    yield _get("families with a filter", "/families?family=red", 400, "parameter family")
    yield _get("families with a cursor of dragons", f"/families?cursor={CURSOR_OF_NO_FILTER}&limit=0", 400,
               "parameter cursor", "parameter limit")  # fmt: skip
    yield _get("submissions of somebody", "/submissions?sub=somebody", 400, "parameter sub")
    yield _get("submissions with a cursor of dragons", f"/submissions?cursor={CURSOR_OF_NO_FILTER}&limit=1001", 400,
               "parameter cursor", "parameter limit")  # fmt: skip
    foreign = urlencode({"cursor": CURSOR_OF_NO_FILTER, "family": "red"})
    yield _get("cursor of no filter with a filter", f"/dragons?{foreign}", 400, "parameter cursor")
    yield _get(
        "several parameters at once",
        "/dragons?limit=0&cursor=x&sort=name&family=a&family=b",
        400,
        "parameter limit",
        "parameter cursor",
        "parameter sort",
        "parameter family",
    )


REFUSED: tuple[Case, ...] = (
    *_bodies(),
    *_message_parts(),
    *_message_values(),
    *_message_faults(),
    *_message_reads(),
    *_dragons(),
    *_corrections(),
    *_queries(),
)

TIMES_ACCEPTED = (
    "2023-12-10T22:02:38Z",
    "2023-12-10T22:02:38+01:00",
    "2023-12-10T22:02:38-00:00",
    "2023-12-10T22:02:38.123456789123Z",
    "2023-12-10t22:02:38z",
    "2024-02-29T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
)

AMOUNTS_ACCEPTED = (
    "0",
    "-0",
    "1e-7",
    "20",
    "19.99",
    "0.1",
    "12345678901234567890.12",
    "1" * 38,
    "1" + "0" * 60,
    "1e100",
    "1E-100",
)


def _message_case(name: str, headers: Mapping[str, str] = JSON, **changes: Mapping[str, str]) -> Case:
    """Return a message that is accepted. Its id is its own, and the same in every run."""
    message_id = f'"{uuid.uuid5(uuid.NAMESPACE_URL, f"urn:dragonpost:test:{name}")}"'
    metadata = {"message_id": message_id} | dict(changes.get("metadata", {}))
    body = message_body(metadata, dict(changes.get("data", {})))
    return Case(f"message: {name}", "POST", "/post-message", 202, headers=headers, body=body)


def _accepted_messages() -> Iterable[Case]:
    yield _message_case("content type in another case", {"Content-Type": "Application/JSON; charset=UTF-8"})
    yield _message_case("parameters of the content type", {"Content-Type": 'application/json;;a=b ; c="d; \\"e"'})
    yield _message_case("a content encoding that changes nothing", {**JSON, "Content-Encoding": "Identity"})
    yield _message_case("upper-case UUIDs", metadata={"message_id": '"FC0DAAD3-4F10-4D15-B8C6-276CCA111E88"'})
    for time in TIMES_ACCEPTED:
        yield _message_case(f"message_time {time}", metadata={"message_time": f'"{time}"'})
        yield _message_case(f"order_time {time}", data={"order_time": f'"{time}"'})
    for amount in AMOUNTS_ACCEPTED:
        yield _message_case(f"order_amount {amount}", data={"order_amount": amount})
    yield _message_case("further members of data", data={"items": '[{"sku":"é","price":0.10}]', "note": "null"})
    yield _message_case("32 levels", data={"deep": "[" * 30 + "]" * 30})
    yield _message_case("brackets in a string are not levels", data={"note": '"' + "[{" * 50 + '\\""'})
    yield _message_case("characters that SQS refuses", data={"note": '"\\u0001 \uffff \\ufffe"'})
    largest = _message_case("256 KiB")
    assert largest.body is not None
    yield Case(largest.name, "POST", "/post-message", 202, headers=JSON, body=_padded(largest.body, BODY_BYTES_MAX))


ACCEPTED: tuple[Case, ...] = (
    *_accepted_messages(),
    _get(
        "a filter is data",
        f"/dragons?{urlencode({'dragonName': chr(39) + ' OR ' + chr(39) + '1' + chr(39) + '=' + chr(39) + '1'})}",
        200,
    ),
    _get("a name with characters that a path may not hold", "/dragons/%27%20OR%20%271%27%3D%271", 404),
    _get("a cursor of this query", f"/dragons?cursor={CURSOR_OF_NO_FILTER}", 200),
    _get("the largest limit", "/dragons?limit=1000", 200),
)

UNKNOWN: tuple[Unknown, ...] = (
    Unknown("no such route", "GET", "/nothing-here", 404, None),
    Unknown("no such method of the dragons", "PUT", "/dragons", 405, "GET, HEAD, POST"),
    Unknown("no such method of a dragon", "PATCH", "/dragons/Ember", 405, "GET, HEAD, PUT, DELETE"),
    Unknown("no such method of the message post", "GET", "/post-message", 405, "POST"),
    Unknown("no such method of the health check", "POST", "/health", 405, "GET, HEAD"),
)

ONE_NAME = ("Élan", "E\u0301LAN", " élan ", "É\ufe0flan", "Él\u200dan")
"""Spellings of one dragon's name. Whichever is added first, the others are its duplicates."""
