"""Refusals of the dragon document's swap that no other attempt changes."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import aws
from tests.fakes.aws_errors import client_error
from tests.integration.service import Service
from tests.integration.stage import Stage
from tests.samples import dragon_members


@pytest.mark.parametrize("document", [None, b"[]"], ids=["no document", "a document"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("AccessDenied", 403), aws.DependencyFault),
        (client_error("InvalidRequest", 400), aws.DependencyFault),
        (client_error("SlowDown", 503), aws.DependencyUnavailable),
    ],
    ids=["denied", "invalid", "throttled"],
)
def test_what_is_no_lost_race_is_tried_once(
    service: Service, stage: Stage, error: Exception, kind: type[Exception], document: bytes | None
) -> None:
    if document is not None:
        stage.put_document(document)
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
