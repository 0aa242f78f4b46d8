"""Reduce the state machine's definition to the graph that the console draws: chalicelib/web/static/workflow.json.

It includes the layout, so that the browser only has to draw. A state's rank (its row) is the length of the longest way
to it from the start. Its lane (its column) is that of the end that it leads to when nothing unusual happens: by `Next`,
or by the first rule of a Choice. The start's lane is in the middle.

It also says in people's words what each state does, and which of a report's stages it belongs to. Those words are here,
because the definition's own comments are for whoever changes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from operations import PROJECT
from operations.generate import CannotGenerate

DEFINITION = PROJECT / "infrastructure" / "dragons.asl.json"
GRAPH = PROJECT / "chalicelib" / "web" / "static" / "workflow.json"

Edge = tuple[str, str]  # where to, and how: next, choice, default or catch

STAGES = ("Receive", "Check", "Add", "Announce", "Settle")

# What each state does, in words that fit into its box, by the stage that it belongs to.
WORDS = {
    "Receive": {
        "Complete?": "Is it complete?",
        "RefuseInput": "Refuse: it is not complete",
        "RecordPending": "Note that it is under way",
        "CountUnrecordedPending": "Not noted: tell operators",
    },
    "Check": {
        "ValidateDragon": "Check its fields",
        "Valid?": "All in order?",
        "Reporter?": "A number to text?",
        "RefuseReporter": "Refuse: there is no number",
    },
    "Add": {
        "AddDragon": "Add it if its name is free",
        "Added?": "Was it free?",
    },
    "Announce": {
        "ComposeAdded": "Write the news",
        "ComposeRejected": "Write the refusal",
        "ComposeFailed": "Write the apology",
        "NotifyAdded": "Tell subscribers",
        "NotifyRejected": "Tell subscribers",
        "NotifyFailed": "Tell subscribers",
        "CountMissedAdded": "Not told: tell operators",
        "CountMissedRejected": "Not told: tell operators",
        "CountMissedFailed": "Not told: tell operators",
        "Confirmation?": "Text wanted?",
        "TextReporter": "Text whoever reported it",
        "CountMissedText": "No text sent: tell operators",
    },
    "Settle": {
        "RecordAdded": "Note how it ended",
        "RecordRejected": "Note how it ended",
        "RecordFailed": "Note how it ended",
        "CountUnrecordedAdded": "Not noted: tell operators",
        "CountUnrecordedRejected": "Not noted: tell operators",
        "CountUnrecordedFailed": "Not noted: tell operators",
        "Added": "Added",
        "Rejected": "Refused",
        "Failed": "Failed",
    },
}
_SAID = {name: (stage, words) for stage, states in WORDS.items() for name, words in states.items()}


def files() -> dict[Path, str]:
    """Return the graph as the committed file has it. Raises CannotGenerate if the definition cannot be drawn."""
    try:
        definition = json.loads(DEFINITION.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CannotGenerate(f"{DEFINITION.name} is not JSON: {error}") from error
    return {GRAPH.relative_to(PROJECT): as_json(graph_of(definition))}


def graph_of(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the graph of an Amazon States Language definition (https://states-language.net).

    Raises CannotGenerate if it has a loop, or a state that nobody has found words for.
    """
    if wordless := definition["States"].keys() - _SAID:
        raise CannotGenerate(f"{', '.join(sorted(wordless))}: say in WORDS (workflow_graph.py) what the state does")
    edges = {name: list(_edges(state)) for name, state in definition["States"].items()}
    start: str = definition["StartAt"]
    order = _reached(start, edges)
    ranks = _ranks(order, edges)
    ends = list(dict.fromkeys(_end(name, edges) for name in order))
    half = len(ends) // 2
    lanes = [*ends[1 : half + 1], ends[0], *ends[half + 1 :]]
    states = [
        {
            "name": name,
            "words": _SAID[name][1],
            "stage": STAGES.index(_SAID[name][0]),
            "type": definition["States"][name]["Type"],
            "lane": lanes.index(_end(name, edges)),
            "rank": ranks[name],
            "edges": [{"to": to, "kind": kind} for to, kind in edges[name]],
        }
        for name in sorted(order, key=lambda name: (ranks[name], lanes.index(_end(name, edges))))
    ]
    return {
        "start": start,
        "stages": STAGES,
        "lanes": len(lanes),
        "ranks": max(ranks.values()) + 1,
        "states": states,
    }


def as_json(graph: Mapping[str, Any]) -> str:
    """Return the text of the file."""
    return json.dumps(graph, ensure_ascii=False, indent=1) + "\n"


def _edges(state: Mapping[str, Any]) -> Iterator[Edge]:
    """Yield where a state leads, the usual way first, each way once."""
    found: dict[str, str] = {}
    for kind, source in (("next", [state]), ("choice", state.get("Choices", ())), ("catch", state.get("Catch", ()))):
        for rule in source:
            if "Next" in rule:
                found.setdefault(rule["Next"], kind)
        if kind == "choice" and "Default" in state:
            found.setdefault(state["Default"], "default")
    yield from found.items()


def _reached(start: str, edges: Mapping[str, Sequence[Edge]]) -> list[str]:
    """Return the states that can be reached, in the order of a walk that takes the usual way first."""
    order: list[str] = []
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in order:
            order.append(name)
            waiting.extend(to for to, _ in reversed(edges[name]))
    return order


def _ranks(order: Sequence[str], edges: Mapping[str, Sequence[Edge]]) -> dict[str, int]:
    ranks = dict.fromkeys(order, 0)
    for _ in order:
        for name in order:
            for to, _kind in edges[name]:
                ranks[to] = max(ranks[to], ranks[name] + 1)
    if max(ranks.values()) >= len(order):
        raise CannotGenerate("the state machine has a loop, which this layout cannot draw")
    return ranks


def _end(name: str, edges: Mapping[str, Sequence[Edge]]) -> str:
    while edges[name]:
        name = edges[name][0][0]
    return name
