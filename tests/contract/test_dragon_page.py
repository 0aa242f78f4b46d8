"""docs/api.md lists a dragon's fields as the service declares them."""

from __future__ import annotations

import re

from chalicelib.dragons.model import FIELDS
from operations import PROJECT


def test_the_table_of_fields_has_each_with_its_alias_and_its_length() -> None:
    page = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")

    listed = re.findall(r"^\| `(\w+_str)` \| `(\w+)` \| 1.([\d,]+) ", page, re.MULTILINE)

    assert listed == [(name, field.alias, f"{field.rule.length_max:,}") for name, field in FIELDS.items()]
