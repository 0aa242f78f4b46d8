"""How the commands of this folder end: with a status, and with one line on stderr if something stopped them."""

from __future__ import annotations

import sys
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws import DependencyError
from chalicelib.settings import SettingError
from devstack.settings import DevstackError
from operations.stores import StageOutdated

INTERRUPTED = 130  # what shells make of Ctrl-C


def exit_status(
    work: Callable[[], int | None], *told: type[Exception], may: str, interrupted: str = "interrupted"
) -> int:
    """Do a command's work. Return its status, 0 if it names none, or 1 after saying on stderr what stopped it.

    `told` are errors whose text is for people as it is. If AWS refused something, the line also asks whether the reader
    may do what the command does: "use its queues". `interrupted` is said at Ctrl-C.
    """
    for_people: tuple[type[Exception], ...] = (DevstackError, SettingError, StageOutdated, *told)
    try:
        return work() or 0
    except for_people as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError, DependencyError) as error:
        print(f"error: {error}. Is the stage deployed, and may you {may}?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
