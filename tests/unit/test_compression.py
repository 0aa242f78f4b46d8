"""Compressed answers, and their entity tags."""

import base64
import gzip

import pytest

from chalicelib.web.compression import SIZE_MIN_BYTES, compressed
from chalicelib.web.conditional import match, none_match
from chalicelib.web.responses import Reply

LARGE = "[" + "1," * SIZE_MIN_BYTES + "1]"
WANTED = {"accept": "*/*", "accept-encoding": "br, gzip;q=0.8"}


def answer(body: str | bytes = LARGE, status: int = 200, **headers: str) -> Reply:
    return Reply(body if isinstance(body, bytes) else body.encode(), status, headers)


def test_a_large_answer_is_the_same_after_unpacking() -> None:
    packed = compressed(answer(), WANTED)

    assert packed["headers"]["Content-Encoding"] == "gzip"
    assert packed["headers"]["Vary"] == "Accept-Encoding"
    assert packed["isBase64Encoded"] is True
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == LARGE
    assert base64.b64decode(packed["body"])[4:8] == bytes(4), "no time in it: the same bytes whenever it is packed"


def test_a_small_answer_is_left_alone() -> None:
    small = answer(" " * (SIZE_MIN_BYTES - 1))

    assert compressed(small, WANTED) == small.to_dict()
    assert compressed(answer(" " * SIZE_MIN_BYTES), WANTED)["isBase64Encoded"]


@pytest.mark.parametrize(
    "accepted",
    [
        "",
        "br",
        "gzip;q=0",
        "gzip; q=0.0",
        "identity, gzip;q=0.000",
        "gzipped",
        "x-gzip-2",
        "gzip;q=x",
        "*;q=1, gzip;q=0",
        "*, x-gzip;q=0",
        "gzip;q=0, *",
        "*;q=0",
    ],
)
def test_a_client_that_does_not_accept_gzip_gets_the_plain_form_and_a_vary_header(accepted: str) -> None:
    plain = compressed(answer(ETag='"a"'), {"accept": "*/*", "accept-encoding": accepted})

    assert plain["body"] == LARGE
    assert plain["headers"]["ETag"] == '"a"'
    assert plain["headers"]["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "accepted", ["gzip", "GZIP", "deflate, gzip", "gzip;q=1.0, br", "*", "gzip ; q=0.001", "*;q=0, gzip"]
)
def test_every_way_to_ask_for_gzip_is_understood(accepted: str) -> None:
    packed = compressed(answer(), {"accept": "application/json", "accept-encoding": accepted})

    assert packed["headers"].get("Content-Encoding") == "gzip"


def test_a_client_that_does_not_say_what_it_takes_gets_the_plain_form() -> None:
    assert compressed(answer(), {"accept": "*/*"})["body"] == LARGE


def test_without_accept_the_gateway_would_send_base64_so_it_stays_plain() -> None:
    assert compressed(answer(), {"accept-encoding": "gzip"})["body"] == LARGE


@pytest.mark.parametrize("accepted", ["", " ", ";", ";q=1", ",", ", */*", "text", "/", "*/"])
def test_an_accept_that_does_not_begin_with_a_media_type_counts_as_none(accepted: str) -> None:
    assert compressed(answer(), {"accept": accepted, "accept-encoding": "gzip"})["body"] == LARGE


@pytest.mark.parametrize(
    "accepted", ["*/*", " text/html, */*;q=0.8", "application/vnd.api+json;version=1", "text/* ;q=1"]
)
def test_every_accept_that_begins_with_a_media_type_will_do(accepted: str) -> None:
    assert compressed(answer(), {"accept": accepted, "accept-encoding": "gzip"})["isBase64Encoded"]


def test_an_answer_that_is_packed_or_not_text_is_left_alone() -> None:
    image = answer(**{"Content-Type": "image/png"})
    binary = answer(b"\xff" * SIZE_MIN_BYTES)

    assert compressed(image, WANTED) == image.to_dict()
    assert compressed(binary, WANTED) == binary.to_dict()


@pytest.mark.parametrize(
    "content_type",
    ["application/problem+json", "text/html; charset=utf-8", "image/svg+xml", "application/json;charset=utf-8"],
)
def test_every_kind_of_text_is_compressed(content_type: str) -> None:
    assert compressed(answer(**{"Content-Type": content_type}), WANTED)["isBase64Encoded"]


def test_each_form_has_its_own_tag_and_preconditions_accept_either() -> None:
    of_gzip = compressed(answer(ETag='"abc"'), WANTED)["headers"]["ETag"]

    assert of_gzip == '"abc-gzip"'
    assert not none_match(of_gzip, '"abc"')
    assert not none_match(f'"other", W/{of_gzip}', '"abc"')
    assert match(of_gzip, '"abc"')
    assert not match(f"W/{of_gzip}", '"abc"'), "If-Match compares strongly"


@pytest.mark.parametrize(("held", "told"), [('"abc-gzip"', '"abc-gzip"'), ('"abc"', '"abc"'), ("*", '"abc"')])
def test_not_modified_names_the_tag_of_the_form_that_the_client_has(held: str, told: str) -> None:
    unchanged = compressed(answer("", 304, ETag='"abc"'), {**WANTED, "if-none-match": held})

    assert unchanged["headers"]["ETag"] == told
    assert unchanged["headers"]["Vary"] == "Accept-Encoding"
    assert unchanged["body"] == ""


def test_not_modified_names_the_plain_forms_tag_to_a_client_that_named_none() -> None:
    assert compressed(answer("", 304, ETag='"abc"'), WANTED)["headers"]["ETag"] == '"abc"'
