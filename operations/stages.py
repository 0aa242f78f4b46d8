"""The stages, and all that differs between them. To add one, add it here and run `make generate`.

Everything else about a stage follows from its name: it is part of every resource's name, so that stages can share an
account. A name consists of lower-case letters and digits, as the templates' parameter `Stage` demands. With a hyphen,
resources of a stage `dev-messages` would match `dragonpost-dev-messages-*` in the policies of `dev`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """What distinguishes a stage.

    `allow_origin` is the origin that browsers may call from, or `*`. `workflow_concurrency` is how many runs of each of
    the workflow's functions there may be at once: beyond them, reports wait. `environment` is what the functions see on
    top of what every stage sets. `unlimited_actions` are granted on every resource, whatever the policies say.
    """

    allow_origin: str
    workflow_concurrency: int = 20  # more would only get into each other's way: they all swap one document
    environment: Mapping[str, str] = field(default_factory=dict)
    unlimited_actions: frozenset[str] = frozenset()


EMBEDDED = "local"  # the stage of `make run`, in the embedded AWS

STAGES: Mapping[str, Stage] = {
    EMBEDDED: Stage(
        allow_origin="*",
        workflow_concurrency=4,  # each run is a process on this machine
        # The embedded AWS of `make run`; `test` is its root user's key id and secret.
        environment={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
        # The embedded AWS checks this action against the resource `*`, whatever the path (docs/embedded-aws.md).
        unlimited_actions=frozenset({"ssm:GetParametersByPath"}),
    ),
    "dev": Stage(allow_origin="*"),
    "prod": Stage(allow_origin="https://dragonpost.example"),
}
