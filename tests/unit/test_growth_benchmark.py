"""What the figures of the registry's growth rest on: a registry of any size that is one, and a report that tells."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum

from benchmarks import growth_report, plot
from benchmarks.aws import UnknownCall, dragons
from benchmarks.cases import fault_of_calls
from benchmarks.grown_aws import DYNAMODB, HOMES, S3, GrownAws, key_of
from benchmarks.grown_cases import cases
from benchmarks.growth_report import NEW, TITLES, Count, Effort, row_of
from benchmarks.spread import Samples
from benchmarks.stubs import respond, unchunked
from chalicelib.dragons.document import Document
from chalicelib.dragons.repository import DragonQuery
from chalicelib.web.paging import cursor_after


class TestRegistry:
    def test_the_document_has_the_dragons_that_it_is_said_to_have(self) -> None:
        _, body = GrownAws(entries=10_001, home=S3).document(None)

        assert body is not None
        assert json.loads(body) == dragons(10_001)
        assert sorted(Document.parsed(body).dragons) == [key_of(place) for place in range(10_001)]

    def test_a_document_that_was_replaced_is_another_version_until_it_is_restored_which_is_one_too(self) -> None:
        grown = GrownAws(entries=3, home=S3)
        first_etag, first = grown.document(None)

        grown.put(b"[]")
        etag, body = grown.document(first_etag)
        grown.restore()
        restored_etag, restored = grown.document(etag)

        assert body == b"[]"
        assert restored == first
        assert len({first_etag, etag, restored_etag}) == 3
        assert grown.document(restored_etag)[1] is None

    def test_the_settings_lead_to_the_home_that_is_meant(self) -> None:
        for home in HOMES:
            name = "/dragonpost/prod/dragon_store"

            answer = GrownAws(home=home).answer("GetParameters", {"Names": [name]})

            assert answer == {"Parameters": [{"Name": name, "Value": home}]}

    def test_a_query_without_a_limit_ends_after_a_megabyte_and_counts_what_it_has_read(self) -> None:
        grown = GrownAws(entries=100_000)

        answer = grown.answer("Query", {"ExpressionAttributeValues": {":part": {"S": "dragon"}}})

        assert 2_000 < len(answer["Items"]) == grown.items < 4_000
        assert grown.read_units == pytest.approx(256, abs=1)
        assert answer["LastEvaluatedKey"]["sort_key"] == answer["Items"][-1]["sort_key"]

    def test_a_key_that_no_dragon_of_it_could_have_is_named(self) -> None:
        with pytest.raises(UnknownCall, match="ember"):
            GrownAws().answer("GetItem", {"Key": {"part": {"S": "dragon"}, "sort_key": {"S": "ember"}}})

    def test_a_body_in_the_sdks_chunks_is_stored_as_it_is(self) -> None:
        content = bytes(range(256)) * 8_192
        sent = AwsChunkedWrapper(io.BytesIO(content), checksum_cls=Crc32Checksum, checksum_name="x-amz-checksum-crc32")
        grown = GrownAws(entries=1, home=S3)

        respond(grown, "PUT", {"content-encoding": "aws-chunked"}, sent.read())

        assert grown.document(None)[1] == content

    def test_chunks_end_where_their_trailer_ends(self) -> None:
        stream = io.BytesIO(b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nname: value\r\n\r\nnext")

        assert unchunked(stream) == b"abcde"
        assert stream.read() == b"next"


class TestCases:
    @pytest.mark.parametrize("home", HOMES)
    def test_page_1000_begins_where_the_services_own_cursor_leads(self, home: str) -> None:
        event = cases(home, 1_000_000)["page 1,000"].make()

        assert event["queryStringParameters"]["cursor"] == cursor_after(key_of(99_899), DragonQuery(limit=100))

    def test_a_registry_with_fewer_dragons_shows_its_last_page_but_one(self) -> None:
        last, only = (cases(DYNAMODB, dragons)["page 1,000"] for dragons in (1_000, 10))

        assert last.fault(shown(800, 900)) is None
        assert only.fault(shown(0, 10)) is None
        assert "cursor" not in only.make()["queryStringParameters"]

    def test_another_page_and_other_calls_are_faults(self) -> None:
        case = cases(DYNAMODB, 1_000)["first page"]

        assert case.fault(shown(0, 100)) is None
        assert case.fault(shown(1, 101))
        assert case.fault({"statusCode": 503, "body": "{}"}) == "the status is 503, not 200: {}"
        assert fault_of_calls(case, ["GetItem", "Query"]) is None
        assert fault_of_calls(case, ["GetItem", "Query", "Query"])

    def test_no_two_additions_are_of_one_dragon(self) -> None:
        case = cases(S3, 10)["add"]

        assert case.make()["dragon"]["dragon_name_str"] != case.make()["dragon"]["dragon_name_str"]
        assert case.fault({"outcome": "duplicate", "reason": "taken"})


def shown(begin: int, end: int) -> dict[str, Any]:
    return {"statusCode": 200, "body": json.dumps(dragons(end)[begin:])}


SIZES = (1_000, 10_000)
SOME_MS, SOME_MIB = 0.1, 40 * 2**20


class TestReport:
    @pytest.fixture
    def samples(self) -> Samples:
        samples = Samples()
        for home in HOMES:
            for size in SIZES:
                for name in TITLES:
                    samples.add(row_of((home, size), name), str(size), SOME_MS / 1e3)
                for name in NEW:
                    samples.add(row_of((home, size), f"{name}, cpu"), str(size), 0.2)
                    samples.add(row_of((home, size), f"{name}, memory"), str(size), SOME_MIB)
        return samples

    @pytest.fixture
    def written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(growth_report, "PLOT", tmp_path / "growth.svg")
        monkeypatch.setattr(growth_report, "GROWTH", tmp_path / "GROWTH.md")

        def write(samples: Samples, more_items: int = 0) -> str:
            counts = {
                ((home, size), name): Count(["Query"], 1 + more_items * (size == SIZES[1]))
                for home in HOMES
                for size in SIZES
                for name in TITLES
            }
            growth_report.write(samples, counts, Effort(SIZES, 1, 1), ["a machine"], 60)
            return (tmp_path / "GROWTH.md").read_text(encoding="utf-8")

        return write

    def test_what_is_flat_and_fits_is_neither_missed_nor_bold(self, written: Any, samples: Samples) -> None:
        page = written(samples)

        assert page.count("| met |") == len(TITLES)
        assert "**" not in page

    def test_items_that_grow_are_missed(self, written: Any, samples: Samples) -> None:
        assert written(samples, more_items=1).count("**missed**") == len(TITLES)

    def test_cpu_that_grows_by_more_than_a_fifth_is_missed(self, written: Any, samples: Samples) -> None:
        samples.by_row[row_of((DYNAMODB, SIZES[1]), "get")][str(SIZES[1])] = [SOME_MS / 1e3 * 1.21]

        assert written(samples).count("**missed**") == 1

    def test_memory_and_time_that_a_function_does_not_have_are_bold(self, written: Any, samples: Samples) -> None:
        samples.by_row[row_of((S3, SIZES[1]), "add, memory")][str(SIZES[1])] = [513 * 2**20]
        samples.by_row[row_of((S3, SIZES[1]), "add, cpu")][str(SIZES[1])] = [30 * 512 / 1_769 + 0.01]

        page = written(samples)

        assert "| **513** |" in page
        assert "| **8,693** |" in page

    def test_curves_are_an_image_whose_names_do_not_cover_each_other(self) -> None:
        drawn = plot.curves("a < b", [plot.Curve(f"<{n}>", [(10, 1), (1_000, 5)]) for n in range(3)])

        root = ET.fromstring(drawn)  # noqa: S314 - it is our own
        places = [float(text.attrib["y"]) for text in root.iter() if text.attrib.get("class") == "name"]
        assert len(places) == 3
        assert min(b - a for a, b in zip(sorted(places), sorted(places)[1:], strict=False)) >= 16
