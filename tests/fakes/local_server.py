"""The devstack's local server in this process, in front of any app."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from devstack.server import child
from devstack.server.asgi import Answering
from devstack.server.process import listen


@contextlib.contextmanager
def serving(gateway: Answering) -> Iterator[tuple[str, int]]:
    """Serve until the block ends, and then finish what is being answered; yields host and port."""
    with listen(0, "the port") as listening:
        server = child.server(gateway)
        thread = threading.Thread(target=server.run, args=([listening],))
        place = listening.getsockname()
        thread.start()
        try:
            yield place
        finally:
            server.should_exit = True
            thread.join()
