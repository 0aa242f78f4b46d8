"""Makes the files that are generated from others: `make generate`.

Each generator is a module whose `files()` returns the text of each file by its path relative to the project's root.
"""


class CannotGenerate(Exception):
    """What a file is generated from is incomplete or contradicts itself; the message says how."""
