"""What the packages in vendor/ bring that no function needs: it would be larger by half, and no faster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from chalicelib.web.pages import SWAGGER_UI, SWAGGER_UI_PACKAGE

# Powertools' logger and metrics import nothing of these; what else it has is for other ways to write functions.
_POWERTOOLS = "aws_lambda_powertools"
_POWERTOOLS_UTILITIES_KEPT = frozenset({"__init__.py", "jmespath_utils"})

# What pip and uv write for themselves. The licences stay, and METADATA, which has name and version.
_OF_INSTALLERS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "entry_points.txt"})


def remove(folder: Path) -> None:
    """Remove what no function needs from the packages that are installed in a folder."""
    for path in _unused(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _unused(folder: Path) -> Iterator[Path]:
    yield from folder.glob("bin")  # scripts
    yield from (path for path in folder.glob("*.dist-info/*") if path.name in _OF_INSTALLERS)
    yield from folder.glob(f"{_POWERTOOLS}/event_handler")
    utilities = folder.glob(f"{_POWERTOOLS}/utilities/*")
    yield from (path for path in utilities if path.name not in _POWERTOOLS_UTILITIES_KEPT)
    yield from folder.glob("dateutil/zoneinfo")  # botocore asks for no time zone by its name
    pages = folder / SWAGGER_UI_PACKAGE
    kept = {pages / name for name in ("__init__.py", *SWAGGER_UI.values())}
    yield from (path for path in [*pages.rglob("*")] if path.is_file() and path not in kept)
