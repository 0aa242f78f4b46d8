"""Moving the registry between its homes, on moto's AWS."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.dragons.document import left_for, moved
from chalicelib.dragons.dynamodb import DynamoDBDragonRepository, TableContended
from chalicelib.dragons.names import normalised_name
from chalicelib.dragons.registry import BeingMoved
from chalicelib.dragons.repository import Addition, Change, DragonQuery, RegistryMoved
from chalicelib.dragons.s3 import DocumentContended, S3DragonRepository
from operations import dragon_rows, migrate
from operations.dragon_rows import Holding, TakenOver
from operations.migrate import Homes
from operations.stores import Standing
from tests.e2e.waiting import until
from tests.fakes.settings import FakeSettings
from tests.fakes.stacks import FakeCloudFormation, FakeStack
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.conftest import FENCES, app_anew
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


def in_closed_table(call: str, part: str) -> object:
    """Carry out a call on the row of the dragon Ember in this part."""
    where = {"part": {"S": part}, "sort_key": {"S": "ember"}}
    return getattr(aws.dynamodb(), call)(TableName=DRAGONS, Key=where)


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def in_s3() -> S3DragonRepository:
    return S3DragonRepository(PLACES)


def rows() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the table's items, but for the fences and what differs from run to run."""
    found = {}
    for item in aws.dynamodb().scan(TableName=DRAGONS)["Items"]:
        if item["part"]["S"] == "dragon" or item["part"]["S"].startswith("family#"):
            found[item["part"]["S"], item["sort_key"]["S"]] = item["entry"]
    return found


def fences_say() -> set[tuple[str, str]]:
    """Return what the fences say: where the registry is, and which run has closed it."""
    items = aws.dynamodb().scan(TableName=DRAGONS)["Items"]
    fences = [item for item in items if item["sort_key"]["S"] == "fence"]
    assert len(fences) == FENCES
    return {(fence["registry_is_in"]["S"], fence.get("moved_by", {}).get("S", "")) for fence in fences}


def bars(said: str) -> list[tuple[int, str]]:
    """Return the bars that were printed: how long they are, and what is said of them."""
    return [(bar.count("#"), text) for bar, text in re.findall(r"^  \[(#* *)\] (.*)$", said, re.MULTILINE)]


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

    def test_how_far_it_is_is_shown_while_dragons_are_not(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(migrate, "TOLD_EACH", 3)

        assert move(clients, THERE, "--yes") == 0
        assert bars(capsys.readouterr().out) == [(17, "3 of 7 copied"), (34, "6 of 7 copied"), (40, "7 of 7 copied")]
        assert move(clients, BACK) == 0
        assert bars(capsys.readouterr().out) == []
        assert move(clients, BACK, "--yes") == 0
        _, closed = capsys.readouterr().out.split("the table is closed")
        assert bars(closed) == [(17, "3 of 7 read"), (34, "6 of 7 read"), (40, "7 of 7 read")]

        in_s3().remove("Zed", always)
        assert move(clients, THERE, "--yes") == 0
        assert bars(capsys.readouterr().out) == [(40, "1 of 1 removed")]

    @pytest.mark.parametrize(
        ("there_are", "shown"),
        [
            (0, []),
            (3, ["3 of 5", "3 of 3"]),
            (4, ["3 of 5", "4 of 4"]),
            (5, ["3 of 5", "5 of 5"]),
            (6, ["3 of 5", "6 of 6"]),
        ],
    )
    def test_the_bar_ends_although_dragons_came_or_went_since_they_were_counted(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there_are: int, shown: list[str]
    ) -> None:
        monkeypatch.setattr(migrate, "TOLD_EACH", 3)

        assert list(migrate._shown(range(there_are), 5, "read")) == list(range(there_are))
        assert [text.removesuffix(" read") for _, text in bars(capsys.readouterr().out)] == shown

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
    def test_what_is_changed_while_everything_is_copied_is_copied_before_the_api_answers_503(
        self, stage: Stage, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy, add, answered = migrate._copy, migrate.add, []

        def copied(*arguments: Any) -> Any:
            held = copy(*arguments)
            assert in_s3().add(dragon("Ember"), "s9") is Addition.ADDED
            return held

        def added(*arguments: Any) -> Any:
            answered.append(moved(stage.document()) is None)
            return add(*arguments)

        monkeypatch.setattr(migrate, "_copy", copied)
        monkeypatch.setattr(migrate, "add", added)
        assert move(clients, THERE, "--yes") == 0
        assert answered == [True] * (len(ENTRIES) + 1)

    def test_what_is_changed_before_the_document_is_left_is_moved_too(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put, dragons = Homes.put_document, in_s3()
        changes = [
            lambda: dragons.remove("Zed", always) is Change.DONE,
            lambda: dragons.replace(dragon("dragon 1", family_str="black"), always) is Change.DONE,
            lambda: dragons.add(dragon("Ember"), "s9") is Addition.ADDED,
        ]

        def put_after_a_change(homes: Homes, body: bytes, etag: str) -> Any:
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

        def put_after_a_report(homes: Homes, body: bytes, etag: str) -> Any:
            if not body.startswith(b"["):
                return put(homes, body, etag)
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


def _overtaken(monkeypatch: pytest.MonkeyPatch, other: Homes, at: int) -> None:
    """Have another run close the table before a fence is written: the first, if `at` is 0, and so on."""
    put, count = dragon_rows._put, iter(range(100))

    def overtaken(*arguments: Any) -> None:
        if next(count) == at:
            monkeypatch.setattr(dragon_rows, "_put", put)
            other.close(unless_open=False)
        put(*arguments)

    monkeypatch.setattr(dragon_rows, "_put", overtaken)


class TestTwoRuns:
    """Another run that was slow, or that somebody took for dead, must not remove what the registry has accepted."""

    def test_a_run_that_read_the_document_before_another_moved_it_changes_nothing(
        self, clients: Callable[[str], Any], app: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        close = Homes.close

        def overtaken(homes: Homes, **how: bool) -> None:
            monkeypatch.setattr(Homes, "close", close)
            assert move(clients, THERE, "--yes") == 0
            assert report(app, "Ember") == "added"
            close(homes, **how)

        monkeypatch.setattr(Homes, "close", overtaken)
        assert move(clients, THERE, "--yes") == 1
        assert "another run" in capsys.readouterr().err
        assert "Ember" in names(in_table())
        assert move(clients, THERE, "--yes") == 0
        assert "Ember" in names(in_table())

    @pytest.mark.parametrize(
        ("step", "says"),
        [("_copy", "another run"), ("_change", "was not opened"), ("_leave", "somebody else writes")],
    )
    def test_a_run_that_another_took_over_from_removes_and_adds_nothing(
        self,
        clients: Callable[[str], Any],
        app: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
        step: str,
        says: str,
    ) -> None:
        carried_out = getattr(migrate, step)
        assert move(clients, THERE, "--yes") == 0
        assert move(clients, BACK, "--yes") == 0
        in_s3().remove("Zed", always)

        def overtaken(homes: Homes, *arguments: Any) -> None:
            monkeypatch.setattr(migrate, step, carried_out)
            assert move(clients, THERE, "--yes") == 0
            assert report(app, "Ember") == "added"
            carried_out(homes, *arguments)

        monkeypatch.setattr(migrate, step, overtaken)
        assert move(clients, THERE, "--yes") == 1
        assert says in capsys.readouterr().err
        assert names(in_table()) == [*(f"dragon {n}" for n in range(5)), "Ember", "Élan"]
        assert move(clients, THERE, "--yes") == 0
        assert "Ember" in names(in_table())

    def test_a_run_whose_last_changes_another_copied_does_not_open_what_that_one_closed(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opening, other = Homes.open, Homes.of(Standing.found("local", clients))

        def overtaken(homes: Homes, **how: bool) -> None:
            other.close(unless_open=True)
            opening(homes, **how)

        with monkeypatch.context() as patching:
            patching.setattr(Homes, "open", overtaken)
            assert move(clients, THERE, "--yes") == 1
        with pytest.raises(RegistryMoved):
            names(in_table())
        assert move(clients, THERE, "--yes") == 0
        assert len(names(in_table())) == len(ENTRIES)

    @pytest.mark.parametrize("at", [1, 2, FENCES - 1])
    def test_two_that_close_the_table_at_once_do_not_both_have_it(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, at: int
    ) -> None:
        one, other = (Homes.of(Standing.found("local", clients)) for _ in range(2))
        _overtaken(monkeypatch, other, at)
        with pytest.raises(TakenOver):
            one.close(unless_open=False)
        assert other.is_ours()
        assert fences_say() == {("s3", other.run)}

    @pytest.mark.parametrize("at", range(FENCES))
    def test_a_run_that_opens_the_table_stops_once_another_closes_it(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, at: int
    ) -> None:
        one, other = (Homes.of(Standing.found("local", clients)) for _ in range(2))
        one.close(unless_open=True)
        _overtaken(monkeypatch, other, at)
        with pytest.raises(TakenOver):
            one.open(begun=False)
        assert fences_say() == {("s3", other.run)}

    def test_a_way_back_writes_no_document_once_another_run_began_to_open_the_table(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert move(clients, THERE, "--yes") == 0
        put, opening = Homes.put_document, Homes.open

        def interrupted(homes: Homes, **how: bool) -> None:
            opening(homes, **how)
            raise KeyboardInterrupt

        def overtaken(homes: Homes, body: bytes, etag: str) -> Any:
            if body.startswith(b"["):
                monkeypatch.setattr(Homes, "put_document", put)
                monkeypatch.setattr(Homes, "open", interrupted)
                assert move(clients, THERE, "--yes") == 130
                monkeypatch.setattr(Homes, "open", opening)
                assert in_table().add(dragon("Ember"), "s9") is Addition.ADDED
            return put(homes, body, etag)

        monkeypatch.setattr(Homes, "put_document", overtaken)
        assert move(clients, BACK, "--yes") == 1
        assert move(clients, BACK, "--yes") == 0
        assert "Ember" in names(in_s3())

    @pytest.mark.parametrize("way", [THERE, BACK])
    @pytest.mark.parametrize("before", ["document", "dragons", "put_document"])
    def test_a_way_back_that_was_overtaken_writes_no_document(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        app: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        way: tuple[str, str],
        before: str,
    ) -> None:
        """The other opens the table again, or moves the registry, and a report is added, before this one goes on."""
        assert move(clients, THERE, "--yes") == 0
        carried_out, close = getattr(Homes, before), Homes.close

        def overtaken(*arguments: Any) -> Any:
            monkeypatch.setattr(Homes, before, carried_out)
            assert move(clients, way, "--yes") == 0
            assert report(app, "Ember") == "added"
            return carried_out(*arguments)

        def closed(homes: Homes, **how: bool) -> None:
            monkeypatch.setattr(Homes, "close", close)
            close(homes, **how)
            monkeypatch.setattr(Homes, before, overtaken)

        monkeypatch.setattr(Homes, "close", closed)
        assert move(clients, BACK, "--yes") == 1
        assert stage.parameters()["dragon_store"] == way[1]
        assert "Ember" in names(in_table() if way == THERE else in_s3())
        assert move(clients, BACK, "--yes") == 0
        assert "Ember" in names(in_s3())

    def test_an_answer_that_was_lost_when_the_document_was_left_does_no_harm(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put, lost = Homes.put_document, []

        def put_twice(homes: Homes, body: bytes, etag: str) -> Any:
            done = put(homes, body, etag)
            if lost:
                return done
            lost.append(done)
            return put(homes, body, etag)

        monkeypatch.setattr(Homes, "put_document", put_twice)
        assert move(clients, THERE, "--yes") == 0
        assert lost[0]
        assert len(names(in_table())) == len(ENTRIES)


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


Damage = Callable[[bytes], object]


def _damaged_count(entry: bytes) -> None:
    family = json.loads(entry)["family_str"]
    for row in dragon_rows.rows_counting(aws.dynamodb(), DRAGONS, family):
        where = {name: row[name] for name in ("part", "sort_key")}
        aws.dynamodb().delete_item(TableName=DRAGONS, Key=where)


def _damaged_row(part: str) -> Damage:
    def damage(entry: bytes) -> None:
        row = {"part": {"S": part}, "sort_key": {"S": "ember"}, "entry": {"S": json.dumps(dragon_members("Ember"))}}
        aws.dynamodb().put_item(TableName=DRAGONS, Item=row)

    return damage


class TestComparison:
    """Nothing is read from the table before everything in it was compared with the document."""

    def refused(self, stage: Stage, clients: Callable[[str], Any], capsys: Any) -> None:
        assert move(clients, THERE, "--yes") == 1
        assert "does not hold what the document holds, and was not opened" in capsys.readouterr().err
        assert stage.parameters()["dragon_store"] == "s3"
        with pytest.raises(RegistryMoved):
            names(in_table())

    @pytest.fixture(params=["_copy", "_catch_up"], ids=["before it is left", "after it is left"])
    def changed_last(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> dict[str, Damage]:
        """Have a dragon added, and another removed, after everything was compared.

        They are copied before the document is left, or after that. A test may have the dragon damaged then.
        """
        compared, add, damages = getattr(migrate, request.param), dragon_rows.add, dict[str, Damage]()
        changing = [True]

        def changed(*arguments: Any) -> Any:
            held = compared(*arguments)
            if changing and changing.pop():
                in_s3().remove("dragon 3", always)
                assert in_s3().add(dragon("Ember", family_str="Grün"), "s9") is Addition.ADDED
            return held

        def added(dynamodb: Any, table: str, entry: bytes, run: str) -> Any:
            outcome = add(dynamodb, table, entry, run)
            if not changing:
                assert (moved(stage.document()) is not None) == (request.param == "_catch_up")
                while damages:
                    damages.popitem()[1](entry)
            return outcome

        monkeypatch.setattr(migrate, request.param, changed)
        monkeypatch.setattr(migrate, "add", added)
        return damages

    @pytest.mark.parametrize(
        "damage",
        [
            lambda _: in_closed_table("delete_item", "dragon"),
            lambda _: in_closed_table("delete_item", "family#grün"),
            _damaged_row("dragon"),
            _damaged_row("family#grün"),
            _damaged_count,
        ],
        ids=["no dragon", "no copy", "another dragon", "another copy", "no count"],
    )
    def test_what_is_copied_last_is_compared_before_the_table_is_opened(
        self, stage: Stage, clients: Callable[[str], Any], changed_last: dict[str, Damage], capsys: Any, damage: Damage
    ) -> None:
        changed_last["it"] = damage

        self.refused(stage, clients, capsys)

    def test_what_was_to_go_last_is_looked_for_before_the_table_is_opened(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        changed_last: dict[str, Damage],
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
    ) -> None:
        assert changed_last == {}
        with monkeypatch.context() as patching:
            patching.setattr(migrate, "remove", lambda *_: None)
            self.refused(stage, clients, capsys)

        assert move(clients, THERE, "--yes") == 0
        assert names(in_table()) == ["dragon 0", "dragon 1", "dragon 2", "dragon 4", "Ember", "Zed", "Élan"]

    def test_what_was_lost_while_copying_last_is_copied_by_the_next_run(
        self, stage: Stage, clients: Callable[[str], Any], changed_last: dict[str, Damage], capsys: Any
    ) -> None:
        changed_last["it"] = lambda _: [in_closed_table("delete_item", part) for part in ("dragon", "family#grün")]

        self.refused(stage, clients, capsys)
        for row in aws.dynamodb().scan(TableName=DRAGONS)["Items"]:  # "empty it"
            where = {name: row[name] for name in ("part", "sort_key")}
            aws.dynamodb().delete_item(TableName=DRAGONS, Key=where)
        assert move(clients, THERE, "--yes") == 0
        assert names(in_table()) == ["dragon 0", "dragon 1", "dragon 2", "dragon 4", "Ember", "Zed", "Élan"]

    def test_comparing_what_is_copied_last_reads_nothing_else(
        self, clients: Callable[[str], Any], changed_last: dict[str, Damage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert changed_last == {}
        read: list[int] = []
        of_rows = Holding.of_rows

        def counted(rows: Any) -> Holding:
            rows = list(rows)
            read.append(len(rows))
            return of_rows(rows)

        monkeypatch.setattr(Holding, "of_rows", counted)
        assert move(clients, THERE, "--yes") == 0
        assert 3 <= max(read[1:]) <= 2 + 16, "the dragon, its copy and the counts of its family"


class TestInterrupted:
    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize(
        ("way", "step"),
        [
            (way, step)
            for way in (THERE, BACK)
            for step in ("close", "open", "put_document", "set_store", "dragons", "document")
            if (way, step) != (BACK, "open")
        ],
    )
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

        def interrupted(*arguments: Any, **how: bool) -> Any:
            if after:
                carried_out(*arguments, **how)
            raise KeyboardInterrupt

        with monkeypatch.context() as patching:
            patching.setattr(Homes, step, interrupted)
            assert move(clients, way, "--yes") == 130

        assert move(clients, way, "--yes") == 0
        assert stage.parameters()["dragon_store"] == way[1]
        dragons = in_table() if way == THERE else in_s3()
        assert len(names(dragons)) == len(ENTRIES)

    @pytest.mark.parametrize("change", ["added", "replaced", "removed"])
    @pytest.mark.parametrize("several", [False, True], ids=["once", "again"])
    def test_on_the_way_back_a_change_of_the_document_that_stands_already_is_no_dead_end(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        app: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        change: str,
        several: bool,
    ) -> None:
        """The run ends before the setting is changed. A function that has `s3` as its setting goes on."""
        assert move(clients, THERE, "--yes") == 0
        assert Service(app).get("/dragons").status == 200, "this function has the new setting"
        with monkeypatch.context() as patching:
            patching.setattr(Homes, "set_store", _interrupted)
            assert move(clients, BACK, "--yes") == 130
        assert Service(app).get("/dragons").status == 503
        changes = {
            "added": lambda: in_s3().add(dragon("Ember"), "s9") is Addition.ADDED,
            "replaced": lambda: in_s3().replace(dragon("Zed", family_str="black"), always) is Change.DONE,
            "removed": lambda: in_s3().remove("dragon 3", always) is Change.DONE,
        }
        assert changes[change]()
        assert not several or in_s3().add(dragon("Ash"), "s8") is Addition.ADDED
        before = stage.document()

        assert move(clients, BACK, "--yes") == 0
        assert (stage.document(), stage.parameters()["dragon_store"]) == (before, "s3")
        assert Service(app).get("/dragons").status == 200
        assert move(clients, THERE, "--yes") == 0
        assert len(names(in_table())) == len(json.loads(before))

    @pytest.mark.parametrize("step", ["_change", "open"])
    def test_what_was_changed_just_before_the_document_was_left_is_not_lost(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any, step: str
    ) -> None:
        """The run ends once the document is left, and before the last changes are copied or the table is opened."""
        put, where = Homes.put_document, migrate if step == "_change" else Homes
        carried_out = getattr(where, step)
        left: list[Any] = []

        def put_after_an_addition(homes: Homes, body: bytes, etag: str) -> Any:
            if not left and in_s3().add(dragon("Ember"), "s9") is Addition.ADDED:
                etag = homes.document().etag  # as if it had been read just after that
                body = left_for("dynamodb", homes.document().version)
            left.append(put(homes, body, etag))
            return left[-1]

        def interrupted(*arguments: Any, **how: bool) -> Any:
            if left:
                raise KeyboardInterrupt
            return carried_out(*arguments, **how)

        with monkeypatch.context() as patching:
            patching.setattr(Homes, "put_document", put_after_an_addition)
            patching.setattr(where, step, interrupted)
            assert move(clients, THERE, "--yes") == 130

        assert move(clients, BACK, "--yes") == 1
        assert "finish it first" in capsys.readouterr().err
        assert move(clients, THERE, "--yes") == 0
        assert "Ember" in names(in_table())

    def test_what_was_added_while_the_table_was_being_opened_is_not_removed(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put = dragon_rows._put

        def interrupted(client: Any, table: str, row: Any, *conditions: Any) -> None:
            if row["registry_is_in"]["S"] == "dynamodb" and row["part"]["S"] == "fence#02":
                raise KeyboardInterrupt
            put(client, table, row, *conditions)

        with monkeypatch.context() as patching:
            patching.setattr(dragon_rows, "_put", interrupted)
            assert move(clients, THERE, "--yes") == 130
        for _ in range(50):
            with contextlib.suppress(RegistryMoved):
                assert in_table().add(dragon("Ember"), "s9") is Addition.ADDED
                break

        assert move(clients, THERE, "--yes") == 0
        assert "Ember" in names(in_table())
        assert {place for place, _ in fences_say()} == {"dynamodb"}

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

        assert move(clients, THERE) == 1, "the dry run tells, too"
        assert "no dragon" in capsys.readouterr().err
        self.refused(clients, THERE, "no dragon", capsys)
        assert (stage.document(), stage.parameters()["dragon_store"]) == (before, "s3")

    @pytest.mark.parametrize("part", ["dragon", "other", "families"])
    @pytest.mark.parametrize("entry", [None, "{}", json.dumps(dragon_members("Ash"))], ids=["none", "no dragon", "Ash"])
    @pytest.mark.parametrize("options", [[], ["--yes"]], ids=["dry", "yes"])
    def test_a_row_that_somebody_else_wrote_is_named(
        self, clients: Callable[[str], Any], capsys: Any, part: str, entry: str | None, options: list[str]
    ) -> None:
        row = {"part": {"S": part}, "sort_key": {"S": "zed"}, **({"entry": {"S": entry}} if entry else {})}
        aws.dynamodb().put_item(TableName=DRAGONS, Item=row)

        assert move(clients, THERE, *options) == 1
        assert f"the item ({part}, zed) of the table" in capsys.readouterr().err

    def test_a_document_that_somebody_put_back_while_the_table_is_open_does_not_replace_the_table(
        self, stage: Stage, clients: Callable[[str], Any], capsys: Any
    ) -> None:
        assert move(clients, THERE, "--yes") == 0
        stage.put_document(b"[]")
        stage.put_parameters(dragon_store="s3")

        self.refused(clients, THERE, 'put {"moved_to":"dynamodb"} there instead', capsys)
        assert len(names(in_table())) == len(ENTRIES)

    @pytest.mark.parametrize("options", [[], ["--yes"]], ids=["dry", "yes"])
    def test_a_document_of_which_no_version_would_stay_is_not_left(
        self, stage: Stage, clients: Callable[[str], Any], capsys: Any, options: list[str]
    ) -> None:
        aws.s3().create_bucket(Bucket="unversioned")
        aws.s3().put_object(Bucket="unversioned", Key=DRAGON_FILE, Body=stage.document())
        stage.put_parameters(dragon_data_bucket_name="unversioned")

        assert move(clients, THERE, *options) == 1
        assert "enable its versioning" in capsys.readouterr().err
        assert rows() == {}

    def test_a_document_that_becomes_unversioned_meanwhile_is_not_left(
        self, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        copy = migrate._copy

        def suspended(homes: Homes, entries: Any) -> None:
            copy(homes, entries)
            suspending = {"Status": "Suspended"}
            aws.s3().put_bucket_versioning(Bucket=DRAGON_BUCKET, VersioningConfiguration=suspending)
            in_s3().add(dragon("Ember"), "s9")

        monkeypatch.setattr(migrate, "_copy", suspended)
        self.refused(clients, THERE, "enable its versioning", capsys)
        assert "Ember" in names(in_s3())

    def test_a_table_that_takes_long_to_read_is_not_closed_unless_told_to(
        self, stage: Stage, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        assert move(clients, THERE, "--yes") == 0
        seconds = itertools.count(0, 100.5)
        monkeypatch.setattr(migrate, "monotonic", lambda: next(seconds))
        capsys.readouterr()

        assert move(clients, BACK) == 1
        told = capsys.readouterr()
        assert f"7 dragons ({sum(len(entry.encode()) for entry in ENTRIES):,} bytes) are in" in told.out
        assert "took 100.5 s" in told.out
        self.refused(clients, BACK, "HOWEVER_LONG=yes", capsys)
        assert len(names(in_table())) == len(ENTRIES)
        assert move(clients, BACK, "--yes", "--however-long") == 0
        assert stage.parameters()["dragon_store"] == "s3"

    def test_a_document_that_s3_does_not_hold_as_it_was_written_is_found(
        self, stage: Stage, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        assert move(clients, THERE, "--yes") == 0
        put = Homes.put_document

        def put_less(homes: Homes, body: bytes, etag: str) -> Any:
            return put(homes, b"[]" if body.startswith(b"[") else body, etag)

        monkeypatch.setattr(Homes, "put_document", put_less)
        self.refused(clients, BACK, "does not hold what the table holds", capsys)
        assert stage.parameters()["dragon_store"] == "dynamodb"

    @pytest.mark.parametrize("right", ["the document", "the table"])
    def test_a_document_that_may_not_come_of_the_table_is_left_to_a_person_whose_choice_then_works(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        app: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
        right: str,
    ) -> None:
        assert move(clients, THERE, "--yes") == 0
        with monkeypatch.context() as patching:
            patching.setattr(Homes, "dragons", _interrupted)
            assert move(clients, BACK, "--yes") == 130
            patching.undo()
        with monkeypatch.context() as patching:
            patching.setattr(Homes, "put_document", _interrupted)
            assert move(clients, BACK, "--yes") == 130
        stage.put_document(json.dumps([dragon_members("Ash"), dragon_members("Zed")]).encode())

        self.refused(clients, BACK, "1 dragons are only in the document, 6 only in the table, and 1 differ", capsys)
        self.refused(clients, THERE, "run that again", capsys)
        self.refused(clients, BACK, f"If {right} is right", capsys)
        if right == "the document":
            stage.put_parameters(dragon_store="s3")
        else:
            stage.put_document(left_for("dynamodb"))
        assert move(clients, BACK, "--yes") == 0
        assert len(names(in_s3())) == (2 if right == "the document" else len(ENTRIES))
        assert Service(app).get("/dragons/Zed").status == 200

    def test_a_document_that_somebody_put_back_is_not_taken_for_the_registry_that_the_open_table_holds(
        self, stage: Stage, clients: Callable[[str], Any], capsys: Any
    ) -> None:
        document = stage.document()
        assert move(clients, THERE, "--yes") == 0
        stage.put_document(document)

        self.refused(clients, BACK, 'put {"moved_to":"dynamodb"} there instead, and run this again', capsys)
        assert stage.parameters()["dragon_store"] == "dynamodb"
        assert in_table().add(dragon("Ember"), "s9") is Addition.ADDED
        stage.put_document(left_for("dynamodb"))
        assert move(clients, BACK, "--yes") == 0
        assert "Ember" in names(in_s3())

    def test_not_every_entry_waits_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(migrate, "CHUNK", 3)
        begun: list[int] = []

        made = migrate._each(lambda number: begun.append(number) or number, list(range(100)))
        assert next(made) == 0
        assert len(begun) <= 3
        assert [0, *made] == list(range(100)) == begun

    def test_a_setting_that_somebody_changed_by_hand_is_told(
        self, stage: Stage, clients: Callable[[str], Any], capsys: Any
    ) -> None:
        stage.put_parameters(dragon_store="dynamodb")

        self.refused(clients, THERE, "set the parameter to s3", capsys)
        self.refused(clients, BACK, "by hand), set the parameter dragon_store to s3", capsys)
        assert stage.parameters()["dragon_store"] == "dynamodb"
