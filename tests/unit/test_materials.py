"""The bill of materials: complete, in CycloneDX's form, and with licences that somebody has looked at."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing

from operations import PROJECT, materials
from operations.deploy.commands import DeployError
from tests.locked import OF_THE_PACKAGE, locked

VENDOR = PROJECT / "vendor"


def described(folder: Path, *lines: str) -> Path:
    """Make a package whose metadata have these lines, and return the folder that it is in."""
    metadata = folder / "found-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("\n".join(("Metadata-Version: 2.4", "Name: found", "Version: 1.0", *lines)), encoding="utf-8")
    return folder


def test_what_ships_is_on_it_in_the_versions_that_are_locked() -> None:
    listed = {part.name: part.version for part in materials.parts()}
    del listed["chalice"]  # its runtime, which comes with what deploys

    assert listed == locked(*OF_THE_PACKAGE)


def test_it_is_what_cyclonedx_says() -> None:
    made = json.dumps(materials.bill(materials.parts()))

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made) is None


def test_every_licence_is_one_of_spdx() -> None:
    inside = [each.licence for parts in materials.INSIDE.values() for each in parts]
    licences = {*materials.ALLOWED, *inside, *(part.licence for part in materials.parts())}

    assert not [each for each in licences if get_spdx_licensing().validate(each).errors]
    assert set(inside) <= materials.ALLOWED


def test_the_same_package_has_the_same_bill(tmp_path: Path) -> None:
    package = tmp_path / "deployment.zip"
    parts = materials.parts()
    package.write_bytes(b"one")
    first, again = (materials.bill(parts, package) for _ in range(2))
    package.write_bytes(b"another")

    assert first == again
    assert materials.bill(parts, package)["serialNumber"] != first["serialNumber"]


@pytest.mark.parametrize(
    "lines",
    [["License-Expression: AGPL-3.0-only"], ["License: Dual"], []],
    ids=["a licence that does not allow it", "no name of a licence", "no licence"],
)
def test_a_licence_that_nobody_has_looked_at_stops_the_package(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(DeployError, match=r"found 1\.0"):
        materials.parts(described(tmp_path, *lines))


@pytest.mark.parametrize(("part", "inside"), [(part, each) for part, of in materials.INSIDE.items() for each in of])
def test_what_is_inside_a_part_is_there(part: str, inside: materials.Inside) -> None:
    assert ((PROJECT if part == "dragonpost" else VENDOR) / inside.path).exists()


def test_what_this_repository_has_of_others_is_on_it() -> None:
    """The file itself says that it is Amazon's, and the page that `make sbom` prints the same as the page."""
    made = materials.bill(materials.parts())["metadata"]["component"]["components"]

    assert "dragonpost#chalicelib/amazon_roots.crt" in [each["bom-ref"] for each in made]


def test_what_is_inside_a_part_has_the_version_that_it_says() -> None:
    six, swagger = materials.INSIDE["botocore"][3], materials.INSIDE["star-openapi-swagger"][0]
    said = re.search(r'__version__ = "([^"]+)"', (VENDOR / six.path).read_text(encoding="utf-8"))

    assert said
    assert said[1] == six.version
    assert swagger.version == locked(*OF_THE_PACKAGE)["star-openapi-swagger"]
