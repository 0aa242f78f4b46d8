"""The console compares a message that was posted with the one that is stored, as their digests do."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest

from chalicelib.exact_json import parse_object
from chalicelib.messages.model import message_from
from chalicelib.web import pages
from tests.samples import COMPANY, MESSAGE_ID, ORDER_ID

PROGRAM = """
const { compared, read, written } = await import(`data:text/javascript;base64,${process.argv[1]}`);
const pairs = JSON.parse(process.argv[2]);
console.log(JSON.stringify(pairs.map((pair) => {
  const [one, other] = pair.map(read);
  return { differing: compared(one, other).filter((row) => !row.same), written: written(one) };
})));
"""
PAIRS = {
    "the same text": ("20", "20", "a", "a"),
    "a zero at the end": ("19.90", "19.9", "a", "a"),
    "an exponent": ("20.0", "2e1", "a", "a"),
    "a negative exponent": ("0.00000150", "1.5e-6", "a", "a"),
    "a large exponent": ("1e100", "10e99", "a", "a"),
    "zero in other forms": ("0", "0.00e5", "a", "a"),
    "digits that JavaScript's numbers lose": ("12345678901234567890.12", "12345678901234567890.13", "a", "a"),
    "another number": ("20", "21", "a", "a"),
    "another power of ten": ("2e1", "2e2", "a", "a"),
    "an escaped letter": ("1", "1", r"\u0061\/", "a/"),
    "another case": ("1", "1", "a", "A"),
    "another form of Unicode": ("1", "1", "\u00e9", "e\u0301"),
}


def message(amount: str, text: str, *, upper: bool = False, more: str = "") -> str:
    company = COMPANY.upper() if upper else COMPANY
    return f"""{{"metadata": {{"message_time": "2023-12-10T22:02:38Z", "company_id": "{company}",
        "message_id": "{MESSAGE_ID}"}}, "data": {{"order_id": "{ORDER_ID}", "order_time": "2023-12-10T22:00:00Z",
        "order_amount": {amount}, "note": "{text}", "items": [{{"price": {amount}}}, [], {{}}, null, true]{more}}}}}"""


def told(pairs: list[tuple[str, str]]) -> list[dict[str, object]]:
    script = base64.b64encode((pages.STATIC / "exact.js").read_bytes()).decode()
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", PROGRAM, script, json.dumps(pairs)],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(ran.stdout))


def digest(text: str) -> str:
    return message_from(parse_object(text.encode())).digest()


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    return [
        *((message(a, c), message(b, d)) for a, b, c, d in PAIRS.values()),
        (message("1", "a", upper=True), message("1", "a")),
        (message("1", "a", more=', "gift": {}'), message("1", "a")),
        (message("1", "a", more=', "gift": []'), message("1", "a", more=', "gift": {}')),
    ]


def test_two_messages_differ_in_the_console_exactly_if_their_digests_do(pairs: list[tuple[str, str]]) -> None:
    answers = told(pairs)

    assert [answer["differing"] == [] for answer in answers] == [digest(one) == digest(other) for one, other in pairs]


def test_what_is_shown_as_json_is_the_same_message(pairs: list[tuple[str, str]]) -> None:
    assert [digest(str(answer["written"])) for answer in told(pairs)] == [digest(one) for one, _ in pairs]
