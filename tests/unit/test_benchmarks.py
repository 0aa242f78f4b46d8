"""What the benchmarks rest on: stand-ins that agree with the service, and sums that are right."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import aws, plot
from benchmarks.cases import CASES, fault_of_calls, for_app
from benchmarks.package import Packaged, certificates
from benchmarks.peer import OURS, PeerError, filled_in
from benchmarks.spread import Samples
from chalicelib import exact_json
from chalicelib.messages.model import message_from
from chalicelib.messages.stored import StoredMessage
from chalicelib.settings import Settings, Source
from operations import PROJECT
from tests.locked import INSTALLED, OF_THE_PACKAGE, locked

PEERS = PROJECT / "benchmarks" / "peers"


class TestStandIns:
    def test_every_setting_that_comes_from_aws_has_a_value_in_its_form(self) -> None:
        """A new one would end `make bench` long after it was added."""
        overrides = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
        referred = {
            name.removeprefix("DRAGONPOST_").lower()
            for resource in overrides["Resources"].values()
            for name, value in resource.get("Properties", {}).get("Environment", {}).get("Variables", {}).items()
            if not isinstance(value, str)
        }
        wanted = {
            name: each
            for name, each in Settings.table().items()
            if each.source is not Source.ENVIRONMENT or name in referred
        }

        assert wanted.keys() == aws.SETTINGS.keys()
        for name, setting in wanted.items():
            assert setting.form.fullmatch(aws.SETTINGS[name])

    def test_a_peers_worker_needs_nothing_that_a_peer_may_not_have(self) -> None:
        """It runs in the peer's own environment, and its imports would be the peer's, too."""
        program = "from benchmarks import grown_cases, stubs"

        subprocess.run([sys.executable, "-S", "-c", program], cwd=PROJECT, check=True, timeout=30)

    def test_the_stored_message_is_the_row_that_the_service_would_write(self) -> None:
        """Otherwise its digest would be computed at each request, or the row refused."""
        stored = StoredMessage.of(message_from(exact_json.parse_object(json.dumps(aws.STORED_MESSAGE))))

        assert aws.Aws().answer("GetItem", {"Key": {"message_id": {"S": aws.STORED_ID}}})["Item"] == stored.as_item()

    def test_the_peers_use_the_sdk_that_our_package_carries(self) -> None:
        assert locked(PEERS / "runtime.txt").items() <= INSTALLED.items()

    def test_the_peers_framework_versions_are_those_of_the_service(self) -> None:
        ours = locked(*OF_THE_PACKAGE).items()

        assert locked(PEERS / "chalice" / "requirements.txt").items() < ours
        assert locked(PEERS / "powertools" / "requirements.txt").items() < ours

    def test_a_document_that_moves_has_another_etag_and_other_bytes_each_time(self) -> None:
        moving = aws.Aws(entries=10, moving=True)

        first, second = moving.document(None), moving.document(None)

        assert first[0] != second[0]
        assert first[1] != second[1]
        assert moving.document(second[0])[1] is not None

    def test_a_document_that_stays_is_not_sent_to_who_knows_it(self) -> None:
        still = aws.Aws(entries=10)
        etag, body = still.document(None)

        assert body is not None
        assert still.document(etag) == (etag, None)

    def test_a_call_that_nobody_answers_is_named(self) -> None:
        with pytest.raises(aws.UnknownCall, match="TransactWriteItems"):
            aws.Aws().answer("TransactWriteItems", {})

    def test_the_file_of_the_authorities_that_the_service_trusts_is_found(self, tmp_path: Path) -> None:
        """Or a new function would not trust the stub that stands for AWS."""
        shutil.copy(PROJECT / "chalicelib" / "amazon_roots.crt", tmp_path)
        (tmp_path / "key.pem").write_text("no certificate", encoding="utf-8")
        made = Packaged(OURS, tmp_path / "none.zip", tmp_path, tmp_path / "no" / "bin" / "python", {})

        assert list(certificates(made)) == [tmp_path / "amazon_roots.crt"]

    def test_a_variable_of_the_template_that_has_no_value_is_named(self) -> None:
        with pytest.raises(PeerError, match=r"ours: .* DRAGONPOST_NEW_THING"):
            filled_in({"DRAGONPOST_NEW_THING": {"Ref": "NewThing"}}, "ours")


class TestCases:
    def test_an_app_that_makes_other_calls_fails(self) -> None:
        case = CASES["post"]

        assert fault_of_calls(case, ["GetParameters", "GetItem", "SendMessage"]) is None
        assert fault_of_calls(case, ["SendMessage"]) == "it called SendMessage"

    def test_an_app_that_shows_other_dragons_fails(self) -> None:
        shown = [dragon for dragon in aws.dragons(1_000) if dragon["family_str"] == "gold"]
        for dragon in shown:
            del dragon["submission_id"]

        assert CASES["list, new"].fault({"statusCode": 200, "body": json.dumps(shown)}) is None
        assert CASES["list, new"].fault({"statusCode": 200, "body": json.dumps(shown[:-1])})
        assert CASES["list, new"].fault({"statusCode": 500, "body": "{}"})

    def test_no_two_messages_have_one_id(self) -> None:
        """Or an app that remembers an answer would seem fast."""
        bodies = [for_app(CASES["post"].make(), binary=False)["body"] for _ in range(3)]

        assert len({json.loads(body)["metadata"]["message_id"] for body in bodies}) == 3


class TestSums:
    def test_a_ratio_is_taken_within_each_round(self) -> None:
        samples = Samples()
        for ours, theirs in ((1.0, 2.0), (10.0, 20.0), (30.0, 20.0)):
            samples.add("post", "ours", ours)
            samples.add("post", "raw", theirs)

        ratio = samples.ratio("post", "ours", "raw")

        assert ratio is not None
        assert (ratio.median, ratio.low, ratio.high) == (0.5, 0.5, 1.0)
        assert samples.ratio("post", "ours", "nobody") is None

    def test_a_plot_is_an_image_whatever_its_texts_are(self) -> None:
        bar = plot.Bar("<ours> & others", 2.0, 1.5, 2.5, "2 µs", ours=True)

        root = ET.fromstring(plot.drawn("a < b", [plot.Panel("POST & GET", [bar])]))  # noqa: S314 - it is our own

        assert root.tag.endswith("svg")
        assert "<ours> & others" in "".join(root.itertext())
