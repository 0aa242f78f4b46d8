"""The dragon document in S3."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib import aws
from chalicelib.dragons.document import DocumentCorrupt, left_for
from chalicelib.dragons.repository import Addition, Change, DragonQuery, RegistryMoved
from chalicelib.dragons.s3 import SWAP_ATTEMPTS_MAX, DocumentContended, DocumentMissing, S3DragonRepository
from tests.fakes.atomic_s3 import AtomicS3
from tests.fakes.aws_errors import client_error
from tests.fakes.settings import FakeSettings
from tests.integration.stage import DRAGON_BUCKET, DRAGON_FILE, Stage
from tests.protocols.dragon_repository import DragonRepositoryContract, always, names
from tests.samples import dragon, dragon_members

PLACE = FakeSettings(dragon_data_bucket_name=DRAGON_BUCKET, dragon_data_file_name=DRAGON_FILE)
MISSING = (
    f"There is no dragon document at s3://{DRAGON_BUCKET}/{DRAGON_FILE}, and none was made. If it belongs elsewhere, "
    "correct the parameters dragon_data_bucket_name and dragon_data_file_name. If it was deleted, bring back its "
    "latest version (docs/data.md, Bringing back the dragon document). If there never was one, deploy the stage, "
    "which makes an empty one."
)
REPAIR = (
    " Nothing was changed. Restore an earlier version of the object (docs/data.md, Bringing back the dragon document), "
    "or repair it by hand."
)


def once(action: Callable[[], Any]) -> Callable[[], None]:
    """Return a function that acts the first time it is called."""
    left = [action]

    def act() -> None:
        if left:
            left.pop()()

    return act


def failing(error: Exception) -> Callable[[], None]:
    """Return a function that raises."""

    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def s3(stage: Stage) -> AtomicS3:
    """The stage's S3."""
    return AtomicS3()


@pytest.fixture
def dragons(s3: AtomicS3) -> S3DragonRepository:
    """A repository on an S3 with an empty document, which never really waits."""
    return S3DragonRepository(PLACE, lambda: s3, lambda _: None)  # type: ignore[arg-type,return-value]


class TestS3DragonRepository(DragonRepositoryContract):
    @pytest.fixture
    def dragons(self, s3: AtomicS3) -> S3DragonRepository:
        return S3DragonRepository(PLACE, lambda: s3, lambda _: None)  # type: ignore[arg-type,return-value]


class TestSeveralFunctions(DragonRepositoryContract):
    """Each writer has a repository of its own, as each warm function has."""

    @pytest.fixture
    def dragons(self, s3: AtomicS3) -> Any:
        own = threading.local()

        def mine() -> S3DragonRepository:
            if not hasattr(own, "dragons"):
                own.dragons = S3DragonRepository(PLACE, lambda: s3, lambda _: None)  # type: ignore[arg-type,return-value]
            return own.dragons  # type: ignore[no-any-return]

        class Each:
            page = staticmethod(lambda *arguments: mine().page(*arguments))
            families = staticmethod(lambda *arguments: mine().families(*arguments))
            get = staticmethod(lambda *arguments: mine().get(*arguments))
            add = staticmethod(lambda *arguments: mine().add(*arguments))
            replace = staticmethod(lambda *arguments: mine().replace(*arguments))
            remove = staticmethod(lambda *arguments: mine().remove(*arguments))

        return Each


class TestCompareAndSwap:
    def test_a_write_requires_the_version_that_was_read(self, dragons: S3DragonRepository, s3: AtomicS3) -> None:
        etag = aws.s3().head_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE)["ETag"]
        dragons.add(dragon("Ember"), "s1")

        assert s3.puts[0]["IfMatch"] == etag

    def test_a_dragon_that_was_added_meanwhile_is_kept(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        s3.before_put = once(lambda: stage.put_document(json.dumps([dragon_members("Ash")]).encode()))

        assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED
        assert names(dragons) == ["Ash", "Ember"]

    def test_the_same_name_that_was_added_meanwhile_is_a_duplicate(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        s3.before_put = once(lambda: stage.put_document(json.dumps([dragon_members("EMBER")]).encode()))

        assert dragons.add(dragon("Ember"), "s1") is Addition.DUPLICATE
        assert names(dragons) == ["EMBER"]

    def test_a_document_that_was_deleted_meanwhile_is_not_made_again(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        s3.before_put = once(stage.delete_document)

        with pytest.raises(DocumentMissing):
            dragons.add(dragon("Ember"), "s1")
        assert len(s3.puts) == 1
        assert not stage.has_document()

    @pytest.mark.parametrize("status", [409, 412])
    def test_lost_races_end_in_a_failure_that_may_pass(self, s3: AtomicS3, status: int) -> None:
        s3.before_put = failing(client_error("PreconditionFailed", status))
        waits: list[float] = []
        dragons = S3DragonRepository(PLACE, lambda: s3, waits.append)  # type: ignore[arg-type,return-value]

        with pytest.raises(DocumentContended):
            dragons.add(dragon("Ember"), "s1")
        assert len(waits) == SWAP_ATTEMPTS_MAX
        assert sum(waits) < 25, "a function's time limit is 30 s"
        assert len(set(waits)) > 1, "waits without jitter collide again"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (client_error("AccessDenied", 403), aws.DependencyFault),
            (client_error("InvalidRequest", 400), aws.DependencyFault),
            (client_error("SlowDown", 503), aws.DependencyUnavailable),
        ],
    )
    def test_other_refusals_are_not_retried_here(
        self, dragons: S3DragonRepository, s3: AtomicS3, error: Exception, kind: type[Exception]
    ) -> None:
        s3.before_put = failing(error)

        with pytest.raises(kind, match=r"^S3 "):
            dragons.add(dragon("Ember"), "s1")
        assert len(s3.puts) == 1

    def test_after_a_lost_answer_the_retry_is_not_a_duplicate(self, dragons: S3DragonRepository, s3: AtomicS3) -> None:
        s3.after_put = once(failing(ReadTimeoutError(endpoint_url="https://s3")))

        with pytest.raises(aws.DependencyTimeout):
            dragons.add(dragon("Ember"), "s1")
        assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED
        assert names(dragons) == ["Ember"]

    def test_a_write_that_only_looks_like_a_lost_race_is_not_a_duplicate(
        self, dragons: S3DragonRepository, s3: AtomicS3
    ) -> None:
        """botocore repeats a put whose answer was lost. The second put meets the version that the first one wrote."""
        s3.after_put = once(failing(client_error("PreconditionFailed", 412)))

        assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED
        assert names(dragons) == ["Ember"]


def refused_after_a_retry() -> ClientError:
    """Return what botocore raises when its second attempt meets the version that its first one wrote."""
    error = client_error("PreconditionFailed", 412)
    error.response["ResponseMetadata"]["RetryAttempts"] = 1
    return error


class TestChanges:
    """A change has no submission id to recognise its own work by. Only a retry by the SDK makes a refusal doubtful."""

    def test_a_change_that_only_looks_like_a_lost_race_is_done(self, dragons: S3DragonRepository, s3: AtomicS3) -> None:
        dragons.add(dragon("Ember"), "s1")
        seen = dragon("Ember")
        s3.after_put = once(failing(refused_after_a_retry()))
        assert dragons.replace(dragon("Ember", family_str="black"), lambda found: found == seen) is Change.DONE

        s3.after_put = once(failing(refused_after_a_retry()))
        assert dragons.remove("Ember", lambda found: found.family_str == "black") is Change.DONE
        assert names(dragons) == []

    @pytest.mark.parametrize("like", ["Ember", "EMBER"], ids=["the same again", "written otherwise"])
    def test_a_removal_whose_answer_was_lost_leaves_the_dragon_that_was_added_after_it(
        self, dragons: S3DragonRepository, s3: AtomicS3, like: str
    ) -> None:
        """The reporter of the second one was told that it was added."""
        others = S3DragonRepository(PLACE, AtomicS3, lambda _: None)  # type: ignore[arg-type,return-value]
        dragons.add(dragon("Ember"), "s1")

        def report_again() -> None:
            assert others.add(dragon(like), "s2") is Addition.ADDED
            raise refused_after_a_retry()

        s3.after_put = once(report_again)
        assert dragons.remove("Ember", lambda _: True) is Change.DONE
        assert names(dragons) == [like]

    def test_the_same_change_by_somebody_else_is_not_mistaken_for_this_one(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        dragons.add(dragon("Ember"), "s1")
        s3.before_put = once(lambda: stage.put_document(b"[]"))

        assert dragons.remove("Ember", lambda _: True) is Change.ABSENT

    def test_a_correction_keeps_members_that_are_not_ours(self, dragons: S3DragonRepository, stage: Stage) -> None:
        stage.put_document(json.dumps([dragon_members("Ash"), dragon_members("Ember") | {"weight": 3}]).encode())
        dragons.replace(dragon("Ember", family_str="black"), lambda _: True)

        assert stage.dragons() == [dragon_members("Ash"), dragon_members("Ember", family_str="black") | {"weight": 3}]

    def test_lost_races_end_in_a_failure_that_may_pass(self, s3: AtomicS3, stage: Stage) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())
        s3.before_put = failing(client_error("PreconditionFailed", 412))
        dragons = S3DragonRepository(PLACE, lambda: s3, lambda _: None)  # type: ignore[arg-type,return-value]

        with pytest.raises(DocumentContended):
            dragons.remove("Ember", lambda _: True)

    def test_a_change_that_was_made_meanwhile_is_not_overwritten(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        dragons.add(dragon("Ember"), "s1")
        other = json.dumps([dragon_members("Ember", family_str="green")]).encode()
        s3.before_put = once(lambda: stage.put_document(other))

        assert dragons.replace(dragon("Ember", family_str="black"), dragon("Ember").__eq__) is Change.CHANGED
        assert stage.document() == other

    def test_a_change_to_another_dragon_meanwhile_is_kept(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        dragons.add(dragon("Ember"), "s1")
        other = json.dumps([dragon_members("Ash"), dragon_members("Ember")]).encode()
        s3.before_put = once(lambda: stage.put_document(other))

        assert dragons.remove("Ember", dragon("Ember").__eq__) is Change.DONE
        assert names(dragons) == ["Ash"]

    def test_members_that_are_not_ours_are_kept_exactly(self, dragons: S3DragonRepository, stage: Stage) -> None:
        entry = json.dumps(dragon_members("Ember"))[:-1] + ', "n": 12345678901234567890.12, "o": {"a": [1e-7]}}'
        stage.put_document(f"[{entry}]".encode())
        dragons.replace(dragon("Ember", family_str="black"), always)

        assert b"12345678901234567890.12" in stage.document()
        assert b"1e-7" in stage.document()
        assert dragons.get("Ember") == dragon("Ember", family_str="black")

    def test_a_corrupt_document_is_not_changed(self, dragons: S3DragonRepository, stage: Stage) -> None:
        stage.put_document(b"{}")

        with pytest.raises(DocumentCorrupt):
            dragons.remove("Ember", always)
        with pytest.raises(DocumentCorrupt):
            dragons.replace(dragon("Ember"), always)
        assert stage.document() == b"{}"


class TestDocument:
    def test_entries_that_others_made_are_kept_to_the_byte(self, dragons: S3DragonRepository, stage: Stage) -> None:
        entry = json.dumps(dragon_members("Ash") | {"weight_num": "1.50e3", "more": {"a": [1]}}, indent=1)
        entry = entry.replace('"1.50e3"', "1.50e3")
        stage.put_document(f"[ {entry} ]".encode())
        dragons.add(dragon("Ember"), "s1")

        assert entry.encode() in stage.document()
        assert stage.dragons()[1] == dragon_members("Ember") | {"submission_id": "s1"}

    def test_entries_without_a_submission_belong_to_no_report(self, dragons: S3DragonRepository, stage: Stage) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())

        assert dragons.add(dragon("Ember"), "s1") is Addition.DUPLICATE

    @pytest.mark.parametrize("document", [b"[]", b" [ ] ", b"\xef\xbb\xbf[]"])
    def test_an_empty_one_is_an_empty_registry(
        self, dragons: S3DragonRepository, stage: Stage, document: bytes
    ) -> None:
        stage.put_document(document)

        assert names(dragons) == []
        assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED
        assert names(dragons) == ["Ember"]

    @pytest.mark.parametrize(
        "document",
        [
            b"",
            b" \n",
            b"{}",
            b"null",
            b"[",
            b"[1]",
            b"[{}]",
            b"[] []",
            b"\xef\xbb\xbf",
            b"\xff",
            b'[{"dragon_name_str":"\xff"}]',
        ],
    )
    def test_a_corrupt_one_is_reported_with_its_place_and_never_overwritten(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage, document: bytes
    ) -> None:
        stage.put_document(document)

        for use in (
            lambda: dragons.page(DragonQuery()),
            lambda: dragons.get("Ember"),
            lambda: dragons.add(dragon("Ember"), "s1"),
        ):
            with pytest.raises(DocumentCorrupt, match=f"s3://{DRAGON_BUCKET}/{DRAGON_FILE}") as corrupt:
                use()
            assert str(corrupt.value).endswith(REPAIR)
        assert s3.puts == []
        assert stage.document() == document

    def test_a_submission_id_that_is_no_text_is_reported_before_its_dragon_is_touched_and_hides_no_dragon(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        stage.put_document(json.dumps([dragon_members("Ember") | {"submission_id": 5}]).encode())

        for touch in (
            lambda: dragons.add(dragon("Ember"), "s1"),
            lambda: dragons.replace(dragon("Ember"), always),
            lambda: dragons.remove("Ember", always),
        ):
            with pytest.raises(DocumentCorrupt, match=rf"s3://{DRAGON_BUCKET}/{DRAGON_FILE} .*submission_id"):
                touch()
        assert s3.puts == []
        assert dragons.get("Ember") == dragon("Ember")
        assert dragons.add(dragon("Ash"), "s1") is Addition.ADDED
        assert names(dragons) == ["Ash", "Ember"]

    def test_one_that_was_repaired_is_read_again(self, dragons: S3DragonRepository, stage: Stage) -> None:
        stage.put_document(b"{}")
        with pytest.raises(DocumentCorrupt):
            dragons.get("Ember")
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())

        assert dragons.get("Ember") == dragon("Ember")


class TestMissingDocument:
    """A place without a document is a wrong place, or somebody deleted the document. Either is no empty registry."""

    USES: ClassVar[list[Callable[[S3DragonRepository], Any]]] = [
        lambda dragons: dragons.page(DragonQuery()),
        lambda dragons: dragons.get("Ember"),
        lambda dragons: dragons.add(dragon("Ember"), "s1"),
        lambda dragons: dragons.replace(dragon("Ember"), always),
        lambda dragons: dragons.remove("Ember", always),
    ]

    @pytest.mark.parametrize("use", USES, ids=["page", "get", "add", "replace", "remove"])
    @pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
    def test_every_use_names_its_place_and_what_to_do_and_none_makes_one(
        self,
        dragons: S3DragonRepository,
        s3: AtomicS3,
        stage: Stage,
        use: Callable[[S3DragonRepository], Any],
        warm: bool,
    ) -> None:
        if warm:
            names(dragons)
        stage.delete_document()

        with pytest.raises(DocumentMissing) as missing:
            use(dragons)
        assert str(missing.value) == MISSING
        assert s3.puts == []
        assert not stage.has_document()

    @pytest.mark.parametrize("use", USES, ids=["page", "get", "add", "replace", "remove"])
    def test_a_bucket_that_is_not_there_is_named_as_the_place_is(
        self, s3: AtomicS3, use: Callable[[S3DragonRepository], Any]
    ) -> None:
        place = FakeSettings(dragon_data_bucket_name="dragonpost-no-such-bucket")

        with pytest.raises(DocumentMissing, match=r"There is no dragon document at s3://dragonpost-no-such-bucket/"):
            use(S3DragonRepository(place, lambda: s3))  # type: ignore[arg-type,return-value]

    def test_a_bucket_that_vanishes_during_a_swap_is_named_too(self, dragons: S3DragonRepository, s3: AtomicS3) -> None:
        s3.before_put = failing(client_error("NoSuchBucket", 404))

        with pytest.raises(DocumentMissing) as missing:
            dragons.add(dragon("Ember"), "s1")
        assert str(missing.value) == MISSING


class TestMovedRegistry:
    @pytest.mark.parametrize("use", TestMissingDocument.USES, ids=["page", "get", "add", "replace", "remove"])
    @pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
    def test_every_use_says_where_it_is_and_none_changes_what_is_left(
        self, dragons: S3DragonRepository, stage: Stage, use: Callable[[S3DragonRepository], Any], warm: bool
    ) -> None:
        if warm:
            names(dragons)
        stage.put_document(left_for("dynamodb"))

        with pytest.raises(RegistryMoved) as moved:
            use(dragons)
        assert moved.value.place == "dynamodb"
        assert stage.document() == left_for("dynamodb")

    def test_a_write_that_was_begun_before_it_was_moved_is_not_made(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        s3.before_put = once(lambda: stage.put_document(left_for("dynamodb")))

        with pytest.raises(RegistryMoved):
            dragons.add(dragon("Ember"), "s1")
        assert stage.document() == left_for("dynamodb")


class TestNamesakes:
    """Entries that share a normalised name. Reports cannot make them, but people and the course can."""

    FIRST = dragon_members("Ember", family_str="red")
    SECOND = dragon_members("EMBER", family_str="green") | {"weight": 3}
    OTHER = dragon_members("Zed", family_str="green")

    @pytest.fixture(autouse=True)
    def _document(self, stage: Stage) -> None:
        stage.put_document(json.dumps([self.OTHER, self.FIRST, self.SECOND]).encode())

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_pages_show_the_first_whatever_their_size(self, dragons: S3DragonRepository, limit: int) -> None:
        seen = []
        query: DragonQuery | None = DragonQuery(limit=limit)
        while query is not None:
            page = dragons.page(query)
            seen += [found.dragon_name_str for found in page.dragons]
            query = None if page.next_after is None else DragonQuery(after=page.next_after, limit=limit)

        assert seen == ["Ember", "Zed"]

    def test_filters_look_at_the_dragon_that_is_shown(self, dragons: S3DragonRepository) -> None:
        assert names(dragons, DragonQuery.of("green", None)) == ["Zed"]
        assert names(dragons, DragonQuery.of("red", "EMBER")) == ["Ember"]
        assert dragons.get("EMBER") == dragon("Ember", family_str="red")

    def test_the_log_names_the_entries_that_are_not_shown(self, dragons: S3DragonRepository, log: io.StringIO) -> None:
        dragons.page(DragonQuery())
        dragons.page(DragonQuery())

        (line,) = log.getvalue().splitlines()
        said = json.loads(line)
        assert (said["level"], said["message"]) == ("WARNING", "dragons are not shown, others have their names")
        assert (said["entries"], said["names"]) == (1, ["EMBER"])

    def test_a_correction_leaves_the_others_as_they_are(self, dragons: S3DragonRepository, stage: Stage) -> None:
        seen = dragon("Ember", family_str="red")
        assert dragons.replace(dragon("Ember", family_str="black"), seen.__eq__) is Change.DONE

        assert stage.dragons() == [self.OTHER, dragon_members("Ember", family_str="black"), self.SECOND]

    def test_after_the_first_is_removed_the_second_is_shown(self, dragons: S3DragonRepository, stage: Stage) -> None:
        assert dragons.remove("Ember", dragon("Ember", family_str="red").__eq__) is Change.DONE

        assert stage.dragons() == [self.OTHER, self.SECOND]
        assert names(dragons) == ["EMBER", "Zed"]
        assert dragons.get("ember") == dragon("EMBER", family_str="green")

    @pytest.mark.parametrize("alike", [False, True])
    def test_a_removal_whose_answer_was_lost_leaves_the_second(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage, alike: bool
    ) -> None:
        second = self.FIRST if alike else self.SECOND
        stage.put_document(json.dumps([self.FIRST, second]).encode())
        s3.after_put = once(failing(refused_after_a_retry()))

        assert dragons.remove("Ember", always) is Change.DONE
        assert stage.dragons() == [second]


class TestRevalidation:
    def test_an_unchanged_document_is_parsed_once(
        self, dragons: S3DragonRepository, s3: AtomicS3, stage: Stage
    ) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())
        first = dragons.page(DragonQuery()).dragons[0]
        again = dragons.page(DragonQuery()).dragons[0]

        assert again is first
        assert s3.gets[0] is None
        assert s3.gets[1] == aws.s3().head_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE)["ETag"]

    def test_a_changed_document_is_seen_at_once(self, dragons: S3DragonRepository, stage: Stage) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())
        names(dragons)
        stage.put_document(json.dumps([dragon_members("Ash")]).encode())

        assert names(dragons) == ["Ash"]

    def test_a_document_that_was_deleted_and_brought_back_is_read_again(
        self, dragons: S3DragonRepository, stage: Stage
    ) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())
        names(dragons)
        document = stage.document()
        stage.delete_document()
        with pytest.raises(DocumentMissing):
            names(dragons)
        stage.put_document(document)

        assert names(dragons) == ["Ember"]

    def test_another_place_is_never_mistaken_for_the_one_held(self, s3: AtomicS3, stage: Stage) -> None:
        body = json.dumps([dragon_members("Ember")]).encode()
        stage.put_document(body)
        aws.s3().put_object(Bucket=DRAGON_BUCKET, Key="other.json", Body=body)
        place = replace(PLACE)
        dragons = S3DragonRepository(place, lambda: s3, lambda _: None)  # type: ignore[arg-type,return-value]
        names(dragons)
        place.dragon_data_file_name = "other.json"
        names(dragons)
        place.dragon_data_file_name = "missing.json"

        with pytest.raises(DocumentMissing):
            names(dragons)
        assert s3.gets == [None, None, None]

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (client_error("AccessDenied", 403), aws.DependencyFault),
            (client_error("InternalError", 500), aws.DependencyUnavailable),
        ],
    )
    def test_a_read_that_fails_is_not_mistaken_for_an_empty_registry(
        self, error: Exception, kind: type[Exception]
    ) -> None:
        class Refusing:
            def get_object(self, **_: Any) -> None:
                raise error

        dragons = S3DragonRepository(PLACE, Refusing)  # type: ignore[arg-type,return-value]
        with pytest.raises(kind, match=r"^S3 "):
            dragons.add(dragon("Ember"), "s1")
