"""How messages are asked for, and how a posted one is answered: the queue has it now, it was stored before, or another
payload was.
"""

import msgspec

from chalicelib.checked import Uuid
from chalicelib.identity import Caller
from chalicelib.messages import listing
from chalicelib.messages.listing import MessageQuery
from chalicelib.messages.model import Message
from chalicelib.messages.repository import Seen
from chalicelib.web import paging, problems
from chalicelib.web.bodies import AcceptedMessage, RepeatedMessage
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.requests import Parameters
from chalicelib.web.responses import Reply

MESSAGE_PARAMETERS = paging.PARAMETERS | {"company_id", "from", "to"}


def messages_asked(parameters: Parameters, caller: Caller) -> MessageQuery:
    """Make a query from the parameters of `GET /messages`.

    Raises `InvalidInput` with every fault, `CompanyOfOthers` if the caller names a company that they may not act for.
    """
    named = parameters.take("company_id", Uuid.parse)
    company_id = str(named) if named else caller.company_id
    if company_id is None and "company_id" not in parameters.values:
        parameters.faults.add("parameter", "company_id", "is needed, because your account belongs to no company")
    query = MessageQuery(
        company_id or "",
        parameters.take("from", listing.bound),
        parameters.take("to", listing.bound),
        limit=paging.limit_from(parameters),
    )
    before = paging.after_from(parameters, *shown_by(query), form=listing.is_sort_key)
    parameters.check()
    caller.check_may_act_for(query.company_id)
    return msgspec.structs.replace(query, before=before)


def shown_by(query: MessageQuery) -> tuple[str | None, ...]:
    """Return what a cursor of this query belongs to."""
    return ("messages", query.company_id, query.since, query.until)


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
