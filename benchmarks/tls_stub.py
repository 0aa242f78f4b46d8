"""AWS on a port of this machine, over TLS, for apps that start from nothing.

Whoever trusts this authority beside the others that it has finds `*.amazonaws.com` here (see benchmarks/cold.py).
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.aws import REGION, Aws
from benchmarks.stubs import respond, unchunked
from devstack.aws import certificate
from devstack.settings import HOST

_HOSTS = (f"*.{REGION}.amazonaws.com", f"*.s3.{REGION}.amazonaws.com", f"*.ddb.{REGION}.amazonaws.com")


@contextlib.contextmanager
def serving(aws: Aws, authority: Path) -> Iterator[int]:
    """Serve these answers in the block, on the port that is yielded. Writes the authority's certificate to the file."""
    certificate.make(authority, _HOSTS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.parent / certificate.CERTIFICATE, authority.parent / certificate.KEY)
    server = _Server((HOST, 0), _answering(aws))
    # The handshake is left to each connection's own thread.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that ends without closing its connections: every measured process does."""


def _answering(aws: Aws) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            if headers.get("transfer-encoding") == "chunked":
                sent = unchunked(self.rfile)
            else:
                sent = self.rfile.read(int(headers.get("content-length", "0")))
            status, answered, body = respond(aws, self.command, headers, sent)
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle_expect_100(self) -> bool:
            """Ask for the body at once: S3's clients wait for that."""
            super().handle_expect_100()
            self.wfile.flush()
            return True

        do_GET = do_PUT = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    return Handler
