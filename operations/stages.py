"""The stages, as infrastructure/stages.toml has them. `make stage NAME=…` adds one.

Everything else about a stage follows from its name: it is part of every resource's name, so that stages can share an
account. A name consists of lower-case letters and digits, as the templates' parameter `Stage` demands, and of at most
14: buckets have the account and the region in their names, too, which may have 63 characters. With a hyphen,
resources of a stage `dev-messages` would match `dragonpost-dev-messages-*` in the policies of `dev`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, ValidationError, convert, field

from chalicelib.settings import Settings
from operations import PROJECT

FILE = Path("infrastructure", "stages.toml")
EMBEDDED = "local"  # the stage of `make run`, in the embedded AWS
NATIVE = "native"
NAME_LETTERS_MAX = 14  # dragonpost-<stage>-messages-<account>-<region> has 63, if the region has 15


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What distinguishes a stage.

    `allow_origin` is the origin that browsers may call from, or `*`. `architecture` is what the functions run on;
    `native` is what this machine has. `keeps_data` is whether its stores remain when the stage is removed.
    `workflow_concurrency` is how many runs of each of the workflow's functions there may be at once: beyond them,
    reports wait. `consumer_concurrency` is how many batches of messages may be stored at once: beyond them, messages
    wait on their queue. `tracing` is whether X-Ray gets traces, and the functions may send them. `environment` is what
    the functions see on top of what every stage sets. `partition` is the part of AWS that the stage is deployed to, as
    ARNs name it. `parameters` are those of the templates' parameters (operations/parameters.py) that every deployment
    sets, unless it is told otherwise.
    """

    allow_origin: Annotated[str, Meta(pattern=f"^({Settings.allow_origin.form.pattern})$")]
    # arm64 costs less: https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html
    architecture: Literal["arm64", "x86_64", "native"] = "arm64"
    keeps_data: bool = True
    # More would only get into each other's way: in S3, they all swap one document.
    workflow_concurrency: Annotated[int, Meta(ge=1)] = 20
    # A run stores a batch of 10 in some 80 ms, so 8 keep up with the 1,000 requests a second that the API takes
    # (ThrottlingRateLimit). More would take the API's runs after an outage, when there is a backlog.
    # From 2 to 1000: https://docs.aws.amazon.com/lambda/latest/dg/API_ScalingConfig.html
    consumer_concurrency: Annotated[int, Meta(ge=2, le=1000)] = 10
    tracing: bool = True
    partition: Literal["aws", "aws-us-gov", "aws-cn"] = "aws"
    environment: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


def read(text: str) -> dict[str, Stage]:
    """Return the stages of a file's text by their names. Raises ValueError, which says what is wrong and where."""
    return {name: _stage(name, table) for name, table in tomllib.loads(text).items()}


def _stage(name: str, table: object) -> Stage:
    if not Settings.stage.form.fullmatch(name):
        raise ValueError(f"stage {name}: a name is a letter and up to 19 letters or digits, all in lower case")
    try:
        return convert(table, Stage)
    except ValidationError as error:
        raise ValueError(f"stage {name}: {error}") from error


def _stages() -> Mapping[str, Stage]:
    """Return the project's stages. Whatever needs them cannot go on without, so it ends with one line that says why."""
    try:
        return read((PROJECT / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {FILE} cannot be read: {error}") from error


STAGES: Mapping[str, Stage] = _stages()
