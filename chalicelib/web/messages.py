"""How a posted message is answered: the queue has it now, it was stored before, or another payload was."""

import msgspec

from chalicelib.messages.model import Message
from chalicelib.messages.repository import Seen
from chalicelib.web import problems
from chalicelib.web.bodies import AcceptedMessage, RepeatedMessage
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.responses import Reply


def posted(message: Message, seen: Seen, path_prefix: str) -> Reply:
    """Return the 202 for a message that the queue has (`UNKNOWN`), or the 200 for one that is stored already.

    Ends the request with the 409 if another payload is stored.
    """
    message_id = str(message.metadata.message_id)
    location = {"Location": f"{path_prefix}/message/{message_id}"}
    if seen is Seen.ANOTHER:
        raise ProblemRaised(problems.message_conflict(location))
    if seen is Seen.STORED:
        stored = RepeatedMessage(message_id=message_id, status="stored", digest=message.digest())
        return Reply(msgspec.json.encode(stored), 200, location)
    accepted = AcceptedMessage(message_id=message_id, status="accepted", digest=message.digest())
    return Reply(msgspec.json.encode(accepted), 202, location)
