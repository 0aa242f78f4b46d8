"""docs/problems.md has a section for each type of problem, which says what happened and what to do."""

from __future__ import annotations

import json
import re

from chalicelib.web import problems
from operations import PROJECT
from operations.generate.gateway_responses import gateway_responses
from operations.generate.openapi import DOCUMENT

PAGE = (PROJECT / "docs" / "problems.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))


def test_every_type_has_a_section_and_every_section_has_a_type() -> None:
    types = {value for name, value in vars(problems).items() if name.isupper() and str(value).startswith("urn:")}

    assert types == set(problems.TITLES)
    assert set(SECTIONS) == types | {"about:blank"}


def test_every_section_says_what_to_do() -> None:
    for kind in problems.TITLES:
        assert "*What to do:*" in SECTIONS[kind], kind
        assert re.search(r"^\*\*[45]\d\d\b", SECTIONS[kind], re.MULTILINE), kind


def test_every_status_of_the_document_and_of_the_gateway_is_explained() -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    statuses = {
        status
        for item in document["paths"].values()
        for operation in item.values()
        for status in operation["responses"]
        if status >= "400"
    }
    statuses |= {str(answer["StatusCode"]) for answer in gateway_responses({}).values()}

    explained = set(re.findall(r"^\| (\d{3}) \|", SECTIONS["about:blank"], re.MULTILINE))
    explained |= {status for text in SECTIONS.values() for status in re.findall(r"^\*\*(\d{3})", text, re.MULTILINE)}

    assert statuses <= explained
