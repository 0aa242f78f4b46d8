"""The examples of docs/api.md, run as they are: the page shows what curl prints."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from operations import PROJECT
from tests.e2e.running import Api, Served
from tests.e2e.waiting import until

PAGE = PROJECT / "docs" / "api.md"
RUNS_WITHIN_S = 30

_EXAMPLE = re.compile(r"```sh\n(?P<command>curl .*?)```\n+```http\n(?P<answer>.*?)```", re.DOTALL)
_DIFFERS_EACH_TIME = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # ids
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"  # times
    r'|"[A-Za-z0-9_-]{24}(?:-gzip)?"'  # entity tags
)
_OF_THIS_RUN = {"duration_ms", "commit"}


@dataclass
class Answer:
    """An answer as curl prints it, or as the page shows it."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    @classmethod
    def parsed(cls, text: str) -> Answer:
        """Read the output of `curl -i`."""
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.strip().split("\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        # Numbers stay as they are written.
        value = json.loads(body, parse_float=Decimal, parse_int=Decimal) if body.strip() else None
        return cls(int(first.split()[1]), headers, value)

    def variables(self) -> dict[str, str]:
        """The variables that the next example may refer to: headers and members, in capitals."""
        members = self.body if isinstance(self.body, dict) else {}
        for listed in [value for value in members.values() if isinstance(value, list) and value]:
            members = {**members, **(listed[0] if isinstance(listed[0], dict) else {})}
        texts = {name: value for name, value in {**self.headers, **members}.items() if isinstance(value, str)}
        return {name.upper().replace("-", "_"): value for name, value in texts.items()}


def examples() -> Iterator[tuple[str, Answer]]:
    for match in _EXAMPLE.finditer(PAGE.read_text(encoding="utf-8")):
        yield match["command"], Answer.parsed(match["answer"])


def masked(value: Any) -> Any:
    """Replace what differs each time. The page shows only the first of a submission's steps."""
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if name not in _OF_THIS_RUN}
        return {name: masked(item[:1] if name == "steps" else item) for name, item in kept.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return _DIFFERS_EACH_TIME.sub("…", value) if isinstance(value, str) else value


def differences(shown: Answer, printed: Answer) -> list[str]:
    """Return where an answer differs from the one on the page. Only the headers on the page count."""
    pairs = {"status": (shown.status, printed.status), "body": (masked(shown.body), masked(printed.body))}
    pairs |= {name: (masked(value), masked(printed.headers.get(name))) for name, value in shown.headers.items()}
    return [
        f"{what}: the page shows {one!r}, curl printed {other!r}"
        for what, (one, other) in pairs.items()
        if one != other
    ]


class Reader:
    """Somebody who follows the page in one shell."""

    def __init__(self, api: Api) -> None:
        self.environment = {
            **os.environ,
            "API": api.base_url,
            "TOKEN": api.token("operator"),
            "NO_PROXY": "127.0.0.1",
        }
        self.differences: list[str] = []

    def follow(self, command: str, shown: Answer) -> bool:
        """Run an example. Return whether it prints what the page shows; if so, remember its answer's values."""
        quiet = command.replace("curl ", "curl --silent --show-error ", 1)
        ran = subprocess.run(
            ["bash", "-c", quiet],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=RUNS_WITHIN_S,
            check=True,
        )
        printed = Answer.parsed(ran.stdout)
        self.differences = differences(shown, printed)
        if not self.differences:
            self.environment |= printed.variables()
        return not self.differences


def bury(devstack: Served) -> None:
    """Leave the page's dead letter on the queue, and no other."""
    bodies = [answer.body for _, answer in examples() if isinstance(answer.body, dict)]
    shown = next(body for body in bodies if "letter_id" in body)
    sqs, url = devstack.client("sqs"), devstack.running["outputs"]["MessageDeadLetterQueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    texts = {name: {"DataType": "String", "StringValue": text} for name, text in shown["attributes"].items()}
    sqs.send_message(QueueUrl=url, MessageBody=shown["body"], MessageAttributes=texts)


def test_every_example_prints_what_the_page_shows(apis: dict[str, Api]) -> None:
    reader = Reader(apis["local"])
    bury(apis["local"].devstack)

    for command, shown in examples():
        # What was written can be read a moment later, so reads are repeated. Each write is done once.
        reads = "-X" not in command and "-d " not in command
        if not reader.follow(command, shown) and reads:
            with contextlib.suppress(AssertionError):
                until(lambda command=command, shown=shown: reader.follow(command, shown))  # type: ignore[misc]
        assert not reader.differences, f"{command}\n" + "\n".join(reader.differences)


def test_every_route_has_an_example() -> None:
    document = json.loads((PROJECT / "chalicelib" / "web" / "static" / "openapi.json").read_text(encoding="utf-8"))
    called = {called_by(command) for command, _ in examples()}

    missing = [
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if not any(verb == method.upper() and matches(path, address) for verb, address in called)
    ]

    assert missing == []


def called_by(command: str) -> tuple[str, str]:
    address = re.search(r'"\$API([^"?]*)', command)
    assert address, command
    method = re.search(r"-X ([A-Z]+)", command)
    return (method[1] if method else "POST" if "-d " in command else "GET"), address[1]


def matches(path: str, address: str) -> bool:
    return re.fullmatch(re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(path)), address) is not None
