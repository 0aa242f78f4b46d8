"""The stage that is verified, and a client of its API, as the end-to-end suite has them."""

from tests.e2e.conftest import apis, devstack  # noqa: F401 - fixtures
