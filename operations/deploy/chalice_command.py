"""The `chalice` that deploying runs: Chalice's own, with what its options do not say.

It is run as a file, where nothing of this project can be imported. A bare `chalice deploy` goes without all of this.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from zipfile import ZipInfo

from chalice.cli import main
from chalice.config import Config
from chalice.deploy.deployer import SwaggerBuilder
from chalice.deploy.models import RestAPI
from chalice.deploy.packager import PipRunner
from chalice.deploy.swagger import TemplatedSwaggerGenerator
from chalice.utils import ChaliceZipFile, OSUtils

ARCHITECTURE = "CHALICE_ARCHITECTURE"

StrPath = str | os.PathLike[str]

# Lambda needs 644 or 755: https://docs.amazonaws.cn/en_us/lambda/latest/dg/lambda-deploy-functions.html
READABLE = (stat.S_IFREG | 0o644) << 16
_described = ChaliceZipFile._create_zipinfo  # noqa: SLF001 - Chalice has no other place for it
_described_api = SwaggerBuilder.handle_restapi


def describe(archive: ChaliceZipFile, file: StrPath, name: StrPath | None, compress_type: int | None) -> ZipInfo:
    """Give a file in the package the permissions that functions need, whatever the umask of who checked it out."""
    described = _described(archive, file, name, compress_type)
    described.external_attr = READABLE
    return described


def walk(_: OSUtils, path: str, followlinks: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk in the order of names: that of a file system would give one commit packages with many hashes."""
    for folder, folders, files in os.walk(path, followlinks=followlinks):
        folders.sort()
        yield folder, folders, sorted(files)


def download(pip: PipRunner, abi: str, packages: Sequence[str], directory: str, platforms: Sequence[str]) -> None:
    """Fetch wheels for another machine with the hashes of requirements.txt.

    Chalice asks for them by name and version alone, so pip would compare them with no hash. Exits with what pip says.
    """
    del packages  # each is in requirements.txt
    wanted = [part for platform in platforms for part in ("--platform", platform)]
    wanted += ["--implementation", "cp", "--abi", abi, "--only-binary", ":all:", "--no-deps"]
    status, _, said = pip._execute("download", [*wanted, "--dest", directory, "-r", "requirements.txt"])  # noqa: SLF001
    if status != 0:
        sys.exit(said.decode())


def describe_api(builder: SwaggerBuilder, config: Config, api: RestAPI) -> None:
    """Describe an API with the gateway responses of the merged template, which `chalice deploy` does not take.

    A packaged template has them already. See
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-gateway-responses.html
    """
    _described_api(builder, config, api)
    if isinstance(builder._swagger_generator, TemplatedSwaggerGenerator):  # noqa: SLF001 - that of `chalice deploy`
        merged = json.loads(Path(config.project_dir, "infrastructure", "app-overrides.json").read_text("utf-8"))
        answers = merged["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
        origin = f"'{config.environment_variables['DRAGONPOST_ALLOW_ORIGIN']}'"
        described = cast("dict[str, Any]", api.swagger_doc)
        described["x-amazon-apigateway-gateway-responses"] = {
            kind: gateway_response(answer, origin) for kind, answer in answers.items()
        }


def gateway_response(answer: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return one of them as Swagger has it. Its only header that the template leaves open is the origin."""
    headers = answer["ResponseParameters"]["Headers"].items()
    return {
        "statusCode": str(answer["StatusCode"]),
        "responseParameters": {
            f"gatewayresponse.header.{name}": text if isinstance(text, str) else origin for name, text in headers
        },
        "responseTemplates": answer["ResponseTemplates"],
    }


if __name__ == "__main__":
    for place, name, ours in (
        (ChaliceZipFile, "_create_zipinfo", describe),
        (OSUtils, "walk", walk),
        (SwaggerBuilder, "handle_restapi", describe_api),
        (PipRunner, "download_manylinux_wheels", download),
        (Config, "lambda_architecture", os.environ.get(ARCHITECTURE)),
    ):
        if ours:
            setattr(place, name, ours)
    sys.argv[0] = "chalice"
    sys.exit(main())
