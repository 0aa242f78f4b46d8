"""An embedded AWS of its own, without a devstack around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from devstack.aws import emulator
from devstack.settings import Settings
from devstack.state import StateFolder


@contextlib.contextmanager
def embedded_aws(settings: Settings) -> Iterator[None]:
    """Run the emulator in the block. At the end it has to save its state in time."""
    state = StateFolder(settings.state)
    with state.held() as lock:
        state.check_writable()
        child = emulator.start(settings, state, lock)
        try:
            yield
        finally:
            emulator.end(child)
