"""A connection to the service."""

import ssl

from .client import AuthenticatedClient
from .patience import Patience, Token


def connect(url: str, token: Token | Patience, verify: ssl.SSLContext | bool = True) -> AuthenticatedClient:
    """Return what the operations of `api` take as their `client`.

    Takes the service's address, which ends with the API's stage; an ID token, a function that returns one that is valid
    now, or a `Patience`, which also says how often to try; and whom to trust, as httpx takes it.
    """
    patience = token if isinstance(token, Patience) else Patience(token)
    return AuthenticatedClient(base_url=url, token="", verify_ssl=verify, httpx_args={"auth": patience})
