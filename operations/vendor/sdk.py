"""The AWS SDK's data: of the services that the code calls, and nothing that only people read.

botocore looks through the folder of every service that it knows before it makes a client, and reads the model of the
client's service, half of which is documentation, and the endpoints of all services. It compares the name of each event
with the earlier names of all services. What is left here says the same about the services that are left: every
operation, shape, rule, endpoint and name. A test compares requests and answers.
"""

from __future__ import annotations

import ast
import gzip
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from operations.deploy.commands import DeployError

_ALIASES = "EVENT_ALIASES = {"


def trim(botocore: Path, services: Collection[str]) -> None:
    """Keep the data of these services in a folder that botocore is installed in. Raises DeployError if one has none."""
    data = botocore / "data"
    if missing := sorted(service for service in services if not (data / service).is_dir()):
        raise DeployError(f"botocore has no service {', '.join(missing)}: correct operations/vendor/calls.py")
    for folder in [path for path in data.iterdir() if path.is_dir() and path.name not in services]:
        shutil.rmtree(folder)
    metadata = [_trim_service(data / service) for service in sorted(services)]
    prefixes = {each["endpointPrefix"] for each in metadata}
    endpoints = json.loads((data / "endpoints.json").read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: each for name, each in partition["services"].items() if name in prefixes}
    for name in ("partitions", "sdk-default-configuration", "_retry"):
        _write(data / f"{name}.json", without_documentation(json.loads((data / f"{name}.json").read_bytes())))
    _write(data / "endpoints.json", endpoints)
    _trim_aliases(botocore / "utils.py", {each["serviceId"].lower().replace(" ", "-") for each in metadata})


def without_documentation(model: Any) -> Any:
    """Return a part of a model in which texts for people are empty. (botocore fails where one is missing altogether.)

    A shape's own member of that name is no text.
    """
    if isinstance(model, dict):
        said = {name: "" for name, value in model.items() if name == "documentation" and isinstance(value, str)}
        return {name: without_documentation(value) for name, value in model.items()} | said
    if isinstance(model, list):
        return [without_documentation(each) for each in model]
    return model


def _trim_aliases(utils: Path, kept: Collection[str]) -> None:
    """Keep the earlier names of these services, as events have them, in the source that has those of all."""
    if not utils.exists():
        return
    before, begins, rest = utils.read_text(encoding="utf-8").partition(_ALIASES)
    table, ends, after = rest.partition("}")
    if not (begins and ends):
        raise DeployError(f"botocore/utils.py has no {_ALIASES}: correct operations/vendor/sdk.py")
    aliases = {old: name for old, name in ast.literal_eval("{" + table + "}").items() if name in kept}
    utils.write_text(f"{before}EVENT_ALIASES = {aliases!r}{after}", encoding="utf-8")


def _trim_service(folder: Path) -> dict[str, Any]:
    """Keep the newest version of a service, without its examples. Return what its model says about it."""
    newest = max(version for version in folder.iterdir() if any(version.glob("service-2.json*")))
    for version in [path for path in folder.iterdir() if path != newest]:
        shutil.rmtree(version)
    for path in sorted(newest.iterdir()):
        if not path.name.startswith("examples-"):
            _write(newest / path.name.removesuffix(".gz"), without_documentation(_read(path)))
        if path.suffix == ".gz" or path.name.startswith("examples-"):
            path.unlink()
    metadata: dict[str, Any] = _read(newest / "service-2.json")["metadata"]
    return metadata


def _read(path: Path) -> Any:
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def _write(path: Path, content: Any) -> None:
    """Write JSON that is as small as can be. Unpacked, it takes less time to read than gzip's."""
    path.write_text(json.dumps(content, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
