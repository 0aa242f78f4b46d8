"""A unit test gets a client only for an AWS service that it stubs, however the machine is configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from chalicelib import aws
from tests import network


@pytest.fixture(autouse=True)
def stubbed_services() -> Iterator[set[str]]:
    """Refuse to make a client for any service except those that the test adds to this set.

    The patches are not the test's own, so its `monkeypatch.undo()` leaves them in place.
    """
    stubbed: set[str] = set()
    create_client = botocore.session.Session.create_client

    def create_stubbed(session: botocore.session.Session, service_name: str, *rest: Any, **options: Any) -> Any:
        if service_name not in stubbed:
            network.refuse(f"asked for the {service_name} client, for which it has no stub")
        return create_client(session, service_name, *rest, **options)

    aws.forget_clients()  # those of other tests
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(botocore.session.Session, "create_client", create_stubbed)
        yield stubbed
    aws.forget_clients()
