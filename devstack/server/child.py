"""The API server's process: the app, served on a socket that the parent holds.

The parent hands over the listening socket, so connections wait, and are not refused, while one server replaces another
after a change. While the app cannot be loaded (a syntax error, say), every request is answered with 503.
"""

from __future__ import annotations

import argparse
import os
import socket
import traceback
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from chalice.cli.factory import CLIFactory
from chalice.local import CustomLocalChalice, LocalChalice

from devstack.processes import end_with_parent
from devstack.server import people
from devstack.server.asgi import Answering, Application
from devstack.server.authorizer import TokenVerifier
from devstack.server.gateway import Answer, Gateway, Refused, Request, problem
from operations import PROJECT
from operations.stages import EMBEDDED

ANSWERS_WITHIN_S = 11  # the longest request waits 10 s for a workflow
IDLE_TIMEOUT_S = 75


class _Broken:
    """Answers in place of an app that cannot be loaded."""

    def answer(self, _request: Request) -> Answer:
        detail = "The app cannot be loaded; the terminal and api.log say why. It is tried again after the next change."
        return problem(Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "2"}))


def main() -> None:
    """Serve until SIGTERM or the end of stdin; tell the parent on the status pipe what became of the app."""
    options = _parse()
    end_with_parent()
    gateway, status = _load(options.people)
    made = server(gateway)  # before the parent hears that all is well
    with os.fdopen(options.status, "w", encoding="utf-8") as pipe:
        pipe.write(status + "\n")
    made.run([socket.socket(fileno=options.socket)])


def server(gateway: Answering) -> uvicorn.Server:
    """Return a server. When told to end, it first finishes the requests that it is answering."""
    return uvicorn.Server(
        uvicorn.Config(
            Application(gateway),
            interface="asgi3",
            http="h11",
            ws="none",
            lifespan="off",
            workers=1,  # or uvicorn would read WEB_CONCURRENCY
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_TIMEOUT_S,
            timeout_graceful_shutdown=ANSWERS_WITHIN_S,
            access_log=False,
            log_config=None,  # warnings and errors go to stderr, and thereby to api.log
        )
    )


def _load(passwords: Path | None) -> tuple[Answering, str]:
    """Return what answers requests, and `ok` or what is wrong with the app."""
    try:
        if passwords is None:
            return _gateway_of_the_app(), "ok"
        os.environ[people.VARIABLE] = people.PLACE
        return people.PeopleOffered(_gateway_of_the_app(), passwords), "ok"
    except BaseException as error:  # noqa: BLE001 - whatever goes wrong while the app is imported and set up
        traceback.print_exc()
        last = traceback.format_exception_only(error)[-1].strip()
        return _Broken(), last.replace("\n", " ")


def _gateway_of_the_app() -> Gateway:
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    config = CLIFactory(str(PROJECT), environ=os.environ).create_config_obj(EMBEDDED)
    app: Any = config.chalice_app
    # config.json names the default port's endpoint, for a plain `chalice local`.
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    # One app, many threads: this is how Chalice's own local server gives each thread its own current request.
    CustomLocalChalice.__bases__ = (LocalChalice, app.__class__)
    app.__class__ = CustomLocalChalice
    verifier = TokenVerifier(
        endpoint, os.environ["DRAGONPOST_USER_POOL_ARN"], os.environ["DRAGONPOST_USER_POOL_CLIENT_ID"]
    )
    return Gateway(app, config, verifier)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--status", type=int, required=True)
    parser.add_argument("--people", type=Path, help="users.json, to offer its people to the sign-in form")
    return parser.parse_args()


if __name__ == "__main__":
    main()
