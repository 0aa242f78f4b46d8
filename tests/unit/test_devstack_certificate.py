"""The certificate of a run: this machine's, trusted by its own authority alone, and renewed at every start."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest

from devstack.aws import certificate
from devstack.settings import Settings


@pytest.fixture
def ca_bundle(tmp_path: Path) -> Path:
    found = Settings(8000, 4566, tmp_path, "prod").ca_bundle
    assert found
    certificate.make(found)
    return found


def shake_hands(ca_bundle: Path, folder: Path, name: str) -> None:
    """Do a TLS handshake without a network, between a client that trusts `ca_bundle` and a server of `folder`."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(folder / certificate.CERTIFICATE, folder / certificate.KEY)
    asking = ssl.create_default_context(cafile=ca_bundle)
    asking.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() is not None


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_client_that_trusts_the_authority_reaches_this_machine(ca_bundle: Path, name: str) -> None:
    shake_hands(ca_bundle, ca_bundle.parent, name)


def test_it_is_for_no_other_machine(ca_bundle: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"Hostname mismatch|not valid for"):
        shake_hands(ca_bundle, ca_bundle.parent, "sqs.us-east-1.amazonaws.com")


def test_another_runs_authority_is_not_trusted(ca_bundle: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.pem"
    before.write_bytes(ca_bundle.read_bytes())

    certificate.make(ca_bundle)

    shake_hands(ca_bundle, ca_bundle.parent, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(before, ca_bundle.parent, "127.0.0.1")


def test_its_key_is_this_users_alone_and_the_authoritys_is_nowhere(ca_bundle: Path) -> None:
    assert {file.name for file in ca_bundle.parent.iterdir()} == {"ca.pem", "server.pem", "server.key"}
    assert stat.S_IMODE((ca_bundle.parent / certificate.KEY).stat().st_mode) == 0o600


def test_stage_local_has_none_and_stays_with_plain_http(tmp_path: Path) -> None:
    local, prod = Settings(8000, 4566, tmp_path), Settings(8000, 4566, tmp_path, "prod")

    assert (local.ca_bundle, local.aws_url) == (None, "http://127.0.0.1:4566")
    assert "AWS_CA_BUNDLE" not in local.child_environment()
    assert prod.aws_url == "https://127.0.0.1:4566"
    assert prod.child_environment()["AWS_CA_BUNDLE"] == str(prod.ca_bundle)
