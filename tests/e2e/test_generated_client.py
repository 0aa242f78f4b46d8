"""The document is good enough for generators: a Python client made from it runs both pipelines."""

from __future__ import annotations

import importlib
import ssl
import subprocess
import sys
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from operations import PROJECT
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.people import COMPANIES
from tests.samples import dragon_members

DOCUMENT = PROJECT / "chalicelib" / "web" / "static" / "openapi.json"
GENERATES_WITHIN_S = 120


def trusted(api: Api) -> ssl.SSLContext:
    """Return what the client trusts: the certificate of an API here, or else what everybody does."""
    return ssl.create_default_context(cafile=api.devstack.running.get("ca_bundle"))


class Client:
    """The generated package, signed in."""

    def __init__(self, package: str, api: Api) -> None:
        self._package = package
        self.models = self._module("models")
        self._client = self._module("client").AuthenticatedClient(
            base_url=api.base_url, token=api.token("operator"), verify_ssl=trusted(api), httpx_args={"trust_env": False}
        )

    def call(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Call an operation by its tag and name, and return its whole answer."""
        return self._module(f"api.{operation}").sync_detailed(*arguments, client=self._client, **named)

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self._package}.{name}")


@pytest.fixture(scope="module")
def client(apis: dict[str, Api], tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A client, freshly generated from the document."""
    folder = tmp_path_factory.mktemp("generated")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--path", str(DOCUMENT)),
            *("--meta", "none", "--output-path", str(folder / "generated_dragonpost"), "--fail-on-warning"),
            *("--config", str(_without_formatting(folder))),
        ],
        capture_output=True,
        text=True,
        timeout=GENERATES_WITHIN_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with pytest.MonkeyPatch.context() as importing:
        importing.syspath_prepend(str(folder))
        return Client("generated_dragonpost", next(iter(apis.values())))


def _without_formatting(folder: Path) -> Path:
    config = folder / "config.yaml"
    config.write_text("post_hooks: []\n", encoding="utf-8")
    return config


def test_a_dragon_is_reported_watched_read_and_removed(client: Client) -> None:
    name = f"Typed {uuid.uuid4().hex[:12]}"
    report = client.models.DragonReport.from_dict(dragon_members(name, family_str="silver"))

    accepted = client.call("dragons.report_dragon", body=report)
    assert isinstance(accepted.parsed, client.models.AcceptedSubmission)
    submission_id = accepted.parsed.submission_id

    def settled() -> Any:
        found = client.call("dragons.get_submission", submission_id).parsed
        return found if found.status == client.models.SubmissionStatusStatus.ADDED else None

    assert until(settled).dragon_name_str == name
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


def _if_stored(client: Client, message_id: str) -> Any:
    answer = client.call("messages.get_message", message_id)
    return answer.parsed if answer.status_code == 200 else None


def test_a_problem_is_a_model_of_its_own(client: Client) -> None:
    answer = client.call("dragons.list_dragons", cursor="none-of-ours")

    assert answer.status_code == 400
    assert isinstance(answer.parsed, client.models.Problem)
    assert answer.parsed.type_ == "urn:dragonpost:problem:invalid-request"
    assert [fault.parameter for fault in answer.parsed.errors] == ["cursor"]
