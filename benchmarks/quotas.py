"""What AWS allows in a second before anybody asks for more: the limits that the simulation knows.

They are token buckets. Where AWS does not say how large the bucket is, it holds what one second brings. The figures are
those of AWS's pages in November 2026; docs/scaling.md has the setting that moves each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from operations import PROJECT
from operations.stages import STAGES

_DOCS = "https://docs.aws.amazon.com"
_TABLES = f"{_DOCS}/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html"
_KNOWLEDGE = "https://aws.amazon.com/premiumsupport/knowledge-center"
_PREFIXES = f"{_KNOWLEDGE}/s3-object-key-naming-pattern/"
_LAMBDA = f"{_DOCS}/lambda/latest/dg/gettingstarted-limits.html"


@dataclass(frozen=True)
class Quota:
    """So many units a second, and so many at once after a rest. `source` is AWS's page, or empty if it is ours."""

    per_s: float
    at_once: float
    source: str = ""


def _ours(name: str) -> float:
    """Return the default of a parameter of the app's template."""
    template = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
    return float(template["Parameters"][name]["Default"])


LAMBDA_CONCURRENCY = 1_000  # of an account in a region, of all functions together
REQUESTS_OF_AN_ENVIRONMENT_PER_S = 10
CONSUMER_CONCURRENCY = STAGES["prod"].consumer_concurrency

QUOTAS: Mapping[str, Quota] = {
    "the stage's throttle": Quota(_ours("ThrottlingRateLimit"), _ours("ThrottlingBurstLimit")),
    "API Gateway's quota": Quota(10_000, 5_000, f"{_DOCS}/apigateway/latest/developerguide/limits.html"),
    "Lambda's requests": Quota(REQUESTS_OF_AN_ENVIRONMENT_PER_S * LAMBDA_CONCURRENCY, LAMBDA_CONCURRENCY, _LAMBDA),
    "Lambda's scaling": Quota(100, 1_000, f"{_DOCS}/lambda/latest/dg/scaling-behavior.html"),
    "a new table's reads": Quota(12_000, 12_000, _TABLES),
    "a new table's writes": Quota(4_000, 4_000, _TABLES),
    "a partition's reads": Quota(3_000, 3_000, _TABLES),
    "a partition's writes": Quota(1_000, 1_000, _TABLES),
    "an S3 prefix's reads": Quota(5_500, 5_500, _PREFIXES),
    "an S3 prefix's writes": Quota(3_500, 3_500, _PREFIXES),
    "StartExecution": Quota(300, 1_300, f"{_DOCS}/step-functions/latest/dg/limits.html"),
    "Parameter Store": Quota(40, 40, f"{_KNOWLEDGE}/ssm-parameter-store-rate-exceeded/"),
}

# Which quota a call counts towards, by what it is made for, and with how many units. Whatever is not listed has none.
# A message's row has less than 1 KiB, and its company's objects have one prefix. A page of 100 dragons is read
# consistently: a unit for each 4 KiB, as tests/integration/test_growth.py counts them. (The fences are spread.) Other
# pages are as operations/generate/cost.py has them. An index of a new table is as new.
USES: Mapping[str, Mapping[str, tuple[str, float]]] = {
    "settings": {"ssm GetParameters": ("Parameter Store", 1)},
    "GET /dragons": {"s3 GetObject": ("an S3 prefix's reads", 1)},
    "GET /dragons, in DynamoDB": {"dynamodb Query": ("a partition's reads", 11)},
    "GET /dragons of a prefix": {"s3 GetObject": ("an S3 prefix's reads", 1)},
    "GET /dragons of a prefix, in DynamoDB": {"dynamodb Query": ("a partition's reads", 11)},
    "GET /families": {"s3 GetObject": ("an S3 prefix's reads", 1)},
    "GET /families, in DynamoDB": {"dynamodb Query": ("a partition's reads", 27)},
    "POST /dragons": {"stepfunctions start_execution": ("StartExecution", 1)},
    "GET /submissions": {"dynamodb Query": ("a new table's reads", 16)},
    "POST /post-message": {"dynamodb GetItem": ("a new table's reads", 0.5)},  # eventually consistent
    "GET /messages": {"dynamodb Query": ("a new table's reads", 4.5)},
    "GET /message/{message_id}": {"dynamodb GetItem": ("a new table's reads", 1)},
    "store_messages, each message": {
        "dynamodb GetItem": ("a new table's reads", 1),
        "s3 PutObject": ("an S3 prefix's writes", 1),
        "dynamodb PutItem": ("a new table's writes", 1),
    },
}
# Whatever takes these from Parameter Store: posting and reading messages has all its settings in the
# environment, and so has reading submissions.
READ_SETTINGS = frozenset(
    {
        "GET /dragons",
        "GET /dragons, in DynamoDB",
        "GET /dragons of a prefix",
        "GET /dragons of a prefix, in DynamoDB",
        "GET /families",
        "GET /families, in DynamoDB",
        "store_messages, each message",
    }
)
