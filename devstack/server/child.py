"""The API server's process: the app on a socket that the parent holds.

The parent hands over the listening socket, so that connections wait, and are not refused, while one server replaces
another after a change. An app that cannot be loaded (a syntax error) is answered for with 503 until the next change.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from chalice.cli.factory import CLIFactory
from chalice.local import CustomLocalChalice, LocalChalice, ThreadedHTTPServer

from devstack.processes import end_with_parent
from devstack.server.authorizer import TokenVerifier
from devstack.server.gateway import Gateway, Refused, RequestHandler
from devstack.settings import PROJECT, STAGE

ANSWERS_WITHIN_S = 11  # the longest request waits 10 s for a workflow
_NOT_PREFLIGHT = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers")


class Server(ThreadedHTTPServer):
    """A threaded server on a socket that is listening already; it can finish what it has begun."""

    def __init__(self, listening: socket.socket, handler: Callable[..., Any]) -> None:
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket: socket.socket = listening
        self.server_name, self.server_port = self.server_address[:2]
        self._idle = threading.Condition()
        self._busy = 0

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request that is being answered."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def finish(self, timeout_s: float) -> None:
        """Wait until no request is being answered."""
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout_s)

    def handle_error(self, *_request: Any) -> None:
        """Log what went wrong, unless it is only that the client has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc()


class _Broken:
    """Answers for an app that cannot be loaded."""

    def handle_request(self, **_request: Any) -> Any:
        detail = "The app cannot be loaded; the terminal and api.log say why. It is tried again after the next change."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "2"})


def main() -> None:
    """Serve until SIGTERM or the end of stdin; tell the parent on the status pipe what became of the app."""
    options = _parse()
    end_with_parent()
    handler, status = _load()
    server = Server(socket.socket(fileno=options.socket), handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with os.fdopen(options.status, "w", encoding="utf-8") as pipe:
        pipe.write(status + "\n")
    server.serve_forever(poll_interval=0.05)
    server.finish(ANSWERS_WITHIN_S)


def _load() -> tuple[Callable[..., Any], str]:
    """Return the handler of requests, and `ok` or what is wrong with the app."""
    try:
        return _handler_of_the_app(), "ok"
    except BaseException as error:  # noqa: BLE001 - whatever the app does while it is imported, and is afterwards
        traceback.print_exc()
        last = traceback.format_exception_only(error)[-1].strip()
        return functools.partial(RequestHandler, gateway=_Broken(), cors={}), last.replace("\n", " ")


def _handler_of_the_app() -> Callable[..., Any]:
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    config = CLIFactory(str(PROJECT), environ=os.environ).create_config_obj(STAGE)
    app = config.chalice_app
    # config.json names the default port's endpoint, for a plain `chalice local`.
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    # One app, many threads: Chalice's own local server gives each its own current request in this way.
    CustomLocalChalice.__bases__ = (LocalChalice, app.__class__)
    app.__class__ = CustomLocalChalice
    verifier = TokenVerifier(
        endpoint, os.environ["DRAGONPOST_USER_POOL_ARN"], os.environ["DRAGONPOST_USER_POOL_CLIENT_ID"]
    )
    settings: Any = app.api.cors
    cors = {name: text for name, text in settings.get_access_control_headers().items() if name in _NOT_PREFLIGHT}
    return functools.partial(RequestHandler, gateway=Gateway(app, config, verifier), cors=cors)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--status", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
