"""A dragon's fields in docs/api.md, and what a new field owes to the dragons that are stored already."""

from __future__ import annotations

import json
import re

from chalicelib.dragons.document import Document
from chalicelib.dragons.model import FIELDS, STORED_DEFAULTS
from operations import PROJECT


def test_the_table_of_fields_has_each_with_its_alias_and_its_length() -> None:
    page = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")

    listed = re.findall(r"^\| `(\w+_str)` \| `(\w+)` \| 1.([\d,]+) ", page, re.MULTILINE)

    assert listed == [(name, field.alias, f"{field.rule.length_max:,}") for name, field in FIELDS.items()]


def test_a_field_that_came_after_the_release_has_a_default_for_dragons_that_are_stored() -> None:
    """Without one, the document of every stage that is running would be corrupt after the next deployment."""
    released = json.loads((PROJECT / "docs" / "openapi.released.json").read_text(encoding="utf-8"))
    at_release = released["components"]["schemas"]["Dragon"]["properties"].keys()

    assert FIELDS.keys() - at_release <= STORED_DEFAULTS.keys()


def test_the_first_dragons_are_a_document_that_the_service_reads() -> None:
    document = Document.parsed((PROJECT / "infrastructure" / "dragons.json").read_bytes())

    assert len(document.dragons) > 50
    assert document.namesakes() == []
