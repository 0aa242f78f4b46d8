"""What the Lambda package is made of, with versions and licences: `make sbom` prints it as CycloneDX.

https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from operations import PROJECT
from operations.deploy.commands import DeployError
from operations.generate.characters import UNICODE_VERSION

# What may be shipped with a project of the MIT licence, by SPDX's names (https://spdx.org/licenses/).
ALLOWED = frozenset({"Apache-2.0", "BSD-3-Clause", "MIT", "MIT-0", "MPL-2.0", "OFL-1.1", "PSF-2.0", "Unicode-3.0"})

# What packages say of their licence, where it is no name of SPDX's.
_SAID = {
    "Apache License 2.0": "Apache-2.0",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",  # python-dateutil's LICENSE: whichever of the two you choose
}
# Powertools says MIT, and its LICENSE is MIT-0.
_MEANT = {("aws-lambda-powertools", "MIT"): "MIT-0"}


@dataclass(frozen=True)
class Inside:
    """What a part has in it of others: where, what, and under which licence.

    `version` is None if the file does not say it. `registry` is `pypi` or `npm` if it is a package there.
    """

    path: str
    name: str
    licence: str
    version: str | None = None
    registry: str | None = None

    @property
    def purl(self) -> str | None:
        """https://github.com/package-url/purl-spec"""
        versioned = f"@{self.version}" if self.version else ""
        return f"pkg:{self.registry}/{self.name}{versioned}" if self.registry else None


_OF_REQUESTS = "botocore/vendored/requests"
# By the part that brings it. `dragonpost` is the project itself.
INSIDE = {
    "botocore": (
        Inside("botocore/cacert.pem", "Mozilla's root certificates", "MPL-2.0"),
        Inside(_OF_REQUESTS, "requests", "Apache-2.0", registry="pypi"),
        Inside(f"{_OF_REQUESTS}/packages/urllib3", "urllib3", "MIT", registry="pypi"),
        Inside("botocore/vendored/six.py", "six", "MIT", "1.16.0", "pypi"),
    ),
    "star-openapi-swagger": (
        Inside("star_openapi_swagger/templates/swagger", "swagger-ui-dist", "Apache-2.0", "5.34.0", "npm"),
    ),
    "dragonpost": (
        Inside("chalicelib/amazon_roots.crt", "Amazon's root certificates, as Mozilla has them", "MPL-2.0"),
        Inside("chalicelib/web/static/figtree.woff2", "the typeface Figtree, as Fontsource 5.3.0 has it", "OFL-1.1"),
        Inside("chalicelib/web/static/figtree-ext.woff2", "the rest of Figtree's letters", "OFL-1.1"),
        Inside("chalicelib/web/static/fraunces.woff2", "the typeface Fraunces, as Fontsource 5.3.0 has it", "OFL-1.1"),
        Inside("chalicelib/dragons/characters.py", "Unicode Character Database", "Unicode-3.0", UNICODE_VERSION),
    ),
}


@dataclass(frozen=True)
class Part:
    """A Python package in the Lambda package: its name, version and licence (an SPDX expression)."""

    name: str
    version: str
    licence: str

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec"""
        return f"pkg:pypi/{self.name}@{self.version}"

    @property
    def inside(self) -> tuple[Inside, ...]:
        """What it has in it of others."""
        return INSIDE.get(self.name, ())


def parts(package: Path | None = None) -> list[Part]:
    """Return the parts of a package (a zip or a folder), or of the one that would be made now, by name.

    Raises DeployError if one has a licence that is not known to be compatible, or cannot be found.
    """
    found = distributions(path=[str(package)]) if package else _to_be_packed()
    chalices = distribution("chalice")  # its runtime, which Chalice adds without saying so
    return sorted({_part(each) for each in (*found, chalices)}, key=lambda part: part.name)


def _to_be_packed() -> Iterator[Distribution]:
    yield from distributions(path=[str(PROJECT / "vendor")])
    try:
        yield distribution("msgspec")
    except PackageNotFoundError as error:
        raise DeployError(f"{error.name} is not installed; `make` installs it into .venv") from error


def _part(found: Distribution) -> Part:
    name, said = canonicalize_name(found.name), _licence_that_is_said(found)
    licence = _MEANT.get((name, said), _SAID.get(said, said))
    if not ALLOWED.intersection(licence.split(" OR ")):
        raise DeployError(
            f"{name} {found.version} has the licence {said}: see whether it may be shipped (operations/materials.py)"
        )
    return Part(name, found.version, licence)


def _licence_that_is_said(found: Distribution) -> str:
    said = next((found.metadata[key] for key in ("License-Expression", "License") if key in found.metadata), "")
    return said.partition("\n")[0].strip()


def bill(of: list[Part], package: Path | None = None) -> dict[str, Any]:
    """Return the bill of materials as CycloneDX 1.6 has it: the same for the same parts and package."""
    project: dict[str, Any] = {
        **_component("dragonpost", _version(), "MIT", "application"),
        "components": [_of_others(each) for each in INSIDE["dragonpost"]],
        **({"hashes": [{"alg": "SHA-256", "content": _sha256(package)}]} if package else {}),
    }
    components = [
        {
            **_component(part.name, part.version, part.licence, "library", part.purl),
            **({"components": [_of_others(each, part) for each in part.inside]} if part.inside else {}),
        }
        for part in of
    ]
    made = {
        "metadata": {"component": project},
        "components": components,
        "dependencies": [{"ref": "dragonpost", "dependsOn": [part.purl for part in of]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(made))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **made,
    }


def _component(name: str, version: str | None, licence: str, kind: str, purl: str | None = None) -> dict[str, Any]:
    described = {"type": kind, "bom-ref": purl or name, "name": name, "version": version, "purl": purl}
    return {
        **{key: value for key, value in described.items() if value},
        "licenses": [{"expression": licence}],
    }


def _of_others(inside: Inside, part: Part | None = None) -> dict[str, Any]:
    kind = "library" if inside.purl else "data"
    made = _component(inside.name, inside.version, inside.licence, kind, inside.purl)
    return {**made, "bom-ref": f"{part.purl if part else 'dragonpost'}#{inside.path}"}


def _version() -> str:
    """Return the project's version, as what ships says it."""
    document = (PROJECT / "chalicelib" / "web" / "static" / "openapi.json").read_text(encoding="utf-8")
    return str(json.loads(document)["info"]["version"])


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write(package: Path) -> Path:
    """Write the bill of materials of a package beside it, and return its file. Raises DeployError."""
    file = package.with_name("bom.json")
    file.write_text(json.dumps(bill(parts(package), package), indent=2) + "\n", encoding="utf-8")
    return file


def main() -> int:
    """Print the bill of materials of the package that would be made now; return the exit status."""
    try:
        print(json.dumps(bill(parts()), indent=2))
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
