"""A fuzzer for the code that reads untrusted JSON: the strict parser and both models. Run it for as long as you like:

    .venv/bin/python -m tests.proof.fuzz_parser --seconds 600

With atheris (`pip install atheris`; libFuzzer for Python) coverage guides it. That includes the coverage of a second
parser, the standard library's in pure Python, with which it compares every result. Without atheris, it mutates a corpus
at random.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import json.decoder
import json.scanner
import random
import sys
import tempfile
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports() if atheris else contextlib.nullcontext():
    from chalicelib import exact_json
    from chalicelib.dragons.model import report_from
    from chalicelib.faults import InvalidInput
    from chalicelib.messages.model import message_from

from chalicelib.dragons.steps import validate
from tests.bad_input import ACCEPTED, REFUSED

SLOW_S = 5.0
BYTES_MAX = 8192
REPORTED_EVERY = 200_000
# Why the strict parser refuses what the standard library's parser in pure Python accepts (such as `\u+123`).
STRICTER = (
    "levels", "same name", "surrogate", "byte order mark", "is not a JSON number", "JSON object", "exponent", "uXXXX",
)  # fmt: skip
TOKENS = (
    '"metadata"', '"data"', '"message_time"', '"company_id"', '"message_id"', '"order_id"', '"order_time"',
    '"order_amount"', '"dragon_name_str"', '"dragonName"', '"family_str"', '"description_str"', '"city"',
    '"reportingPhoneNumber"', '"confirmationRequired"', "true", "false", "null", "NaN", "Infinity", "-Infinity",
    '"2023-12-10T22:02:38Z"', '"e0721e56-fb09-4273-ae74-7bcbc92d43eb"', "1e-7", "1E+100", "-0", "0.10", "1e999999",
    "\\ud83d\\udc09", "\\ud800", "\\u0000", "\\u0301", "{", "}", "[", "]", ":", ",", "\ufeff", "+15555550100",
)  # fmt: skip

# The standard library is imported before atheris can instrument it.
_seen_into = atheris.instrument_func if atheris else (lambda function: function)
_scan_string, _scan_object, _scan_array, _make_scanner = (
    _seen_into(function)
    for function in (
        json.decoder.py_scanstring,
        json.decoder.JSONObject,  # type: ignore[attr-defined]
        json.decoder.JSONArray,  # type: ignore[attr-defined]
        json.scanner.py_make_scanner,
    )
)

counted = {"inputs": 0, "parsed": 0, "messages": 0, "dragons": 0}


class Finding(Exception):
    """The parser did something that it must not do; the message says what."""


def corpus() -> list[bytes]:
    """Return the bodies in the table of bad input, both accepted and refused."""
    return [case.body for case in (*ACCEPTED, *REFUSED) if case.body is not None and len(case.body) < BYTES_MAX]


def try_input(data: bytes) -> None:
    """Read an input in every way. Raises `Finding`; any other error propagates unchanged."""
    counted["inputs"] += 1
    if counted["inputs"] % REPORTED_EVERY == 0:  # not at the end, because libFuzzer ends the process by itself
        print(counted, flush=True)
    started = time.perf_counter()
    try:
        value = exact_json.parse_object(data)
    except exact_json.MalformedJson as refused:
        _check_refusal(data, str(refused))
    else:
        counted["parsed"] += 1
        _check_value(data, value)
        _check_message(value)
        _check_dragon(value)
    if time.perf_counter() - started > SLOW_S:
        raise Finding(f"took {time.perf_counter() - started:.1f} s")


def _check_refusal(data: bytes, reason: str) -> None:
    if not reason.isprintable() or len(reason) > 200:
        raise Finding(f"a reason that is not safe to show: {reason!r}")
    if any(part in reason for part in STRICTER):
        return
    with contextlib.suppress(ValueError, RecursionError):
        _reference(data.decode())
        raise Finding(f"refused ({reason}), although it is JSON")


def _check_value(data: bytes, value: dict[str, Any]) -> None:
    if _reference(data.decode()) != value:
        raise Finding("the standard library reads another value")
    written = exact_json.encode(value)
    again = exact_json.parse_object(written)
    if again != value or exact_json.encode(again) != written:
        raise Finding("does not survive writing and reading")
    canonical = exact_json.canonical(value)
    if exact_json.canonical(again) != canonical:
        raise Finding("equal values have two canonical forms")
    if exact_json.canonical(exact_json.parse_object(canonical)) != canonical:
        raise Finding("the canonical form is not its own canonical form")


def _check_message(value: dict[str, Any]) -> None:
    try:
        message = message_from(value)
    except InvalidInput as invalid:
        _check_faults(invalid)
        return
    counted["messages"] += 1
    again = message_from(exact_json.parse_object(message.as_json()))
    if again.canonical() != message.canonical() or again.as_json() != message.as_json():
        raise Finding("a message does not survive the queue")
    if dict(message.data) != {**value["data"], "order_id": str(value["data"]["order_id"]).lower()}:
        raise Finding("a message's data is not what was sent")


def _check_dragon(value: dict[str, Any]) -> None:
    try:
        report = report_from(value)
    except InvalidInput as invalid:
        _check_faults(invalid)
        return
    counted["dragons"] += 1
    fields = {name: getattr(report.dragon, name) for name in report.dragon.__struct_fields__}
    if validate({"dragon": fields, "correlation_id": "fuzzing"})["outcome"] != "valid":
        raise Finding("a valid dragon is refused by the workflow")


def _check_faults(invalid: InvalidInput) -> None:
    for fault in invalid.faults:
        if not (fault.name.isascii() and fault.name.startswith("#") and fault.detail):
            raise Finding(f"a fault without a place: {fault}")
    json.dumps([fault.as_json() for fault in invalid.faults]).encode()


def _reference(text: str) -> Any:
    """Read with the standard library's parser in pure Python, whose branches atheris can see."""
    decoder = json.decoder.JSONDecoder(parse_float=_decimal, parse_int=_decimal)
    decoder.parse_string = _scan_string
    decoder.parse_object, decoder.parse_array = _scan_object, _scan_array
    decoder.scan_once = _make_scanner(decoder)
    return decoder.decode(text)


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation as error:
        raise ValueError(digits) from error


def _with_atheris(seconds: int, folder: Path, seed: int) -> None:
    seeds = folder / "corpus"
    seeds.mkdir()
    for number, body in enumerate(corpus()):
        (seeds / f"seed-{number}").write_bytes(body)
    dictionary = folder / "tokens"
    quoted = ("".join(f"\\x{byte:02x}" for byte in token.encode()) for token in TOKENS)
    dictionary.write_text("".join(f'"{token}"\n' for token in quoted), encoding="ascii")
    options = [f"-max_total_time={seconds}", f"-dict={dictionary}", f"-max_len={BYTES_MAX}", f"-seed={seed}"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", "-timeout=20", str(seeds)], try_input)
    atheris.Fuzz()


def _with_mutations(seconds: int, seed: int) -> None:
    rng = random.Random(seed)
    bodies = corpus()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        body = bytearray(rng.choice(bodies))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(body) + 1)
            kind = rng.randrange(4)
            if kind == 0:
                body[at:at] = rng.choice(TOKENS).encode()
            elif kind == 1:
                del body[at : at + rng.randrange(1, 20)]
            elif kind == 2:
                other = rng.choice(bodies)
                begin = rng.randrange(len(other) + 1)
                body[at:at] = other[begin : begin + rng.randrange(1, 200)]
            elif at < len(body):
                body[at] = rng.randrange(256)
        try_input(bytes(body[:BYTES_MAX]))


def main() -> None:
    """Fuzz for the given time, then print how much was tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31), help="default: random")
    options = parser.parse_args()
    how = "guided by atheris" if atheris else "random mutations, for atheris is not installed"
    print(f"--seed {options.seed}, {options.seconds} s from {len(corpus())} bodies: {how}", flush=True)
    if atheris:
        _with_atheris(options.seconds, Path(tempfile.mkdtemp(prefix="fuzz-parser-")), options.seed)
    else:
        _with_mutations(options.seconds, options.seed)
        print(f"nothing found: {counted}", flush=True)


if __name__ == "__main__":
    main()
