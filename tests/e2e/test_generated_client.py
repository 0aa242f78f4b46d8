"""The Python package of `make client` runs both pipelines, on each target."""

from __future__ import annotations

import importlib
import json
import ssl
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from operations import client as clients
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.people import COMPANIES
from tests.samples import dragon_members

LONG = "12345678901234567890.12"


def trusted(api: Api) -> ssl.SSLContext:
    """Return what the client trusts: the certificate of an API here, or else what everybody does."""
    return ssl.create_default_context(cafile=api.devstack.running.get("ca_bundle"))


class Client:
    """The package, and a client of it that is signed in."""

    def __init__(self, package: str, api: Api) -> None:
        self.package = importlib.import_module(package)
        self.models = self._module("models")
        self.client = self.package.connect(api.base_url, lambda: api.token("operator"), trusted(api))

    def call(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Call an operation by its tag and name, and return its whole answer."""
        return self._module(f"api.{operation}").sync_detailed(*arguments, client=self.client, **named)

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.package.__name__}.{name}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, freshly made."""
    return clients.python(tmp_path_factory.mktemp("client") / "python")


@pytest.fixture
def client(wheel: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The package's client, imported from the wheel, of each target in turn."""
    monkeypatch.syspath_prepend(str(wheel))
    return Client("dragonpost_client", api)


def test_a_dragon_is_reported_awaited_read_and_removed(client: Client) -> None:
    name = f"Typed {uuid.uuid4().hex[:12]}"
    report = client.models.DragonReport.from_dict(dragon_members(name, family_str="silver"))

    accepted = client.call("dragons.report_dragon", body=report, idempotency_key=uuid.uuid4().hex)
    assert isinstance(accepted.parsed, client.models.AcceptedSubmission)

    settled = client.package.until_settled(client.client, accepted.parsed.submission_id)
    assert (settled.status, settled.dragon_name_str) == (client.models.SubmissionStatusStatus.ADDED, name)
    listed = client.call("dragons.list_dragons", dragon_name=name, limit=1)
    assert [dragon.family_str for dragon in listed.parsed] == ["silver"]
    shown = client.call("dragons.get_dragon", name)
    removed = client.call("dragons.remove_dragon", name, if_match=shown.headers["ETag"])
    assert removed.status_code == 204
    assert isinstance(client.call("dragons.get_dragon", name).parsed, client.models.Problem)


def test_a_message_is_posted_and_read(client: Client) -> None:
    message_id = str(uuid.uuid4())
    message = client.models.OrderMessage.from_dict({
        "metadata": {
            "message_time": "2023-12-10T22:02:38+00:00",
            "company_id": COMPANIES["amber"],
            "message_id": message_id,
        },
        "data": {
            "order_id": str(uuid.uuid4()),
            "order_time": "2023-12-10T22:00:00+00:00",
            "order_amount": 19.99,
            "note": "kept as it came",
        },
    })  # fmt: skip

    accepted = client.call("messages.post_message", body=message)
    assert str(accepted.parsed.message_id) == message_id

    stored = until(lambda: _if_stored(client, message_id))

    assert stored.metadata.message_s3_key == f"{COMPANIES['amber']}/{message_id}.json"
    assert stored.data.order_amount == 19.99
    assert stored.data["note"] == "kept as it came"


def test_text_that_goes_through_the_client_keeps_every_digit(client: Client) -> None:
    """As docs/clients.md has it, for amounts that are too long for the models."""
    message_id = str(uuid.uuid4())
    metadata = {"message_time": "2023-12-10T22:02:38Z", "company_id": COMPANIES["amber"], "message_id": message_id}
    data = {"order_id": str(uuid.uuid4()), "order_time": "2023-12-10T22:00:00.123456789Z", "order_amount": 0}
    text = json.dumps({"metadata": metadata, "data": data}).replace('amount": 0', f'amount": {LONG}')
    http = client.client.get_httpx_client()

    assert http.post("/post-message", content=text, headers={"Content-Type": "application/json"}).status_code == 202

    until(lambda: _if_stored(client, message_id))
    stored = http.get(f"/message/{message_id}").text
    assert LONG in stored
    assert "22:00:00.123456789Z" in stored


def _if_stored(client: Client, message_id: str) -> Any:
    answer = client.call("messages.get_message", message_id)
    return answer.parsed if answer.status_code == 200 else None


def test_a_submission_of_nobody_is_not_waited_for_for_ever(client: Client) -> None:
    with pytest.raises(TimeoutError, match="still pending after 0 s"):
        client.package.until_settled(client.client, str(uuid.uuid4()), within_s=0)


def test_a_problem_is_a_model_of_its_own(client: Client) -> None:
    answer = client.call("dragons.list_dragons", cursor="none-of-ours")

    assert answer.status_code == 400
    assert isinstance(answer.parsed, client.models.Problem)
    assert answer.parsed.type_ == "urn:dragonpost:problem:invalid-request"
    assert [fault.parameter for fault in answer.parsed.errors] == ["cursor"]
