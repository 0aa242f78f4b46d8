"""The tables of docs/cost.md: what a million of each request costs, and what storing costs.

The calls are those that tests assert (`benchmarks/calls.py`), memory and states those that are deployed. Prices, and
what no test asserts, are in prices.toml.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.calls import CALLS, SIDE_BY_SIDE
from chalicelib import exact_json
from chalicelib.messages import listing
from chalicelib.messages.model import Message, message_from
from chalicelib.messages.stored import StoredMessage
from chalicelib.web import paging
from operations import PROJECT, functions
from operations.generate import CannotGenerate
from operations.generate.contract import examples

DATA = Path("operations", "generate", "prices.toml")
PAGE = Path("docs", "cost.md")
BEGIN = "<!-- begin {name}: `make generate` makes this table -->\n"
END = "<!-- end {name} -->\n"

MILLION = 1_000_000
GB = 10**9
# What DynamoDB adds to each item: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
ITEM_OVERHEAD_BYTES = 100
READ_UNIT_BYTES, WRITE_UNIT_BYTES = 4096, 1024

ADDED = "a report, from its request until the dragon is added"
ADDED_IN_DYNAMODB = f"{ADDED}, in DynamoDB"
REFUSED = "a report, from its request until it is refused as a duplicate"
STORED = "a message, from its request until it is stored, in batches of {batch}"
STORED_ALONE = "a message, from its request until it is stored, one by one"

Units = Counter[str]
Run = tuple[str, Sequence[str]]  # a function's name, and its calls, one after another


@dataclass(frozen=True)
class Price:
    """What something costs: `usd` for so many. Without `source`, nobody has seen it on a page."""

    name: str
    what: str
    usd: float
    per: float
    source: str = ""
    dated: str = ""
    seen: str = ""


@dataclass(frozen=True)
class Design:
    """What one request takes in another design: its runs, and units beside them."""

    name: str
    page: str
    asked: str
    runs: Sequence[Run]
    units: Mapping[str, float]


@dataclass(frozen=True)
class Inputs:
    """What prices.toml says."""

    region: str
    prices: Mapping[str, Price]
    assumed: Mapping[str, float]
    designs: Sequence[Design]

    @classmethod
    def read(cls) -> Inputs:
        """Read the file. Raises CannotGenerate if it lacks something."""
        try:
            data: dict[str, Any] = tomllib.loads((PROJECT / DATA).read_text(encoding="utf-8"))
            prices = {each["name"]: Price(**each) for each in data["price"]}
            return cls(data["region"], prices, data["assumed"], [Design(**each) for each in data["design"]])
        except (tomllib.TOMLDecodeError, TypeError, LookupError) as error:
            raise CannotGenerate(f"{DATA}: {error}") from error

    def usd(self, units: Mapping[str, float]) -> float:
        """Return what so many units cost. Raises CannotGenerate for a unit without a price."""
        if unknown := units.keys() - self.prices.keys():
            raise CannotGenerate(f"{DATA} has no price of {', '.join(sorted(unknown))}")
        return sum(count * self.prices[name].usd / self.prices[name].per for name, count in units.items())

    def run(self, function: str, in_a_row: int) -> Units:
        """Return the units of one run of a function, with so many calls one after another."""
        seconds = (self.assumed["own_ms"] + self.assumed["call_ms"] * in_a_row) / 1000
        memory_gb = functions.limits(function).memory_mb / 1024
        logged_gb = self.assumed["logged_bytes"] / GB
        return Counter({"lambda-request": 1, "lambda-gb-s": memory_gb * seconds, "logs-gb": logged_gb})

    def calls(self, asked: str, calls: Iterable[str]) -> Units:
        """Return the units of the calls that something takes. Raises CannotGenerate for a call that has none here."""
        units: Units = Counter()
        for call in calls:
            if call not in _UNITS:
                raise CannotGenerate(f"operations/generate/cost.py does not say what {call} costs")
            counted = self._counted(asked, call)
            units.update(_UNITS[call] if counted is None else dict.fromkeys(_UNITS[call], counted))
        return units

    def _counted(self, asked: str, call: str) -> float | None:
        """Return how many units a call takes, where it is not as many as its kind takes elsewhere."""
        if call == "dynamodb Query" and asked in _PAGES:
            return _PAGES[asked](self)
        return _OTHER_UNITS.get((asked, call))


# What a call takes of what is paid for. Items have less than 1 KB. Parameter Store's standard parameters, and what asks
# Step Functions, cost nothing. A transaction writes a dragon, its copy and a count, and checks a fence, each for two.
_UNITS: Mapping[str, Mapping[str, float]] = {
    "s3 GetObject": {"s3-get": 1},
    "s3 HeadBucket": {"s3-put": 1},  # it counts as a list
    "s3 HeadObject": {"s3-get": 1},
    "s3 PutObject": {"s3-put": 1},
    "sqs SendMessage": {"sqs": 1},
    **{
        f"sqs {call}": {"sqs": 1}
        for call in ("ChangeMessageVisibilityBatch", "DeleteMessage", "DeleteMessageBatch", "ReceiveMessage")
    },
    "sqs GetQueueAttributes": {"sqs": 1},
    "dynamodb GetItem": {"dynamodb-read": 1},
    "dynamodb Query": {"dynamodb-read": 1},
    "dynamodb PutItem": {"dynamodb-write": 1},
    "dynamodb TransactWriteItems": {"dynamodb-write": 8},
    "ssm GetParameter": {},
    "ssm GetParameters": {},
    "stepfunctions start_execution": {},
    "stepfunctions describe_execution": {},
    "stepfunctions DescribeStateMachine": {},
}
# What a query reads for a page of 100. Those of messages are eventually consistent; each looks for a whole page.
_PAGES: Mapping[str, Callable[[Inputs], float]] = {
    "GET /dragons, in DynamoDB": lambda inputs: inputs.assumed["page"],
    "GET /dragons of a prefix, in DynamoDB": lambda inputs: inputs.assumed["page"],
    "GET /families, in DynamoDB": lambda inputs: inputs.assumed["families_page"],
    "GET /submissions": lambda _: read_units(paging.LIMIT_DEFAULT + 1, submission_bytes()),
    "GET /messages": lambda _: read_units(paging.LIMIT_DEFAULT + 2, message_bytes()[1]) / 2,
}
_OTHER_UNITS: Mapping[tuple[str, str], float] = {
    # Eventually consistent reads take half of a unit.
    **{(asked, "dynamodb GetItem"): 0.5 for asked in CALLS if asked.startswith("POST /post-message")},
    **{(asked, "dynamodb Query"): 0.5 for asked in CALLS if asked.startswith("GET /submissions/")},
    # A correction that leaves the family alone counts nothing.
    ("PUT /dragons/{dragon_name}, in DynamoDB", "dynamodb TransactWriteItems"): 6,
    # A message's row is written into the table and into its index.
    ("store_messages", "dynamodb PutItem"): 2,
}
# What of a row its item in the index of lists lacks (infrastructure/resources.yaml).
_NOT_LISTED = frozenset({"message_s3_key", "data", "digest"})
# The workflow writes each row twice, into the table and into its index.
_ROWS_OF_A_REPORT: Units = Counter({"dynamodb-write": 4})


def routes(inputs: Inputs) -> dict[str, Units]:
    """Return the units of each answer of the API, by its name in `CALLS`."""
    return {asked: _answer(inputs, asked) for asked in CALLS if asked.split(" ", 1)[0].isupper()}


def pipelines(inputs: Inputs) -> dict[str, Units]:
    """Return the units of what goes on after its answer, from the request to its end."""
    batch = int(inputs.assumed["batch"])
    return {
        STORED.format(batch=batch): _stored(inputs, batch),
        STORED_ALONE: _stored(inputs, 1),
        ADDED: _reported(inputs, ["RecordPending", "AddDragon", "Added"], "add_dragon", CALLS["add_dragon"]),
        ADDED_IN_DYNAMODB: _reported(
            inputs, ["RecordPending", "AddDragon", "Added"], "add_dragon", CALLS["add_dragon, in DynamoDB"]
        ),
        REFUSED: _reported(inputs, ["RecordPending", "AddDragon", "Rejected"], "add_dragon", ("s3 GetObject",)),
    }


def _answer(inputs: Inputs, asked: str) -> Units:
    calls = CALLS[asked]
    of_the_gateway: Units = Counter({"api-request": 1, "trace": inputs.assumed["traced"]})
    in_a_row = 1 if asked in SIDE_BY_SIDE else len(calls)
    return of_the_gateway + inputs.run(functions.API, in_a_row) + inputs.calls(asked, calls)


def _stored(inputs: Inputs, batch: int) -> Units:
    """Return the units of a message. Those of a batch, which its messages share, are the run, and receiving it."""
    each, once = CALLS["store_messages, each message"], CALLS["store_messages, the batch"]
    shared = inputs.run("store_messages", len(each) + len(once)) + inputs.calls("store_messages", once)
    shared["sqs"] += 1
    of_a_message = _answer(inputs, "POST /post-message") + inputs.calls("store_messages", each)
    return of_a_message + Counter({name: count / batch for name, count in shared.items()})


def _reported(inputs: Inputs, through: Sequence[str], function: str, calls: Sequence[str]) -> Units:
    steps = inputs.run("validate_dragon", 0) + inputs.run(function, len(calls)) + inputs.calls(function, calls)
    workflow: Units = Counter({"transition": transitions(through), "sns": 1})
    return _answer(inputs, "POST /dragons") + steps + workflow + _ROWS_OF_A_REPORT


def transitions(through: Sequence[str]) -> int:
    """Return how many states an execution enters that goes through these, and ends in the last."""
    states = json.loads((PROJECT / "infrastructure" / "dragons.asl.json").read_text(encoding="utf-8"))
    legs = zip([states["StartAt"], *through], through, strict=False)
    return 1 + sum(_steps_between(states["States"], begin, end) for begin, end in legs)


def _steps_between(states: Mapping[str, Any], begin: str, end: str) -> int:
    """Return how many states an execution enters on the shortest way, if nothing fails."""
    reached, steps = {begin}, 0
    while end not in reached:
        steps += 1
        reached = {following for name in reached for following in _following(states[name])}
        if not reached:
            raise CannotGenerate(f"infrastructure/dragons.asl.json has no way from {begin} to {end}")
    return steps


def _following(state: Mapping[str, Any]) -> Iterator[str]:
    for branch in (state, *state.get("Choices", ())):
        if "Next" in branch:
            yield branch["Next"]
    if "Default" in state:
        yield state["Default"]


def designs(inputs: Inputs) -> Iterator[tuple[Design, float]]:
    """Yield what each request of the other designs costs."""
    for design in inputs.designs:
        units: Units = Counter(design.units)
        for function, calls in design.runs:
            units += inputs.run(function, len(calls)) + inputs.calls(design.asked, calls)
        yield design, inputs.usd(units)


def storage(inputs: Inputs) -> Iterator[tuple[str, int, float]]:
    """Yield what is stored of a message and of a report: what, how many bytes, and a million's price for a month."""
    archived, row, listed = len(_message().as_json()), *message_bytes()
    if row > WRITE_UNIT_BYTES:
        raise CannotGenerate(f"a message's row has {row} bytes, and takes more than one write unit")
    of_a_row = {"dynamodb-gb-month", "dynamodb-recovery-gb-month"}
    yield "a message in the archive", archived, _kept(inputs, archived, {"s3-gb-month"})
    yield "a message's row in the index", row, _kept(inputs, row + ITEM_OVERHEAD_BYTES, of_a_row)
    yield "its item in the index of lists", listed, _kept(inputs, listed + ITEM_OVERHEAD_BYTES, of_a_row)
    report = submission_bytes()
    twice = 2 * (report + ITEM_OVERHEAD_BYTES)
    yield "a report's row, in the table and in its index (for 90 days)", 2 * report, _kept(inputs, twice, of_a_row)


def read_units(items: int, size: int) -> int:
    """Return the units that a consistent query takes for so many items of a size."""
    return math.ceil(items * size / READ_UNIT_BYTES)


def message_bytes() -> tuple[int, int]:
    """Return the size of a message's row, and of its item in the index of lists."""
    row = StoredMessage.of(_message())
    item: Mapping[str, Any] = row.listed_under(listing.keys(row.company_id, row.message_id, 0)).as_item()
    texts = {name: str(text) for name, value in item.items() for text in value.values()}
    return _bytes(texts), _bytes({name: text for name, text in texts.items() if name not in _NOT_LISTED})


def _message() -> Message:
    return message_from(exact_json.parse_object(exact_json.encode(examples.MESSAGE)))


def submission_bytes() -> int:
    """Return the size of a submission's row, with ids and times as long as they are."""
    members = {
        "sub": "x" * 36, "started_at_id": "2026-11-26T10:00:00.000Z#" + "x" * 36, "id": "x" * 36,
        "execution_arn": "arn:aws:states:us-east-1:123456789012:execution:dragonpost-prod-dragons:" + "x" * 36,
        "dragon": json.dumps(examples.DRAGON), "status": "added", "notification": "sent",
        "finished_at": "2026-11-26T10:00:00.000Z", "expires_at": "x" * 10,
    }  # fmt: skip
    return _bytes(members)


def _bytes(attributes: Mapping[str, str]) -> int:
    """Return an item's size as DynamoDB counts it, or a little more: a number counts as a text."""
    return sum(len(name) + len(text.encode()) for name, text in attributes.items())


def _kept(inputs: Inputs, size: int, prices: Iterable[str]) -> float:
    return inputs.usd(dict.fromkeys(prices, size * MILLION / GB))


# --- The page ----------------------------------------------------------------------------------------------------


def files() -> dict[Path, str]:
    """Return the page's text by its path. Raises CannotGenerate."""
    inputs = Inputs.read()
    page = (PROJECT / PAGE).read_text(encoding="utf-8")
    tables = {
        "routes": _routes_table(inputs),
        "pipelines": _priced_table(inputs, pipelines(inputs), "the whole of"),
        "storage": _storage_table(inputs),
        "designs": _designs_table(inputs),
        "prices": _prices_table(inputs),
        "assumed": _assumed_table(inputs),
    }
    for name, table in tables.items():
        page = _with(page, name, table)
    return {PAGE: page}


def _with(page: str, name: str, table: str) -> str:
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise CannotGenerate(f"{PAGE} has no place for a table: {begin.strip()} … {end.strip()}")
    return f"{before}{begin}{table}{end}{after}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Return a table, whose last columns are so many numbers."""
    rules = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rules, *rows))


_PARTS = {
    "API Gateway": {"api-request"},
    "Lambda": {"lambda-request", "lambda-gb-s"},
    "stores, queue, topic": {"s3-get", "s3-put", "dynamodb-read", "dynamodb-write", "sqs", "sns"},
    "workflow": {"transition"},
    "logs, traces": {"logs-gb", "trace"},
}


def _priced_table(inputs: Inputs, rows: Mapping[str, Units], what: str) -> str:
    head = [what, *_PARTS, "**a million, $**"]
    return _table(head, [[_named(asked), *_priced(inputs, units)] for asked, units in rows.items()], len(head) - 1)


def _routes_table(inputs: Inputs) -> str:
    head = ["an answer of", "calls", *_PARTS, "**a million, $**"]
    rows = [[_named(asked), _called(asked), *_priced(inputs, units)] for asked, units in routes(inputs).items()]
    return _table(head, rows, len(head) - 2)


def _called(asked: str) -> str:
    counted = Counter(CALLS[asked]).items()
    return ", ".join(f"`{call}`" if count == 1 else f"{count} times `{call}`" for call, count in counted) or "-"


def _priced(inputs: Inputs, units: Units) -> list[str]:
    parts = [{name: count for name, count in units.items() if name in names} for names in _PARTS.values()]
    each = [_dollars(inputs.usd(part) * MILLION) for part in parts]
    return [*each, f"**{_dollars(inputs.usd(units) * MILLION)}**"]


def _named(asked: str) -> str:
    """Return what is asked with its route as code."""
    if asked not in CALLS:
        return asked
    route = re.match(r"\S+ [^ ,]+", asked)
    return f"`{route[0]}`{asked[route.end() :]}" if route else asked


def _dollars(usd: float) -> str:
    return f"{usd:.2f}" if usd else "-"


def _storage_table(inputs: Inputs) -> str:
    rows = [(what, f"{size:,}", f"{usd:.2f}") for what, size, usd in storage(inputs)]
    return _table(["what is stored", "bytes", "a million for a month, $"], rows, numbers=2)


def _designs_table(inputs: Inputs) -> str:
    ours = routes(inputs) | pipelines(inputs)
    rows = [
        (_named(design.asked), design.page,
         _dollars(usd * MILLION), _dollars(inputs.usd(ours[design.asked]) * MILLION))
        for design, usd in designs(inputs)
    ]  # fmt: skip
    return _table(["what is asked", "the design", "there, a million, $", "here, a million, $"], rows, numbers=2)


def _prices_table(inputs: Inputs) -> str:
    rows = [
        (price.what, f"{_plain(price.usd)} for {price.per:,}",
         f"[{price.source.split('/')[2]}]({price.source}), {price.dated}" if price.source else "**nobody has seen it**",
         price.seen or "-")
        for price in inputs.prices.values()
    ]  # fmt: skip
    return _table(["what is paid for", "$", "the page, and its date", "seen"], rows)


def _plain(usd: float) -> str:
    digits = max(2, -math.floor(math.log10(usd)) + 5) if usd < 0.001 else 4
    return f"{usd:.{digits}f}".rstrip("0").rstrip(".")


_MEANINGS = {
    "call_ms": "milliseconds that AWS takes for a call",
    "own_ms": "milliseconds that a run takes beside its calls",
    "logged_bytes": "bytes that a run logs: the app's line, and the three of Lambda",
    "traced": "traces for each request, by X-Ray's default rule",
    "batch": "messages that the consumer gets at once under load",
    "page": "read units of a page of 100 dragons in DynamoDB",
    "families_page": "read units of a page of 100 families in DynamoDB",
}


def _assumed_table(inputs: Inputs) -> str:
    if inputs.assumed.keys() != _MEANINGS.keys():
        raise CannotGenerate(f"{DATA} and operations/generate/cost.py do not assume the same")
    return _table(
        ["assumed", "how much"], [(_MEANINGS[name], f"{value:g}") for name, value in inputs.assumed.items()], 1
    )
