"""Who is measured: the service as it is packaged, and the peers that do the same with other means."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.aws import REGION, SETTINGS
from benchmarks.cases import ADDER, API, CONSUMER, peers_environment

FOLDER = Path(__file__).resolve().parent


class PeerError(Exception):
    """A peer cannot be measured. The message names it, and says why."""


@dataclass(frozen=True)
class Peer:
    """One that is measured: its name, its title in tables, and its handlers by function.

    API Gateway gives it bodies in base64 if `binary`. The variables `silencing` switch its log off.
    """

    name: str
    title: str
    handlers: Mapping[str, str]
    binary: bool = False
    silencing: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> Path:
        """The folder of its source and requirements. Ours has none: it is the project."""
        return FOLDER / "peers" / self.name


_SILENT = (("POWERTOOLS_LOG_LEVEL", "CRITICAL"),)

RAW = Peer("raw", "raw boto3", {API: "app.handler", CONSUMER: "app.consume"})
CHALICE = Peer("chalice", "Chalice + msgspec", {API: "app.app", CONSUMER: "app.consume"})
POWERTOOLS = Peer("powertools", "Powertools", {API: "app.handler", CONSUMER: "app.consume"}, silencing=_SILENT)
FASTAPI = Peer("fastapi", "FastAPI + Mangum", {API: "app.handler"})
OURS = Peer(
    "ours",
    "**Dragonpost**",
    {API: "app.app", CONSUMER: "app.store_messages", ADDER: "app.add_dragon"},
    binary=True,
    silencing=_SILENT,
)

PEERS: Sequence[Peer] = (RAW, CHALICE, POWERTOOLS, FASTAPI, OURS)

# As Lambda sets them for every function; the credentials are nobody's.
OF_LAMBDA: Mapping[str, str] = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "ASIAXXXXXXXXXXXXXXXX",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_SESSION_TOKEN": "not-a-token-" * 60,
    "AWS_LAMBDA_FUNCTION_NAME": "measured",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python{}.{}".format(*sys.version_info),
    "_X_AMZN_TRACE_ID": "Root=1-6742d3a1-0b2c3d4e5f60718293a4b5c6;Parent=53995c3f42cd8ad8;Sampled=0",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
}

OF_PEERS: Mapping[str, str] = {**peers_environment(), "POWERTOOLS_LOG_LEVEL": "INFO"}


def filled_in(variables: Mapping[str, object], owner: str) -> dict[str, str]:
    """Return a function's environment as its template has it, with a value for each reference.

    Raises `PeerError` for a variable that nobody here knows.
    """
    filled = {}
    for name, value in variables.items():
        setting = name.removeprefix("DRAGONPOST_").lower()
        if not isinstance(value, str) and setting not in SETTINGS:
            raise PeerError(
                f"{owner}: the template refers to something for {name}; add its value to SETTINGS in benchmarks/aws.py"
            )
        filled[name] = value if isinstance(value, str) else SETTINGS[setting]
    return filled
