"""Whom the AWS clients trust: Amazon's own roots, unless somebody says otherwise."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore
import pytest
from botocore.exceptions import NoRegionError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chalicelib import aws
from operations import PROJECT

ROOTS = PROJECT / "chalicelib" / "amazon_roots.crt"

# SHA-256 of each root's SubjectPublicKeyInfo: https://www.amazontrust.com/repository/
PUBLISHED = {
    "Amazon Root CA 1": "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
    "Amazon Root CA 2": "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
    "Amazon Root CA 3": "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
    "Amazon Root CA 4": "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
    "Starfield Services Root Certificate Authority - G2": (
        "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92"
    ),
}


def certificates(file: Path) -> list[str]:
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", file.read_text("utf-8"), re.DOTALL)


def roots() -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(each.encode()) for each in certificates(ROOTS)]


pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")  # Starfield's is 0


def test_the_roots_are_those_that_amazon_publishes() -> None:
    keys = [root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for root in roots()]
    names = [str(root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) for root in roots()]

    assert dict(zip(names, (hashlib.sha256(key).hexdigest() for key in keys), strict=True)) == PUBLISHED


def test_each_root_is_one_that_the_sdk_trusts() -> None:
    assert set(certificates(ROOTS)) <= set(certificates(Path(botocore.__file__).with_name("cacert.pem")))


def test_no_root_ends_within_a_year() -> None:
    """Replace it with the one that follows it (https://www.amazontrust.com/repository/) while both are valid."""
    for root in roots():
        assert root.not_valid_after_utc > datetime.now(UTC) + timedelta(days=365), root.subject


class TestClients:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch, stubbed_services: set[str]) -> None:
        stubbed_services.add("sqs")
        for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "key", "CONFIG_FILE": "/dev/null"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)

    @staticmethod
    def trusted() -> object:
        return aws.sqs()._endpoint.http_session._verify  # type: ignore[attr-defined]

    @pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1", "eu-new-9"])
    def test_trust_amazons_roots(self, monkeypatch: pytest.MonkeyPatch, region: str) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)

        assert self.trusted() == str(ROOTS)

    @pytest.mark.parametrize("region", ["cn-north-1", "eusc-de-east-1", "us-iso-east-1", "xx-new-1"])
    def test_trust_all_that_the_sdk_does_where_others_may_sign(
        self, monkeypatch: pytest.MonkeyPatch, region: str
    ) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)

        assert self.trusted() is True

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
    def test_trust_those_that_are_set_instead_where_tls_is_inspected(
        self, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv(variable, "/opt/ours.pem")

        assert self.trusted() == "/opt/ours.pem"

    def test_without_a_region_say_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)

        with pytest.raises(NoRegionError):
            aws.sqs()
