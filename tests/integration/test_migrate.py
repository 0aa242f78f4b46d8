"""Moving the registry between its homes, on moto's AWS."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.dragons.document import left_for
from chalicelib.dragons.dynamodb import DynamoDBDragonRepository, TableContended
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.registry import BeingMoved
from chalicelib.dragons.repository import Addition, Change, DragonQuery
from chalicelib.dragons.s3 import DocumentContended, S3DragonRepository
from operations import migrate
from operations.dragon_rows import Holding
from operations.migrate import Homes
from operations.stores import Standing
from tests.e2e.waiting import until
from tests.fakes.settings import FakeSettings
from tests.fakes.stacks import FakeCloudFormation, FakeStack
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.conftest import app_anew
from tests.integration.service import Service
from tests.integration.stage import DRAGON_BUCKET, DRAGON_FILE, DRAGONS, Stage
from tests.protocols.dragon_repository import always, names
from tests.samples import dragon, dragon_members

PLACES = FakeSettings(
    dragon_data_bucket_name=DRAGON_BUCKET, dragon_data_file_name=DRAGON_FILE, dragon_table_name=DRAGONS
)
THERE = ("s3", "dynamodb")
BACK = ("dynamodb", "s3")

# As people and the course write them, and as the service does.
ENTRIES = [
    json.dumps(dragon_members("Zed", family_str="red"))[:-1] + ', "n": 12345678901234567890.12,  "o": [1e-7]}',
    *(json.dumps({**dragon_members(f"dragon {n}", family_str="Grün"), "submission_id": f"s{n}"}) for n in range(5)),
    json.dumps(dragon_members("Élan", family_str="RED"), ensure_ascii=False),
]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs in this process. moto's transactions undo each other's writes, so there is one at a time."""
    monkeypatch.setattr(migrate, "reach", lambda _: None)
    monkeypatch.setattr(migrate, "WORKERS", 1)


@pytest.fixture
def clients(stage: Stage) -> Callable[[str], Any]:
    aws.s3().put_bucket_versioning(Bucket=DRAGON_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    stage.put_document(f"[{', '.join(ENTRIES)}]".encode())
    stacks = FakeCloudFormation(aws.s3(), {"dragonpost-local-resources": FakeStack({})})
    made = {"s3": aws.s3(), "dynamodb": aws.dynamodb(), "ssm": aws.ssm(), "cloudformation": stacks}
    return made.__getitem__


@pytest.fixture
def app(
    clients: Callable[[str], Any], step_functions: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """A warm function, which has read its settings while the registry was in S3, and may read them at any time."""
    assert clients
    monkeypatch.setattr("chalicelib.parameter_store.ANEW_AFTER_S", 0)
    app = app_anew(step_functions, monkeypatch)
    assert Service(app).get("/dragons").status == 200
    return app


def move(clients: Callable[[str], Any], way: tuple[str, str], *options: str) -> int:
    left, to = way
    return migrate.main(["--stage", "local", "--from", left, "--to", to, *options], clients)


def in_table() -> DynamoDBDragonRepository:
    return DynamoDBDragonRepository(PLACES)


def in_s3() -> S3DragonRepository:
    return S3DragonRepository(PLACES)


def rows() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the table's items, but for the fences and what differs from run to run."""
    found = {}
    for item in aws.dynamodb().scan(TableName=DRAGONS)["Items"]:
        if item["part"]["S"] == "dragon" or item["part"]["S"].startswith("family#"):
            found[item["part"]["S"], item["sort_key"]["S"]] = item["entry"]
    return found


def report(app: ModuleType, name: str) -> str:
    """Have the workflow's step add a dragon; return the outcome."""
    given = {"dragon": dragon_members(name), "submission_id": name, "correlation_id": "c"}
    outcome: str = app.add_dragon(given, None)["outcome"]
    return outcome


class TestThereAndBack:
    def test_every_entry_is_moved_to_the_byte_and_the_service_follows(
        self, stage: Stage, clients: Callable[[str], Any], app: ModuleType
    ) -> None:
        before = Service(app).get("/dragons")

        assert move(clients, THERE, "--yes") == 0
        assert (stage.document(), stage.parameters()["dragon_store"]) == (left_for("dynamodb"), "dynamodb")
        assert {row["S"] for (part, _), row in rows().items() if part == "dragon"} == set(ENTRIES)
        assert names(in_table(), DragonQuery.of("red", None)) == ["Zed", "Élan"]
        there = Service(app).get("/dragons")
        assert (there.body, there.headers["ETag"]) == (before.body, before.headers["ETag"])
        assert report(app, "Ember") == "added"

        assert move(clients, BACK, "--yes") == 0
        assert stage.parameters()["dragon_store"] == "s3"
        for entry in ENTRIES:
            assert entry.encode() in stage.document()
        assert len(stage.dragons()) == len(ENTRIES) + 1
        assert Service(app).get("/dragons/Ember").status == 200
        assert report(app, "Ash") == "added"
        assert len(stage.dragons()) == len(ENTRIES) + 2

    def test_an_empty_registry_is_moved(self, stage: Stage, clients: Callable[[str], Any]) -> None:
        stage.put_document(b"[]")

        assert move(clients, THERE, "--yes") == 0
        assert names(in_table()) == []
        assert move(clients, BACK, "--yes") == 0
        assert stage.document() == b"[]"

    def test_a_dry_run_changes_nothing(
        self, stage: Stage, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = stage.document()

        assert move(clients, THERE) == 0
        said = capsys.readouterr().out
        assert f"7 dragons are in s3://{DRAGON_BUCKET}/{DRAGON_FILE}" in said
        assert "nothing was changed" in said
        assert (stage.document(), stage.parameters()["dragon_store"]) == (before, "s3")
        assert aws.dynamodb().scan(TableName=DRAGONS)["Items"] == []

    def test_what_an_earlier_stay_left_there_is_replaced(self, clients: Callable[[str], Any]) -> None:
        for way in (THERE, BACK):
            assert move(clients, way, "--yes") == 0
        dragons = in_s3()
        dragons.remove("Zed", always)
        dragons.replace(dragon("Élan", family_str="black"), always)
        dragons.add(dragon("Ember", family_str="green"), "s9")

        assert move(clients, THERE, "--yes") == 0
        assert names(in_table()) == [*(f"dragon {n}" for n in range(5)), "Ember", "Élan"]
        assert names(in_table(), DragonQuery.of("red", None)) == []

    @pytest.mark.parametrize("ways", [[THERE, THERE], [THERE, BACK, BACK]])
    def test_once_it_is_there_nothing_is_done(
        self, stage: Stage, clients: Callable[[str], Any], ways: list[tuple[str, str]]
    ) -> None:
        for way in ways:
            assert move(clients, way, "--yes") == 0

        assert stage.parameters()["dragon_store"] == ways[-1][1]
        assert len(rows()) == 2 * len(ENTRIES)


class TestMeanwhile:
    def test_what_is_changed_before_the_document_is_left_is_moved_too(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put, dragons = Homes.put_document, in_s3()
        changes = [
            lambda: dragons.remove("Zed", always) is Change.DONE,
            lambda: dragons.replace(dragon("dragon 1", family_str="black"), always) is Change.DONE,
            lambda: dragons.add(dragon("Ember"), "s9") is Addition.ADDED,
        ]

        def put_after_a_change(homes: Homes, body: bytes, etag: str) -> bool:
            if changes:
                assert changes.pop()()
            return put(homes, body, etag)

        monkeypatch.setattr(Homes, "put_document", put_after_a_change)
        assert move(clients, THERE, "--yes") == 0

        assert changes == []
        assert names(in_table()) == [*(f"dragon {n}" for n in range(5)), "Ember", "Élan"]
        assert names(in_table(), DragonQuery.of("black", None)) == ["dragon 1"]
        copies = {key: row for (part, key), row in rows().items() if part != "dragon"}
        assert copies == {key: row for (part, key), row in rows().items() if part == "dragon"}

    def test_a_document_that_never_rests_stops_it(
        self, stage: Stage, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(migrate, "ROUNDS_MAX", 3)
        monkeypatch.setattr(Homes, "put_document", lambda *_: False)

        assert move(clients, THERE, "--yes") == 1
        assert "changed all the time" in capsys.readouterr().err
        assert stage.parameters()["dragon_store"] == "s3"

    def test_on_the_way_back_a_report_waits_and_is_then_added(
        self, stage: Stage, clients: Callable[[str], Any], app: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert move(clients, THERE, "--yes") == 0
        assert report(app, "Ash") == "added"
        put = Homes.put_document
        failures: list[str] = []

        def put_after_a_report(homes: Homes, body: bytes, etag: str) -> bool:
            try:
                report(app, "Ember")
            except Exception as error:  # noqa: BLE001 - its name is what the workflow sees
                failures.append(type(error).__name__)
            assert Service(app).get("/dragons").status == 503
            return put(homes, body, etag)

        monkeypatch.setattr(Homes, "put_document", put_after_a_report)
        assert move(clients, BACK, "--yes") == 0
        assert failures == ["BeingMoved"]
        assert report(app, "Ember") == "added"
        assert {"Ash", "Ember"} <= {entry["dragon_name_str"] for entry in stage.dragons()}


class TestUnderTraffic:
    """moto's transactions and conditional writes are not atomic, so that each call of AWS waits for the others."""

    @pytest.fixture(autouse=True)
    def _one_call_at_a_time(self, monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
        assert stage
        lock = threading.Lock()
        for client in (aws.dynamodb(), aws.s3(), aws.ssm()):
            call = client._make_api_call  # type: ignore[attr-defined]

            def locked(*arguments: Any, call: Any = call) -> Any:
                with lock:
                    return call(*arguments)

            monkeypatch.setattr(client, "_make_api_call", locked)

    @pytest.mark.slow
    def test_no_report_is_lost_and_none_is_added_twice(
        self, stage: Stage, clients: Callable[[str], Any], app: ModuleType
    ) -> None:
        moving = threading.Event()
        told: list[tuple[str, str]] = []

        def persistently(name: str) -> str:
            """Report as the workflow does: again, under the same submission, while the registry is moved."""
            while True:
                try:
                    return report(app, name)
                except (BeingMoved, DocumentContended, TableContended):
                    time.sleep(0.01)

        def reporting(writer: int) -> None:
            number = 0
            while moving.is_set():
                name = f"reported {writer} {number}"
                told.append((name, persistently(name)))
                number += 1

        moving.set()
        with ThreadPoolExecutor(3) as pool:
            writers = [pool.submit(reporting, writer) for writer in range(3)]
            try:
                for way in (THERE, BACK, THERE):
                    before = len(told)
                    until(lambda before=before: len(told) > before + 3)
                    assert move(clients, way, "--yes") == 0
                before = len(told)
                until(lambda: len(told) > before + 3)
            finally:
                moving.clear()
            for writer in writers:
                writer.result(60)

        assert {outcome for _, outcome in told} == {"added"}
        shown = names(in_table())
        assert sorted(shown, key=normalised_name) == shown
        assert set(shown) == {name for name, _ in told} | {json.loads(entry)["dragon_name_str"] for entry in ENTRIES}
        assert len(shown) == len(set(shown))
        assert Homes.of(Standing.found("local", clients)).holding() == Holding.of_entries(
            Homes.of(Standing.found("local", clients)).dragons()
        )
        assert stage.document() == left_for("dynamodb")


class TestInterrupted:
    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("step", ["set_fences", "put_document", "set_store", "dragons", "document"])
    @pytest.mark.parametrize("way", [THERE, BACK])
    def test_a_run_is_finished_by_the_next(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        monkeypatch: pytest.MonkeyPatch,
        way: tuple[str, str],
        step: str,
        after: bool,
    ) -> None:
        if way == BACK:
            assert move(clients, THERE, "--yes") == 0
        carried_out = getattr(Homes, step)

        def interrupted(*arguments: Any) -> Any:
            if after:
                carried_out(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patching:
            patching.setattr(Homes, step, interrupted)
            assert move(clients, way, "--yes") == 130

        assert move(clients, way, "--yes") == 0
        assert stage.parameters()["dragon_store"] == way[1]
        dragons = in_table() if way == THERE else in_s3()
        assert len(names(dragons)) == len(ENTRIES)

    @pytest.mark.parametrize("step", ["_change", "set_fences"])
    def test_what_was_changed_just_before_the_document_was_left_is_not_lost(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any, step: str
    ) -> None:
        """The run ends once the document is left, and before the last changes are copied or the table is opened."""
        put, where = Homes.put_document, migrate if step == "_change" else Homes
        carried_out = getattr(where, step)
        left: list[bool] = []

        def put_after_an_addition(homes: Homes, body: bytes, etag: str) -> bool:
            if not left and in_s3().add(dragon("Ember"), "s9") is Addition.ADDED:
                etag = homes.document().etag  # as if it had been read just after that
                body = left_for("dynamodb", homes.document().version)
            left.append(put(homes, body, etag))
            return left[-1]

        def interrupted(*arguments: Any) -> Any:
            if left:
                raise KeyboardInterrupt
            return carried_out(*arguments)

        with monkeypatch.context() as patching:
            patching.setattr(Homes, "put_document", put_after_an_addition)
            patching.setattr(where, step, interrupted)
            assert move(clients, THERE, "--yes") == 130

        assert move(clients, BACK, "--yes") == 1
        assert "finish it first" in capsys.readouterr().err
        assert move(clients, THERE, "--yes") == 0
        assert "Ember" in names(in_table())

    def test_a_move_that_was_finished_is_not_done_again(self, clients: Callable[[str], Any]) -> None:
        assert move(clients, THERE, "--yes") == 0
        in_table().remove("Zed", always)
        in_table().add(dragon("Ember"), "s9")
        before = rows()

        assert move(clients, THERE, "--yes") == 0
        assert rows() == before

    def test_copying_goes_on_where_it_was(self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
        add, added = migrate.add, []

        def interrupted(*arguments: Any) -> str:
            if len(added) == 3:
                raise KeyboardInterrupt
            added.append(None)
            return add(*arguments)

        with monkeypatch.context() as patching:
            patching.setattr(migrate, "add", interrupted)
            assert move(clients, THERE, "--yes") == 130
        assert len(rows()) == 2 * 3

        again: list[None] = []
        monkeypatch.setattr(migrate, "add", lambda *arguments: again.append(None) or add(*arguments))
        assert move(clients, THERE, "--yes") == 0
        assert len(again) == len(ENTRIES) - 3


class TestWhatStandsInTheWay:
    def refused(self, clients: Callable[[str], Any], way: tuple[str, str], says: str, capsys: Any) -> None:
        assert move(clients, way, "--yes") == 1
        assert says in capsys.readouterr().err

    def test_namesakes_stop_it_by_name(self, stage: Stage, clients: Callable[[str], Any], capsys: Any) -> None:
        document = json.dumps([dragon_members("Ember"), dragon_members("Ash"), dragon_members("EMBER")]).encode()
        stage.put_document(document)

        self.refused(clients, THERE, '"EMBER" is not shown: "Ember" comes first', capsys)
        assert (stage.document(), stage.parameters()["dragon_store"]) == (document, "s3")

    @pytest.mark.parametrize(
        "entry",
        [
            dragon_members("é" * 513),
            dragon_members("Ember", family_str="é" * 1025),
            {**dragon_members("Ember"), "more": "x" * 410_000},
            dragon_members(" "),
        ],
        ids=["name", "family", "entry", "no name"],
    )
    def test_an_entry_that_the_table_cannot_hold_is_named(
        self, stage: Stage, clients: Callable[[str], Any], capsys: Any, entry: dict[str, Any]
    ) -> None:
        stage.put_document(json.dumps([entry]).encode())

        self.refused(clients, THERE, "is too large, or has no name", capsys)
        assert stage.parameters()["dragon_store"] == "s3"

    def test_a_corrupt_document_is_not_moved(self, stage: Stage, clients: Callable[[str], Any], capsys: Any) -> None:
        stage.put_document(b"{}")

        self.refused(clients, THERE, "the dragon document is not a JSON array", capsys)

    @pytest.mark.parametrize("part", ["family#nobody", "families"])
    def test_rows_that_belong_to_no_dragon_are_found_before_anything_is_switched(
        self, stage: Stage, clients: Callable[[str], Any], capsys: Any, part: str
    ) -> None:
        before = stage.document()
        row = {"part": {"S": part}, "sort_key": {"S": "red#03"}, "entry": {"S": "{}"}, "dragons": {"N": "1"}}
        aws.dynamodb().put_item(TableName=DRAGONS, Item=row)

        self.refused(clients, THERE, "does not hold what the document holds", capsys)
        assert (stage.document(), stage.parameters()["dragon_store"]) == (before, "s3")

    def test_a_setting_that_somebody_changed_by_hand_is_told(
        self, stage: Stage, clients: Callable[[str], Any], capsys: Any
    ) -> None:
        stage.put_parameters(dragon_store="dynamodb")

        self.refused(clients, THERE, "set the parameter to s3", capsys)
        self.refused(clients, BACK, "nothing was switched", capsys)
        assert stage.parameters()["dragon_store"] == "dynamodb"
