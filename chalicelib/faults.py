"""What is wrong with a client's input: each fault with its place, and all of them at once."""

from typing import Literal
from urllib.parse import quote

import msgspec

Place = Literal["pointer", "parameter", "header"]


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where (a JSON pointer, a query parameter or a header) and what."""

    place: Place
    name: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """Return the member of a problem's `errors` list: `{"pointer": "#/data", "detail": "…"}`."""
        return {self.place: self.name, "detail": self.detail}


class InvalidInput(Exception):
    """What the client sent breaks the contract. `faults` lists everything that is wrong."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults

    def __str__(self) -> str:
        return "; ".join(f"{fault.name}: {fault.detail}" for fault in self.faults)


class Faults:
    """Gathers what is wrong with a request, so that the client learns all of it at once.

    Read each part of the request in a `with` block of its own, which catches the `InvalidInput` that the part raises.
    Call `check` before you use what was read.
    """

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def add(self, place: Place, name: str, detail: str) -> None:
        """Note one fault."""
        self._found.append(Fault(place, name, detail))

    def check(self) -> None:
        """Raise `InvalidInput` with every fault that was gathered, if there is any."""
        if self._found:
            raise InvalidInput(*self._found)

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if isinstance(error, InvalidInput):
            self._found.extend(error.faults)
            return True
        return False


def pointer(parent: str, member: str) -> str:
    """Append a member name to a JSON pointer in URI fragment form (RFC 6901 §6)."""
    if member.isascii() and member.isidentifier():
        return f"{parent}/{member}"
    escaped = member.replace("~", "~0").replace("/", "~1")
    return f"{parent}/{quote(escaped, safe=_FRAGMENT_SAFE)}"


_FRAGMENT_SAFE = "!$&'()*+,;=:@/?"  # besides letters, digits and `-._~`
