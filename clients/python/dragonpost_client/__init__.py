"""A client of Dragonpost: every operation of its OpenAPI document, typed, which signs in, waits and tries again.

    from dragonpost_client import connect
    from dragonpost_client.api.dragons import list_dragons

    dragons = list_dragons.sync(client=connect("https://…/prod", token), family="gold")

`api` has a module for each operation, `models` what goes in and comes out.
"""

from .client import AuthenticatedClient
from .connection import connect
from .patience import Patience
from .submissions import Refused, until_settled

__all__ = ["AuthenticatedClient", "Patience", "Refused", "connect", "until_settled"]
