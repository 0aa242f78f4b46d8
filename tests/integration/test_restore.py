"""Bringing stores back, on moto's AWS.

Its point-in-time recovery copies the table as it is, whatever the time, and so does the embedded AWS's. The tests make
the copy before the loss, as an interrupted run does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.dynamodb.models import dynamodb_backends

from chalicelib import aws
from chalicelib.dragons.document import left_for
from chalicelib.dragons.dynamodb import DynamoDBDragonRepository
from chalicelib.dragons.repository import DragonQuery
from operations import restore, versions
from operations.stores import BUCKET, TABLE
from tests.fakes.settings import FakeSettings
from tests.fakes.stacks import FakeCloudFormation, FakeStack
from tests.integration.stage import DRAGON_BUCKET, DRAGON_FILE, DRAGONS, MESSAGE_BUCKET, SUBMISSIONS, Stage
from tests.integration.stage import TABLE as TABLE_NAME
from tests.protocols.dragon_repository import always, names
from tests.samples import dragon, dragon_members

ROWS = [{"message_id": {"S": f"m{number}"}, "company_id": {"S": "c"}, "data": {"S": "1"}} for number in range(7)]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs in this process, and does not wait."""
    monkeypatch.setattr(restore, "reach", lambda _: None)
    monkeypatch.setattr(restore, "POLL_S", 0)


@pytest.fixture
def clients(stage: Stage, clock: Clock) -> Callable[[str], Any]:
    clock.time_passes()
    for bucket in (DRAGON_BUCKET, MESSAGE_BUCKET):
        aws.s3().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    stage.put_document(b"[]")
    stack = FakeStack({
        "DragonBucket": (BUCKET, DRAGON_BUCKET),
        "MessageBucket": (BUCKET, MESSAGE_BUCKET),
        "MessageTable": (TABLE, TABLE_NAME),
        "SubmissionTable": (TABLE, SUBMISSIONS),
        "DragonTable": (TABLE, DRAGONS),
    })  # fmt: skip
    stacks = FakeCloudFormation(aws.s3(), {"dragonpost-local-resources": stack})
    made = {"s3": aws.s3(), "dynamodb": aws.dynamodb(), "ssm": aws.ssm(), "cloudformation": stacks}
    return made.__getitem__


def run(clients: Callable[[str], Any], what: str, to: datetime, *options: str) -> int:
    return restore.main(["--stage", "local", "--what", what, "--to", to.isoformat(), *options], clients)


class Clock:
    """S3's clock. It goes on a second whenever it is read, for S3 tells times in whole seconds."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)

    def read(self) -> datetime:
        """Return the time as moto wants it, without its zone."""
        self.now += timedelta(seconds=1)
        return self.now.replace(tzinfo=None)

    def time_passes(self) -> datetime:
        """Return a time that is after everything so far, and before everything that follows."""
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("moto.s3.models.utcnow", clock.read)
    return clock


def interrupting(*_arguments: Any, **_named: Any) -> Any:
    raise KeyboardInterrupt


class TestTable:
    @pytest.fixture(autouse=True)
    def _filled(self, clients: Callable[[str], Any]) -> None:
        clients("dynamodb").update_continuous_backups(
            TableName=TABLE_NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        for row in ROWS:
            aws.dynamodb().put_item(TableName=TABLE_NAME, Item=row)

    @pytest.fixture
    def to(self) -> datetime:
        """A time that the table can be recovered to: here, that is only the time when it was asked."""
        return datetime.now(UTC).replace(microsecond=0)

    @pytest.fixture
    def copy(self, to: datetime) -> str:
        """The table that an interrupted run restored, before the loss."""
        name = f"{TABLE_NAME}-restored-{to:%Y%m%dT%H%M%SZ}"
        aws.dynamodb().restore_table_to_point_in_time(SourceTableName=TABLE_NAME, TargetTableName=name)
        return name

    def test_rows_that_were_lost_come_back_and_those_that_stand_stay(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, copy: str
    ) -> None:
        for number in (0, 3):
            key = {name: ROWS[number][name] for name in ("message_id", "company_id")}
            aws.dynamodb().delete_item(TableName=TABLE_NAME, Key=key)
        since = {"message_id": {"S": "new"}, "company_id": {"S": "c"}, "data": {"S": "2"}}
        aws.dynamodb().put_item(TableName=TABLE_NAME, Item=since)

        assert run(clients, "table", to, "--yes") == 0

        assert sorted(stage.rows(), key=str) == sorted([*ROWS, since], key=str)
        assert copy not in aws.dynamodb().list_tables()["TableNames"]

    def test_rows_of_submissions_come_back_by_their_own_key(self, clients: Callable[[str], Any], to: datetime) -> None:
        rows = [{name: {"S": f"{name}{number}"} for name in ("sub", "started_at_id", "id")} for number in range(3)]
        for row in rows:
            aws.dynamodb().put_item(TableName=SUBMISSIONS, Item=row)
        copy = f"{SUBMISSIONS}-restored-{to:%Y%m%dT%H%M%SZ}"
        aws.dynamodb().restore_table_to_point_in_time(SourceTableName=SUBMISSIONS, TargetTableName=copy)
        key = {name: rows[1][name] for name in ("sub", "started_at_id")}
        aws.dynamodb().delete_item(TableName=SUBMISSIONS, Key=key)

        assert run(clients, "submissions", to, "--yes") == 0

        assert sorted(aws.dynamodb().scan(TableName=SUBMISSIONS)["Items"], key=str) == sorted(rows, key=str)
        assert copy not in aws.dynamodb().list_tables()["TableNames"]

    def test_dragons_come_back_with_their_copies_and_counts(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(restore, "ROWS_AT_ONCE", 1)  # moto's transactions undo each other's writes
        stage.open_table()
        dragons = DynamoDBDragonRepository(FakeSettings(dragon_table_name=DRAGONS))
        for name in ("Ash", "Ember", "Moss"):
            dragons.add(dragon(name, family_str="red"), "s1")
        copy = f"{DRAGONS}-restored-{to:%Y%m%dT%H%M%SZ}"
        aws.dynamodb().restore_table_to_point_in_time(SourceTableName=DRAGONS, TargetTableName=copy)
        dragons.remove("Ember", always)
        dragons.remove("Moss", always)
        dragons.add(dragon("Zed", family_str="red"), "s2")

        assert run(clients, "dragon-table", to, "--yes") == 0

        assert names(dragons) == names(dragons, DragonQuery.of("red", None)) == ["Ash", "Ember", "Moss", "Zed"]
        counts = [row["dragons"]["N"] for row in aws.dynamodb().scan(TableName=DRAGONS)["Items"] if "dragons" in row]
        assert sum(map(int, counts)) == 4
        assert copy not in aws.dynamodb().list_tables()["TableNames"]

    def test_a_row_with_other_content_is_left_and_the_copy_kept(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        to: datetime,
        copy: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        changed = {**ROWS[0], "data": {"S": "changed"}}
        aws.dynamodb().put_item(TableName=TABLE_NAME, Item=changed)

        assert run(clients, "table", to, "--yes") == 0

        assert changed in stage.rows()
        assert "1 rows stand" in capsys.readouterr().out
        assert copy in aws.dynamodb().list_tables()["TableNames"]

    def test_a_row_that_has_got_more_since_is_no_other_content(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, copy: str
    ) -> None:
        """The keys under which a message is listed, for example, which a command has filled in."""
        more = {**ROWS[0], "accepted_at_id": {"S": "2026"}, "company_part": {"S": "c#1"}}
        aws.dynamodb().put_item(TableName=TABLE_NAME, Item=more)

        assert run(clients, "table", to, "--yes") == 0

        assert more in stage.rows()
        assert copy not in aws.dynamodb().list_tables()["TableNames"]

    def test_an_interrupted_copying_is_finished_by_the_next_run(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        to: datetime,
        copy: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for row in ROWS:
            key = {name: row[name] for name in ("message_id", "company_id")}
            aws.dynamodb().delete_item(TableName=TABLE_NAME, Key=key)
        put, left = aws.dynamodb().put_item, [3]

        def interrupted(**item: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return put(**item)

        with monkeypatch.context() as patching:
            patching.setattr(aws.dynamodb(), "put_item", interrupted)
            assert run(clients, "table", to, "--yes") == 130
        assert len(stage.rows()) == 3
        assert copy in aws.dynamodb().list_tables()["TableNames"]

        assert run(clients, "table", to, "--yes") == 0
        assert len(stage.rows()) == len(ROWS)

    def test_the_copy_is_of_the_time_that_was_asked_for(
        self, clients: Callable[[str], Any], to: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []
        make = aws.dynamodb().restore_table_to_point_in_time
        monkeypatch.setattr(restore, "_check_recoverable", lambda *_: None)
        monkeypatch.setattr(
            aws.dynamodb(), "restore_table_to_point_in_time", lambda **given: asked.append(given) or make(**given)
        )

        assert run(clients, "table", to, "--yes") == 0

        assert [(each["SourceTableName"], each["RestoreDateTime"]) for each in asked] == [(TABLE_NAME, to)]

    def test_a_dry_run_makes_no_table(
        self, clients: Callable[[str], Any], to: datetime, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(restore, "_check_recoverable", lambda *_: None)

        assert run(clients, "table", to) == 0

        assert set(aws.dynamodb().list_tables()["TableNames"]) == {TABLE_NAME, SUBMISSIONS, DRAGONS}
        assert "nothing was changed" in capsys.readouterr().out

    def test_a_time_that_cannot_be_recovered_is_refused_with_those_that_can(
        self, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(clients, "table", datetime(2020, 1, 1, tzinfo=UTC), "--yes") == 1
        assert "can be recovered as it was between 20" in capsys.readouterr().err
        assert set(aws.dynamodb().list_tables()["TableNames"]) == {TABLE_NAME, SUBMISSIONS, DRAGONS}

    @pytest.mark.parametrize("interrupted", [False, True])
    def test_a_deleted_table_comes_back_under_its_own_name_with_its_settings(
        self,
        stage: Stage,
        clients: Callable[[str], Any],
        to: datetime,
        monkeypatch: pytest.MonkeyPatch,
        interrupted: bool,
    ) -> None:
        """Policies, settings and the stack all name the table; nothing has to be switched."""
        aws.dynamodb().create_backup(TableName=TABLE_NAME, BackupName=f"{TABLE_NAME}$DeletedTableBackup")
        for backup in dynamodb_backends["123456789012"]["us-east-1"].backups.values():
            backup.type = "SYSTEM"  # DynamoDB makes it when the table is deleted; moto does not
        aws.dynamodb().delete_table(TableName=TABLE_NAME)
        if interrupted:
            with monkeypatch.context() as patching:
                patching.setattr(restore, "_wait", interrupting)
                assert run(clients, "table", to, "--yes") == 130

        run(clients, "table", to, "--yes")

        assert sorted(stage.rows(), key=str) == sorted(ROWS, key=str)
        backups = aws.dynamodb().describe_continuous_backups(TableName=TABLE_NAME)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"

    def test_a_deleted_table_without_a_backup_is_one_error(
        self, clients: Callable[[str], Any], to: datetime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws.dynamodb().create_backup(TableName=TABLE_NAME, BackupName="somebody's")
        aws.dynamodb().delete_table(TableName=TABLE_NAME)

        assert run(clients, "table", to, "--yes") == 1
        assert "is gone, and DynamoDB has no backup of it" in capsys.readouterr().err


class TestArchive:
    @pytest.fixture
    def to(self, clients: Callable[[str], Any], clock: Clock) -> datetime:
        """A time before which there were three objects and a deleted one; since then, somebody did harm."""
        s3 = clients("s3")
        for key in ("kept", "deleted", "deleted twice", "overwritten", "deleted before"):
            s3.put_object(Bucket=MESSAGE_BUCKET, Key=key, Body=b"then")
        s3.delete_object(Bucket=MESSAGE_BUCKET, Key="deleted before")
        to = clock.time_passes()
        for key in ("deleted", "deleted twice", "deleted twice"):
            s3.delete_object(Bucket=MESSAGE_BUCKET, Key=key)
        for key in ("overwritten", "new"):
            s3.put_object(Bucket=MESSAGE_BUCKET, Key=key, Body=b"since")
        s3.delete_object(Bucket=MESSAGE_BUCKET, Key="overwritten")
        return to

    def test_what_was_deleted_or_overwritten_is_as_it_was_and_what_is_new_stays(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(clients, "archive", to, "--yes") == 0

        found = {key: stage.archived(key) for key in stage.archive_keys()}
        assert found == {
            **dict.fromkeys(("kept", "deleted", "deleted twice", "overwritten"), b"then"),
            "new": b"since",
        }
        assert "2 deleted objects came back, and 1 with other content" in capsys.readouterr().out

    def test_a_dry_run_counts_and_changes_nothing(
        self, clients: Callable[[str], Any], to: datetime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = list(versions.pages(aws.s3(), MESSAGE_BUCKET))

        assert run(clients, "archive", to) == 0

        assert list(versions.pages(aws.s3(), MESSAGE_BUCKET)) == before
        assert "2 deleted objects would come back, and 1 with other content" in capsys.readouterr().out

    def test_an_interrupted_run_is_finished_by_the_next(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patching:
            patching.setattr(aws.s3(), "copy_object", interrupting)
            assert run(clients, "archive", to, "--yes") == 130
        for _ in range(2):
            assert run(clients, "archive", to, "--yes") == 0

        assert {key: stage.archived(key) for key in stage.archive_keys()}["overwritten"] == b"then"


class TestDragons:
    EMBER = json.dumps([dragon_members("Ember"), dragon_members("Ash")]).encode()

    @pytest.fixture
    def to(self, stage: Stage, clients: Callable[[str], Any], clock: Clock) -> datetime:
        assert clients
        stage.put_document(self.EMBER)
        return clock.time_passes()

    @pytest.mark.parametrize("since", [b"{", b"[]", json.dumps([dragon_members("Cinder")]).encode(), None])
    def test_the_document_is_as_it_was_and_the_present_one_is_kept_as_a_version(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, since: bytes | None
    ) -> None:
        stage.delete_document() if since is None else stage.put_document(since)
        before = versions.count(aws.s3(), DRAGON_BUCKET)

        for _ in range(2):
            assert run(clients, "dragons", to, "--yes") == 0

        assert stage.document() == self.EMBER
        assert versions.count(aws.s3(), DRAGON_BUCKET) == before + 1

    def test_a_registry_that_was_moved_is_not_brought_back_to_the_place_it_left(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.put_document(left_for("dynamodb"))

        assert run(clients, "dragons", to, "--yes") == 1

        assert stage.document() == left_for("dynamodb")
        assert "the registry was moved to dynamodb" in capsys.readouterr().err

    def test_a_dry_run_tells_which_dragons_come_and_go(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        since = json.dumps([dragon_members("Cinder"), dragon_members("Ash")]).encode()
        stage.put_document(since)

        assert run(clients, "dragons", to) == 0

        assert stage.document() == since
        said = capsys.readouterr().out
        assert "2 dragons then, 2 now\n1 come back: Ember\n1 go, for they were added since: Cinder" in said

    @pytest.mark.parametrize("deleted", [False, True])
    def test_a_change_meanwhile_is_never_overwritten(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, monkeypatch: pytest.MonkeyPatch, deleted: bool
    ) -> None:
        stage.delete_document() if deleted else stage.put_document(b"[]")
        meanwhile = json.dumps([dragon_members("Cinder")]).encode()
        tell = restore._tell_dragons

        def told(*documents: Any) -> None:
            tell(*documents)
            stage.put_document(meanwhile)

        monkeypatch.setattr(restore, "_tell_dragons", told)

        assert run(clients, "dragons", to, "--yes") == 1
        assert stage.document() == meanwhile

    def test_a_time_without_a_document_is_refused(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(clients, "dragons", to - timedelta(days=1), "--yes") == 1
        assert "there was no dragon document" in capsys.readouterr().err
        assert stage.document() == self.EMBER

    def test_a_corrupt_document_does_not_come_back(
        self, stage: Stage, clients: Callable[[str], Any], clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.put_document(b"{")
        to = clock.time_passes()
        stage.put_document(self.EMBER)

        assert run(clients, "dragons", to, "--yes") == 1
        assert "choose another time" in capsys.readouterr().err
        assert stage.document() == self.EMBER

    def test_another_object_whose_key_begins_alike_is_not_the_document(
        self, stage: Stage, clients: Callable[[str], Any], to: datetime
    ) -> None:
        aws.s3().put_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE + ".bak", Body=b"[2]")
        stage.put_document(b"[]")

        assert run(clients, "dragons", to, "--yes") == 0
        assert stage.document() == self.EMBER


@pytest.mark.parametrize("to", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "2999-01-01T00:00:00Z", ""])
def test_a_time_without_its_zone_or_yet_to_come_is_refused(to: str) -> None:
    with pytest.raises(SystemExit):
        restore.main(["--stage", "local", "--what", "table", "--to", to])
