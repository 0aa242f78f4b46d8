"""The `chalice` that deploying runs: Chalice's own, with what its options do not say.

It is run as a file, where nothing of this project can be imported. A bare `chalice deploy` goes without all of this.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from zipfile import ZipInfo

from chalice.cli import main
from chalice.config import Config
from chalice.deploy.packager import PipRunner
from chalice.utils import ChaliceZipFile, OSUtils

ARCHITECTURE = "CHALICE_ARCHITECTURE"

StrPath = str | os.PathLike[str]

# Lambda needs 644 or 755: https://docs.amazonaws.cn/en_us/lambda/latest/dg/lambda-deploy-functions.html
READABLE = (stat.S_IFREG | 0o644) << 16
_described = ChaliceZipFile._create_zipinfo  # noqa: SLF001 - Chalice has no other place for it


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


if __name__ == "__main__":
    for place, name, ours in (
        (ChaliceZipFile, "_create_zipinfo", describe),
        (OSUtils, "walk", walk),
        (PipRunner, "download_manylinux_wheels", download),
        (Config, "lambda_architecture", os.environ.get(ARCHITECTURE)),
    ):
        if ours:
            setattr(place, name, ours)
    sys.argv[0] = "chalice"
    sys.exit(main())
