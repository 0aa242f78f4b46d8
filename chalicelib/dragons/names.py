"""Names of dragons: which characters they have, and when two names are the same."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, cached_property

from chalicelib.dragons.characters import DIGITS, LETTERS, MARKS, UNICODE_VERSION

# An apostrophe and a hyphen, each as people type it and as typography has it.
_TO_PLAIN = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2010": "-", "\u2011": "-"})
PUNCTUATION = frozenset(" .'-\u2019\u2010\u2011")

# Zero-width non-joiner and joiner, which Persian and many Indian languages write inside words (Unicode 14.0, 23.2).
JOINERS = frozenset("\u200c\u200d")

# Letters by their category, of which nothing is left in a key.
NO_LETTERS = frozenset("\u02bc\u115f\u1160\u3164\uffa0")

# Default_Ignorable_Code_Point (https://www.unicode.org/Public/14.0.0/ucd/DerivedCoreProperties.txt).
_IGNORABLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# What `check` accepts, in a JSON Schema pattern, for a reader whose tables are those of this Unicode version. The two
# rules for joiners come first, and then that for a letter or digit.
PATTERN = (
    r"^\s*"
    r"(?!(?:.*[^\p{L}\p{M}])?\p{M}*[\u200c\u200d])"
    r"(?!.*[\u200c\u200d](?!\p{L}))"
    r"(?=[\p{L}\p{M} .'\u2019\u2010\u2011\u200c\u200d-]*(?![\u02bc\u115f\u1160\u3164\uffa0])[\p{L}\p{Nd}])"
    r"[\p{L}\p{M}\p{Nd} .'\u2019\u2010\u2011\u200c\u200d-]{1,64}\s*$"
)


class _Kind:
    """Characters of one kind, from the table of their runs, which is read when it is first needed."""

    def __init__(self, runs: str) -> None:
        self._runs = runs

    def __contains__(self, character: str) -> bool:
        code = ord(character)
        firsts, lasts = self._bounds
        run = bisect_right(firsts, code) - 1
        return run >= 0 and code <= lasts[run]

    @cached_property
    def _bounds(self) -> tuple[list[int], list[int]]:
        """The first and the last code point of each run."""
        bounds = [run.partition("-") for run in self._runs.split()]
        return [int(first, 16) for first, _, _ in bounds], [int(last or first, 16) for first, _, last in bounds]


_letters, _marks, _digits = _Kind(LETTERS), _Kind(MARKS), _Kind(DIGITS)


def check(name: str) -> None:
    """Raise `ValueError`, with a sentence for clients, unless the text (trimmed, in NFC) is a name."""
    for place, character in enumerate(name):
        if character in JOINERS:
            if not _is_between_letters(name, place):
                raise ValueError("must hold U+200C and U+200D between letters only")
        elif not (character in PUNCTUATION or any(character in kind for kind in (_letters, _marks, _digits))):
            raise ValueError(
                f"must hold only letters and digits of Unicode {UNICODE_VERSION}, spaces and . ' - \u2019 \u2010 \u2011"
                f", not U+{ord(character):04X}"
            )
    if not any(character in _digits or (character in _letters and character not in NO_LETTERS) for character in name):
        raise ValueError("must hold a letter or a digit")


def _is_between_letters(name: str, place: int) -> bool:
    """Tell whether a letter, with its marks, stands before the place, and a letter after it."""
    before = place - 1
    while before >= 0 and name[before] in _marks:
        before -= 1
    return before >= 0 and name[before] in _letters and place + 1 < len(name) and name[place + 1] in _letters


@cache
def _ignorable() -> re.Pattern[str]:
    return re.compile(_IGNORABLE)


def normalised_name(text: str) -> str:
    """Return the form in which names and families are compared. It is its own normalised form.

    Case is folded (Unicode 14.0, D145), what has no appearance of its own is left out, apostrophes and hyphens are
    plain, and white space around the text is gone. The result is in NFC.
    """
    return _plain(text).strip()


def normalised_names(texts: Sequence[str]) -> list[str]:
    """Return the normalised form of each of many texts. It takes half the time if all of them are ASCII."""
    if "".join(texts).isascii():
        return [text.strip().lower() for text in texts]
    return [normalised_name(text) for text in texts]


def normalised_prefix(text: str) -> str:
    """Return the form in which the beginning of a name is compared with normalised names.

    White space at its end counts, because more may follow: `Ember ` begins `Ember 2`, and not `Emberwick`. A letter and
    its accent are one letter wherever NFC makes one of them, so that `E` does not begin `Élan`.
    """
    return _plain(text).lstrip()


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", _ignorable().sub("", folded).translate(_TO_PLAIN))
