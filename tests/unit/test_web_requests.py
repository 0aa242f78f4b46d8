"""How requests are read, strictly."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.faults import Fault, InvalidInput
from chalicelib.web import problems, requests
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.requests import Request
from tests.lambda_events import claims, proxy_event


def request(reference: str = "/dragons", route: str | None = None, **options: Any) -> Request:
    """Return a request as the application makes it from the gateway's event."""
    return Request(proxy_event("POST", reference, route or urlsplit(reference).path, **options))


class TestBody:
    @pytest.mark.parametrize(
        "media_type", ["application/json", "Application/JSON; charset=UTF-8", " application/json ;x=y"]
    )
    def test_json_is_read_however_its_media_type_is_spelt(self, media_type: str) -> None:
        assert requests.json_object(request(headers={"content-type": media_type}, body=b'{"a":"b"}')) == {"a": "b"}

    @pytest.mark.parametrize(
        "media_type", [None, "text/plain", "application/jsonp", "text/json", "application/problem+json", "*/*"]
    )
    def test_other_media_types_are_a_415(self, media_type: str | None) -> None:
        headers = {} if media_type is None else {"Content-Type": media_type}
        with pytest.raises(ProblemRaised) as raised:
            requests.json_object(request(headers=headers, body=b"{}"))

        assert raised.value.problem == problems.NOT_JSON

    @pytest.mark.parametrize("media_type", ["", " ", "json", "application/json, text/plain", "a/b; c", "a/b c=d"])
    def test_a_malformed_media_type_is_a_fault_of_its_header(self, media_type: str) -> None:
        with pytest.raises(InvalidInput) as invalid:
            requests.json_object(request(headers={"Content-Type": media_type}, body=b"{}"))

        rule = "must be given once, as a media type such as application/json"
        assert list(invalid.value.faults) == [Fault("header", "Content-Type", rule)]

    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "deflate", "GZIP", "aws-chunked"])
    def test_an_encoded_body_is_a_415_that_says_what_is_taken(self, coding: str) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}
        with pytest.raises(ProblemRaised) as raised:
            requests.json_object(request(headers=headers, body=b"{}"))

        assert raised.value.problem == problems.ENCODED_BODY
        assert raised.value.problem.headers == {"Accept-Encoding": "identity"}, "RFC 9110 §15.5.16"

    @pytest.mark.parametrize("coding", ["identity", "Identity", " identity "])
    def test_identity_is_no_encoding(self, coding: str) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}

        assert requests.json_object(request(headers=headers, body=b"{}")) == {}

    @pytest.mark.parametrize(
        "coding", ["", " ", ",", "gzip, br", ["identity", "identity"], ["gzip", "gzip"], "a b", '"gzip"']
    )
    def test_a_malformed_content_encoding_is_a_fault_of_its_header(self, coding: str | list[str]) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}
        with pytest.raises(InvalidInput) as invalid:
            requests.json_object(request(headers=headers, body=b"{}"))

        rule = "must be given once, as one content coding such as identity"
        assert list(invalid.value.faults) == [Fault("header", "Content-Encoding", rule)]

    def test_every_bad_header_of_a_body_is_listed(self) -> None:
        with pytest.raises(InvalidInput) as invalid:
            requests.json_object(request(headers={"Content-Type": "x", "Content-Encoding": ","}, body=b"{}"))

        assert [fault.name for fault in invalid.value.faults] == ["Content-Type", "Content-Encoding"]

    def test_a_body_of_the_largest_size_is_read(self) -> None:
        body = b"{}".ljust(requests.BODY_BYTES_MAX)

        assert requests.json_object(request(headers={"Content-Type": "application/json"}, body=body)) == {}

    def test_one_byte_more_is_a_413_before_anything_is_parsed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(body: bytes) -> None:
            raise AssertionError("parsed")

        monkeypatch.setattr(requests.exact_json, "parse_object", refuse)
        body = b"{}".ljust(requests.BODY_BYTES_MAX + 1)
        with pytest.raises(ProblemRaised) as raised:
            requests.json_object(request(headers={"Content-Type": "application/json"}, body=body))

        assert raised.value.problem == problems.body_too_large(256 * 1024)

    def test_a_body_that_came_as_text_is_read_too(self) -> None:
        event = proxy_event("POST", "/dragons", "/dragons", headers={"Content-Type": "application/json"})

        assert requests.json_object(Request(event | {"body": '{"a":"é"}'})) == {"a": "é"}


class TestParameters:
    def test_known_parameters_are_accepted_and_all_others_are_faults(self) -> None:
        found = requests.parameters(request("/dragons?a=1&b=&c=x&c=y&d=1&%C3%A9=2"), frozenset("abc"))

        with pytest.raises(InvalidInput) as invalid:
            found.check()

        assert found.values == {"a": "1", "b": ""}
        assert list(invalid.value.faults) == [
            Fault("parameter", "c", "is given more than once"),
            Fault("parameter", "d", "is not known here (known: a, b, c)"),
            Fault("parameter", "é", "is not known here (known: a, b, c)"),
        ]

    def test_a_value_that_is_not_utf8_is_a_fault_that_says_so(self) -> None:
        found = requests.parameters(request("/dragons?a=Bl%E5vinge&b=1"), frozenset("ab"))

        with pytest.raises(InvalidInput) as invalid:
            found.check()

        assert found.values == {"b": "1"}
        assert list(invalid.value.faults) == [Fault("parameter", "a", "must be percent-encoded UTF-8, without U+FFFD")]

    def test_a_value_that_is_longer_than_documented_is_a_fault(self) -> None:
        longest = "x" * requests.VALUE_LENGTH_MAX
        found = requests.parameters(request(f"/dragons?a={longest}x&b={longest}"), frozenset("ab"))

        with pytest.raises(InvalidInput) as invalid:
            found.check()

        assert found.values == {"b": longest}
        assert list(invalid.value.faults) == [Fault("parameter", "a", "must be at most 4,096 characters long")]

    def test_the_fault_says_so_if_the_route_knows_no_parameters(self) -> None:
        with pytest.raises(InvalidInput, match="known: none"):
            requests.parameters(request("/dragons?a=1")).check()

    def test_no_query_means_no_faults(self) -> None:
        found = requests.parameters(request(), frozenset("a"))
        found.check()

        assert found.take("a", int) is None

    def test_a_value_that_a_parser_refuses_is_a_fault_with_the_parsers_message(self) -> None:
        found = requests.parameters(request("/dragons?a=x&b=2"), frozenset("ab"))

        assert (found.take("a", int), found.take("b", int)) == (None, 2)
        with pytest.raises(InvalidInput) as invalid:
            found.check()
        (fault,) = invalid.value.faults
        assert fault == Fault("parameter", "a", "invalid literal for int() with base 10: 'x'")

    def test_a_parameter_of_the_path_is_parsed_in_the_same_way(self) -> None:
        found = requests.parameters(request("/dragons?a=1"), frozenset("a"))

        assert (found.parsed("b", "2", int), found.values) == (2, {"a": "1"})
        assert found.parsed("b", "x", int) is None
        with pytest.raises(InvalidInput, match="b: invalid literal"):
            found.check()


class TestPath:
    @pytest.mark.parametrize(
        ("reference", "route", "stage", "prefix"),
        [
            ("/dragons", "/dragons", "prod", "/prod"),
            ("/dragons", "/dragons", "", ""),
            ("/dragons/a%2Fb", "/dragons/{dragon_name}", "dev", "/dev"),
            ("/dragons/Ember", "/dragons/{dragon_name}", "", ""),
            ("/dragons", "/dragons", "base/path", "/base/path"),
            ("/", "/", "prod", "/prod"),
        ],
    )
    def test_the_prefix_is_the_part_before_the_route(self, reference: str, route: str, stage: str, prefix: str) -> None:
        assert requests.path_prefix(request(reference, route, stage=stage)) == prefix

    @pytest.mark.parametrize(
        ("encoded", "text"),
        [("a", "a"), ("a%20b", "a b"), ("%C3%89", "É"), ("a+b", "a+b"), ("100%", "100%"), ("É", "É")],
    )
    def test_path_parameters_are_decoded(self, encoded: str, text: str) -> None:
        assert requests.path_text(encoded) == text

    def test_a_path_that_is_not_utf8_is_not_found(self) -> None:
        with pytest.raises(ProblemRaised) as raised:
            requests.path_text("%ff")

        assert raised.value.problem == problems.PATH_NOT_UTF_8


class TestClaims:
    def test_are_those_of_the_gateways_authorizer(self) -> None:
        assert requests.claims(request(token_claims=claims())) == claims()

    @pytest.mark.parametrize("authorizer", [None, {}, [], "x", {"claims": None}, {"claims": "x"}, {"principalId": "x"}])
    def test_without_an_authorizer_there_are_none(self, authorizer: Any) -> None:
        event = proxy_event("GET", "/dragons", "/dragons")
        event["requestContext"]["authorizer"] = authorizer

        assert requests.claims(Request(event)) is None


def request_id_of(event: dict[str, Any]) -> str:
    """Return the id that a request of this event gets."""
    return Request(event).id


class TestRequestId:
    @pytest.mark.parametrize("given", ["a" * 8, "a" * 64, "A-Z_0.9-x"])
    def test_is_the_clients_if_it_is_well_formed(self, given: str) -> None:
        assert request_id_of({"headers": {"x-Request-ID": given}}) == given

    @pytest.mark.parametrize("given", ["a" * 7, "a" * 65, "with space", "né-123456", 'a"bcdefgh', "abcdefgh\n", None])
    def test_is_the_gateways_otherwise(self, given: str | None) -> None:
        event = {"headers": {"X-Request-Id": given}, "requestContext": {"requestId": "gateways"}}

        assert request_id_of(event) == "gateways"

    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"headers": None},
            *({"requestContext": {"requestId": given}} for given in (None, [], 1, "", "new\nline-1")),
            *({"requestContext": given} for given in (None, [], "x")),
        ],
    )
    def test_is_a_new_one_if_the_gateway_sent_none(self, event: dict[str, Any]) -> None:
        assert request_id_of(event) != request_id_of(event)


NAMES = st.sampled_from(["Accept", "accept", "Prefer", "PREFER", "X-Request-Id"])
VALUES = st.sampled_from(["a", "b, c", "", None, 1])


class TestHeaderLines:
    def test_several_lines_are_one_list_in_their_order(self) -> None:
        found = request(headers={"Prefer": ["respond-async", "wait=5", "wait=2"], "If-Match": ['"a"', 'W/"b", "c"']})

        assert requests.header(found, "prefer") == "respond-async, wait=5, wait=2"
        assert requests.header(found, "If-Match") == '"a", W/"b", "c"'

    def test_names_are_the_same_in_any_case(self) -> None:
        event = {"multiValueHeaders": {"Prefer": ["a"], "prefer": ["b"]}, "headers": {"PREFER": "b"}}

        assert Request(event).headers["prefer"] == "a, b"

    def test_a_server_that_passes_on_one_line_only_is_understood(self) -> None:
        for lines in ({}, {"multiValueHeaders": None}, {"multiValueHeaders": {"Accept": ["x/y"]}}):
            assert Request({"headers": {"Prefer": "wait=1"}} | lines).headers["prefer"] == "wait=1"

    @pytest.mark.parametrize("name", ["Idempotency-Key", "Content-Type"])
    def test_what_may_be_given_once_is_a_fault_if_it_is_given_twice(self, name: str) -> None:
        given = {"Content-Type": ["application/json"], "Idempotency-Key": ["a"]}
        twice = request(headers=given | {name: given[name] * 2}, body=b"{}")

        read = requests.idempotency_key if name == "Idempotency-Key" else requests.json_object
        with pytest.raises(InvalidInput) as invalid:
            read(twice)

        (fault,) = invalid.value.faults
        assert (fault.place, fault.name) == ("header", name)
        assert fault.detail.startswith("must be given once")

    def test_two_request_ids_are_none(self) -> None:
        event = proxy_event("GET", "/", "/", headers={"X-Request-Id": ["my-request-1", "my-request-2"]})

        assert request_id_of(event) == event["requestContext"]["requestId"]


@settings(deadline=None)
@given(
    headers=st.dictionaries(NAMES, VALUES),
    lines=st.dictionaries(NAMES, st.lists(VALUES, max_size=2) | st.just("x")),
    alike=st.booleans(),
)
def test_lines_are_combined_by_one_rule_however_many_there_are(
    headers: dict[str, Any], lines: dict[str, Any], alike: bool
) -> None:
    if alike:
        lines = {name: [value] for name, value in headers.items()} | lines
    expected = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    combined: dict[str, list[str]] = {}
    for name, values in lines.items():
        if isinstance(values, list):
            combined.setdefault(name.lower(), []).extend(text for text in values if isinstance(text, str))
    expected |= {name: ", ".join(texts) for name, texts in combined.items() if texts}

    found = Request({"headers": headers, "multiValueHeaders": lines}).headers
    assert found == {"accept": "*/*"} | expected


class TestIdempotencyKey:
    @pytest.mark.parametrize(
        ("value", "key"),
        [
            (None, None),
            ("abc", "abc"),
            ('"abc"', "abc"),
            (' "abc" ', "abc"),
            ("k" * 255, "k" * 255),
        ],
    )
    def test_is_taken_with_or_without_quotes(self, value: str | None, key: str | None) -> None:
        headers = {} if value is None else {"idempotency-key": value}

        assert requests.idempotency_key(request(headers=headers)) == key

    @pytest.mark.parametrize("value", ["", '""', '"', 'a"b', '"a', "a b", "é", "k" * 256, "a\tb"])
    def test_must_be_visible_ascii_without_quotes(self, value: str) -> None:
        with pytest.raises(InvalidInput) as invalid:
            requests.idempotency_key(request(headers={"Idempotency-Key": value}))

        rule = "must be given once, as 1 to 255 visible ASCII characters without quotes"
        assert list(invalid.value.faults) == [Fault("header", "Idempotency-Key", rule)]


class TestIfMatch:
    @pytest.mark.parametrize("value", [None, "*", '"a"', 'W/"a", "b"'])
    def test_is_returned_as_it_is(self, value: str | None) -> None:
        assert requests.if_match(request(headers={} if value is None else {"if-match": value})) == value

    @pytest.mark.parametrize("value", ["", "abc", "'abc'", '*, "abc"'])
    def test_is_a_fault_if_it_is_malformed_and_the_fault_shows_what_it_looks_like(self, value: str) -> None:
        with pytest.raises(InvalidInput) as invalid:
            requests.if_match(request(headers={"If-Match": value}))

        (fault,) = invalid.value.faults
        assert (fault.place, fault.name) == ("header", "If-Match")
        assert fault.detail == 'must be * or ETags with their quotes, such as "yJ9Vq0F0Yp4s3m9rYb1Vd2hK"'

    def test_may_be_as_long_as_documented_and_no_longer(self) -> None:
        longest = f'"{"x" * (requests.VALUE_LENGTH_MAX - 2)}"'

        assert requests.if_match(request(headers={"If-Match": longest})) == longest
        with pytest.raises(InvalidInput, match="at most 4,096 characters"):
            requests.if_match(request(headers={"If-Match": f"{longest} "}))


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        (None, 0),
        ("", 0),
        ("wait=5", 5),
        ("WAIT=5", 5),
        ("wait = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=5", 5),
        ("wait=5; x=1, wait=2", 5),
        ('x="a, wait=3", wait=5', 5),
        ('x="a\\", wait=3", wait=5', 5),
        ('wait=5, x="a', 5),
        ('x="a, wait=5', 0),
        ("wait=0", 0),
        ("wait=10", 10),
        ("wait=11", 10),
        ("wait=999999999", 10),
        ("wait=9999999999999", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait", 0),
        ("waiting=5", 0),
        ("return=minimal", 0),
    ],
)
def test_a_preference_to_wait_is_clamped_and_ignored_if_it_is_not_understood(prefer: str | None, wait_s: int) -> None:
    headers = {} if prefer is None else {"Prefer": prefer}

    assert requests.wait_preferred_s(request(headers=headers)) == wait_s
