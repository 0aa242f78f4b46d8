"""What operators do through the API, with real tokens and, at the gateway, in the function that may do it."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.e2e.messages import a_message, exactly, post, queue_unseen, stored
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until


def a_letter(devstack: Devstack, api: Api) -> tuple[str, str, str]:
    """Have a message refused, because another one is stored under its id. Return its id, the letter's path, and it."""
    message_id = str(uuid.uuid4())
    stored(api, post(api, a_message("1", message_id=message_id)).headers["Location"])
    second = a_message("2", message_id=message_id)
    queue_unseen(devstack, second)

    def listed() -> Any:
        letters = api.get("/operator/dead-letters").json()["dead_letters"]
        return next((letter["letter_id"] for letter in letters if letter["message_id"] == message_id), None)

    return message_id, f"/operator/dead-letters/{until(listed)}", second


def test_the_stage_is_ready_and_tells_operators_alone(api: Api) -> None:
    ready = api.get("/ready")

    assert (ready.status_code, ready.json()["status"]) == (200, "ready"), ready.text
    assert {each["status"] for each in ready.json()["dependencies"]} == {"ok"}
    assert api.get("/ready", "amber").status_code == 403
    assert api.get("/ready", None).status_code == 401


def test_a_refused_message_is_looked_at_beside_the_stored_one_and_posted_again_under_another_id(
    devstack: Devstack, api: Api
) -> None:
    _, path, second = a_letter(devstack, api)
    letter = api.get(path)
    edited = json.loads(second)
    edited["metadata"]["message_id"] = str(uuid.uuid4())

    answer = api.post(f"{path}/replace", json=edited, headers={"If-Match": letter.headers["ETag"]})

    assert exactly(letter.json()["body"])["data"] == exactly(second)["data"]
    assert (letter.json()["stored"]["data"]["order_amount"], edited["data"]["order_amount"]) == (1, 2)
    assert answer.status_code == 202, answer.text
    assert json.loads(stored(api, answer.headers["Location"]))["data"] == edited["data"]
    assert api.get(path).status_code == 404


def test_a_letter_is_redriven_and_the_one_that_comes_back_is_deleted_once_it_is_saved(
    devstack: Devstack, api: Api
) -> None:
    message_id, path, _ = a_letter(devstack, api)
    assert api.post(f"{path}/redrive").status_code == 202
    assert api.post(f"{path}/redrive").status_code == 409

    def again() -> Any:
        letters = api.get("/operator/dead-letters").json()["dead_letters"]
        return next((letter for letter in letters if letter["message_id"] == message_id), None)

    back = until(again)
    letter = f"/operator/dead-letters/{back['letter_id']}"
    seen = {"If-Match": api.get(letter).headers["ETag"]}

    assert letter != path
    assert api.request("DELETE", letter).status_code == 428
    assert api.request("DELETE", letter, "amber", headers=seen).status_code == 403
    assert api.request("DELETE", letter, headers=seen).status_code == 204
    assert api.request("DELETE", letter, headers=seen).status_code == 409
