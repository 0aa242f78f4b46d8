"""A server of signing keys that misbehaves as the test tells it to, and counts how often it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

MOODS = ("refuse", "fail", "garbage", "not an object", "no keys", "cut off", "hang")


class KeyServer:
    """Publishes public keys at any path. `mood` says how it answers: `answer`, or one of `MOODS`."""

    def __init__(self, **keys: rsa.RSAPrivateKey) -> None:
        self.keys = keys
        self.mood = "answer"
        self.asked = 0
        self.released = threading.Event()  # ends the answers that hang
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked += 1
                owner._answer(self)

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def published(self) -> bytes:
        """Return the key set (RFC 7517 §5)."""
        return json.dumps({
            "keys": [
                {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig"}
                for name, key in self.keys.items()
            ]
        }).encode()  # fmt: skip

    @contextmanager
    def serving(self) -> Iterator[KeyServer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.mood == "refuse":
            request.close_connection = True
            return
        if self.mood == "hang":
            self.released.wait(30)
            return
        body = {
            "garbage": b"\xff<html>",
            "not an object": b"[1]",
            "no keys": b'{"keys":[]}',
        }.get(self.mood, self.published())
        request.send_response(500 if self.mood == "fail" else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if self.mood == "cut off" else body)
