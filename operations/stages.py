"""The stages, and all that differs between them. To add one, add it here and run `make generate`.

Everything else about a stage follows from its name: it is part of every resource's name, so that stages can share an
account. A name consists of lower-case letters and digits, as the templates' parameter `Stage` demands, and of at most
14: buckets have the account and the region in their names, too, which may have 63 characters. With a hyphen,
resources of a stage `dev-messages` would match `dragonpost-dev-messages-*` in the policies of `dev`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """What distinguishes a stage.

    `allow_origin` is the origin that browsers may call from, or `*`. `workflow_concurrency` is how many runs of each of
    the workflow's functions there may be at once: beyond them, reports wait. `architecture` is what the functions
    run on, `arm64` or `x86_64`; None is what this machine has. `consumer_concurrency` is how many batches
    of messages may be stored at once, from 2 to 1000: beyond them, messages wait on their queue. `environment` is what
    the functions see on top of what every stage sets. `partition` is the part of AWS that the stage is deployed to:
    `aws`, `aws-us-gov` or `aws-cn`, as ARNs name it.
    """

    allow_origin: str
    architecture: str | None = "arm64"  # costs less: https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html
    workflow_concurrency: int = 20  # more would only get into each other's way: in S3, they all swap one document
    # A run stores a batch of 10 in some 80 ms, so 8 keep up with the 1,000 requests a second that the API takes
    # (ThrottlingRateLimit). More would take the API's runs after an outage, when there is a backlog.
    consumer_concurrency: int = 10
    environment: Mapping[str, str] = field(default_factory=dict)
    partition: str = "aws"


EMBEDDED = "local"  # the stage of `make run`, in the embedded AWS

STAGES: Mapping[str, Stage] = {
    EMBEDDED: Stage(
        allow_origin="*",
        architecture=None,
        workflow_concurrency=4,  # each run is a process on this machine
        # The embedded AWS of `make run`; `test` is its root user's key id and secret.
        environment={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    ),
    "dev": Stage(allow_origin="*"),
    "prod": Stage(allow_origin="https://dragonpost.example"),
}
