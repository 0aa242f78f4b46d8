"""Opening URLs of this machine: never through a proxy that the environment names."""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path


def opener(ca_bundle: Path | None = None) -> urllib.request.OpenerDirector:
    """Return an opener. Over TLS it trusts the certificates in this file, or else what the system trusts."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if ca_bundle:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_bundle)))
    return urllib.request.build_opener(*handlers)
