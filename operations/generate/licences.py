"""docs/licences.md: what the Lambda package is made of, and under which licences."""

from __future__ import annotations

from pathlib import Path

from operations import materials
from operations.deploy.commands import DeployError
from operations.generate import CannotGenerate

PAGE = Path("docs", "licences.md")

_HEAD = """# Licences

Dragonpost is under the MIT licence (`LICENSE`). Its Lambda package carries parts of others, whose licences allow
this. Each part brings the text of its licence into the package, except Chalice's runtime and star-openapi-swagger.
The repository itself also has files of others: {ours}.
What Swagger UI's bundle was made from is not listed, because the file does not say it.
What `make` installs to run, test and deploy does not ship; `requirements*.txt` and `package-lock.json` list it.

`make generate` makes this page from the packages themselves, and fails if nobody has looked at one of the licences
(`operations/materials.py`). `make sbom` prints the same as [CycloneDX](https://cyclonedx.org/docs/1.6/json/), and
deploying leaves it beside the package, with the package's hash: `.local/build/<stage>/app/bom.json`.

| part | version | licence |
| --- | --- | --- |
"""


def files() -> dict[Path, str]:
    """Return the page by its path in the project. Raises CannotGenerate if a part has an unknown licence."""
    try:
        parts = materials.parts()
    except DeployError as error:
        raise CannotGenerate(str(error)) from error
    rows = ""
    for part in parts:
        rows += f"| {part.name} | {part.version} | {part.licence} |\n"
        rows += "".join(_row(each, part.name) for each in part.inside)
    ours = "; ".join(
        f"`{each.path}` ({', '.join(filter(None, (each.name, each.version, each.licence)))})"
        for each in materials.INSIDE["dragonpost"]
    )
    return {PAGE: _HEAD.format(ours=ours) + rows}


def _row(inside: materials.Inside, part: str) -> str:
    return f"| {inside.name}, in {part} | {inside.version or ''} | {inside.licence} |\n"
