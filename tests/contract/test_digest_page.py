"""docs/api.md describes the canonical form and its digest, which clients may compute; its test vectors are true."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal

import pytest

from chalicelib.exact_json import canonical, parse_object
from chalicelib.messages.model import message_from
from operations import PROJECT

SECTION = (
    (PROJECT / "docs" / "api.md").read_text(encoding="utf-8").partition("\n### Digests\n")[2].partition("\n## ")[0]
)
VECTORS = re.findall(
    r"```json\n(?P<body>.*?)```\n+```text\n(?P<canonical>.*?)\n(?P<digest>sha-256:[0-9a-f]{64})\n```",
    SECTION,
    re.DOTALL,
)
NUMBERS = re.findall(r"^\| `(\S+)` \| `(\S+)` \|$", SECTION, re.MULTILINE)


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 3
    assert len(NUMBERS) >= 8


@pytest.mark.parametrize(("body", "form", "digest"), VECTORS, ids=[digest[8:16] for *_, digest in VECTORS])
def test_each_vector_is_what_the_service_computes(body: str, form: str, digest: str) -> None:
    message = message_from(parse_object(body))

    assert message.canonical().decode() == form
    assert message.digest() == digest == "sha-256:" + hashlib.sha256(form.encode()).hexdigest()


@pytest.mark.parametrize(("sent", "written"), NUMBERS)
def test_each_number_is_written_as_the_page_says(sent: str, written: str) -> None:
    assert canonical(parse_object(f'{{"n":{sent}}}')).decode() == f'{{"n":{written}}}'
    assert written == by_the_rule_of_the_page(sent)


@pytest.mark.parametrize("digits", ["1", "12", "1234567", "1000001"])
@pytest.mark.parametrize("exponent", [*range(-14, 10), 400, -400])
def test_the_rule_of_the_page_gives_every_number(digits: str, exponent: int) -> None:
    for sent in (f"{digits}e{exponent}", f"-{digits}00e{exponent}"):
        assert canonical(parse_object(f'{{"n":{sent}}}')).decode() == f'{{"n":{by_the_rule_of_the_page(sent)}}}'


def by_the_rule_of_the_page(sent: str) -> str:
    """Write a number as the page tells a client to."""
    sign, digits_as_sent, exponent = Decimal(sent).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, digits_as_sent)).lstrip("0")
    power = exponent + len(digits) - 1  # of ten: the value is d.ddd… times that
    digits = digits.rstrip("0")
    if not digits:
        return "0"
    count = len(digits)
    if power < -6 or power >= count:
        fraction = f".{digits[1:]}" if count > 1 else ""
        text = f"{digits[0]}{fraction}E{power:+d}"
    elif power < 0:
        text = "0." + "0" * (-power - 1) + digits
    else:
        whole, fraction = digits[: power + 1], digits[power + 1 :]
        text = f"{whole}.{fraction}" if fraction else whole
    return "-" + text if sign else text
