"""Whom connections trust, with a server on this machine in the place of AWS's."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import tls_stub
from benchmarks.aws import Aws
from chalicelib import aws


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have new clients, in a region where Amazon's roots are trusted."""
    for name, value in {"REGION": "us-east-1", "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "key"}.items():
        monkeypatch.setenv(f"AWS_{'DEFAULT_' * (name == 'REGION')}{name}", value)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    aws.forget_clients()
    yield
    aws.forget_clients()


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for that of Amazon's roots. Whoever serves under it is trusted."""
    path = tmp_path / "trusted" / "roots.pem"
    monkeypatch.setattr(aws, "_AMAZON_ROOTS", path)
    return path


def called(monkeypatch: pytest.MonkeyPatch, port: int, host: str = "127.0.0.1") -> None:
    """Have two clients made, of which each calls what serves on this port."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://{host}:{port}")
    for name in ("dynamodb", "sqs"):
        aws._clients.pop(name, None)
    with aws.calling("DynamoDB"):
        aws.dynamodb().get_item(TableName="table", Key={"message_id": {"S": "1"}})
    with aws.calling("SQS"):
        aws.sqs().send_message(QueueUrl=f"https://127.0.0.1:{port}/1/queue", MessageBody="{}")


def test_the_roots_are_loaded_once_for_all_connections(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection of a function's first batch took a millisecond more, and there are twenty-two."""
    loaded = []
    load = ssl.SSLContext.load_verify_locations

    def counting(context: ssl.SSLContext, *files: str | None) -> None:
        loaded.append(files)
        load(context, *files)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counting)
    with tls_stub.serving(Aws(), roots) as port:
        called(monkeypatch, port)

    assert loaded == [(str(roots),)]


def test_a_server_under_no_root_is_refused_by_clients_that_were_used_and_by_new_ones(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_stub.serving(Aws(), roots) as port:
        called(monkeypatch, port)
    with (
        tls_stub.serving(Aws(), tmp_path / "other" / "roots.pem") as port,
        pytest.raises(aws.DependencyMisconfigured, match="SSLError"),
    ):
        called(monkeypatch, port)


def test_a_server_with_a_trusted_certificate_for_another_name_is_refused(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_stub.serving(Aws(), roots) as port, pytest.raises(aws.DependencyMisconfigured, match="SSLError"):
        called(monkeypatch, port, host="localhost")
