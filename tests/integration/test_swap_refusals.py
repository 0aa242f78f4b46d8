"""Refusals of the dragon document's swap: those that no retry changes, and those that do not say enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.dragons.repository import Change
from chalicelib.dragons.s3 import SWAP_WAIT_MAX_S, DocumentContended, S3DragonRepository
from tests.fakes.atomic_s3 import AtomicS3
from tests.fakes.aws_errors import client_error
from tests.fakes.settings import FakeSettings
from tests.integration.service import Service
from tests.integration.stage import DRAGON_BUCKET, DRAGON_FILE, Stage
from tests.samples import dragon, dragon_members

PLACE = FakeSettings(dragon_data_bucket_name=DRAGON_BUCKET, dragon_data_file_name=DRAGON_FILE)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("AccessDenied", 403), aws.DependencyFault),
        (client_error("InvalidRequest", 400), aws.DependencyFault),
        (client_error("SlowDown", 503), aws.DependencyUnavailable),
    ],
    ids=["denied", "invalid", "throttled"],
)
def test_a_refusal_that_is_not_a_lost_race_is_not_retried(
    service: Service, error: Exception, kind: type[Exception]
) -> None:
    puts: list[Any] = []

    def refuse(params: dict[str, Any], **_: Any) -> None:
        puts.append(params)
        raise error

    events = aws.s3().meta.events
    events.register("before-parameter-build.s3.PutObject", refuse)
    try:
        with pytest.raises(kind):
            service.app.add_dragon({"dragon": dragon_members(), "correlation_id": "c1", "submission_id": "s1"}, None)
    finally:
        events.unregister("before-parameter-build.s3.PutObject", refuse)

    assert len(puts) == 1


def test_a_refusal_after_a_retry_that_wrote_nothing_is_not_a_removal(stage: Stage) -> None:
    """The SDK's first attempt may have been lost on the way there, not on the way back."""
    stage.put_document(json.dumps([dragon_members("Ember") | {"submission_id": "s1"}]).encode())
    refusals = [client_error("PreconditionFailed", 412)]
    refusals[0].response["ResponseMetadata"]["RetryAttempts"] = 1
    s3 = AtomicS3()

    def refuse_once() -> None:
        if refusals:
            raise refusals.pop()

    s3.before_put = refuse_once
    dragons = S3DragonRepository(PLACE, lambda: s3, lambda _: None)  # type: ignore[arg-type,return-value]

    assert dragons.remove("Ember", dragon("Ember").__eq__) is Change.DONE
    assert stage.dragons() == []
    assert len(s3.puts) == 2


def test_a_document_that_is_written_all_the_time_says_so() -> None:
    assert str(DocumentContended()) == "The dragon document is not available: too many writers at once"


def test_writers_that_lose_wait_longer_and_longer_up_to_a_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.dragons.s3.random.uniform", lambda _, longest_s: longest_s)
    s3, waits = AtomicS3(), list[float]()

    def refuse() -> None:
        raise client_error("PreconditionFailed", 412)

    s3.before_put = refuse
    with pytest.raises(DocumentContended):
        S3DragonRepository(PLACE, lambda: s3, waits.append).add(dragon("Ember"), "s1")  # type: ignore[arg-type,return-value]

    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.02, SWAP_WAIT_MAX_S)
