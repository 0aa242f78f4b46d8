"""Dragonpost: the routes, the queue consumer and the workflow's functions. Each hands over to chalicelib."""

import gc

gc.disable()  # until the end of this file: what is imported and made here stays, so there is nothing to collect

import os
from typing import Any

import msgspec
from chalice.app import SQSEvent

from chalicelib import aws
from chalicelib.checked import Uuid
from chalicelib.dragons import steps
from chalicelib.dragons.dynamodb import DynamoDBDragonRepository
from chalicelib.dragons.model import correction_from, report_from
from chalicelib.dragons.registry import DragonRegistry
from chalicelib.dragons.s3 import S3DragonRepository
from chalicelib.dragons.submission_table import SubmissionTable, is_sort_key
from chalicelib.dragons.submissions import Origin
from chalicelib.dragons.workflow import DragonWorkflow
from chalicelib.faults import Faults
from chalicelib.identity import Caller
from chalicelib.messages.dead_letters import DeadLetters
from chalicelib.messages.model import message_from
from chalicelib.messages.processing import Consumer
from chalicelib.messages.queue import BATCH_MAX, Delivery, MessageQueue
from chalicelib.messages.repository import MessageRepository, Seen
from chalicelib.readiness import Dependencies
from chalicelib.settings import Settings
from chalicelib.web import corrections, dead_letters, operators, pages, paging, problems, requests
from chalicelib.web.application import Dragonpost, UserPoolAuthorizer
from chalicelib.web.bodies import Health, RedrivenLetter
from chalicelib.web.messages import MESSAGE_PARAMETERS, messages_asked, posted, shown_by
from chalicelib.web.problems import ProblemRaised
from chalicelib.web.responses import Reply, revalidated
from chalicelib.web.submissions import accepted, list_document, settled, status_document

settings = Settings()
dragons = DragonRegistry(settings, {"s3": S3DragonRepository(settings), "dynamodb": DynamoDBDragonRepository(settings)})
workflow = DragonWorkflow(settings)
submissions = SubmissionTable(settings, workflow)
messages = MessageRepository(settings)
queue = MessageQueue(settings)
consumer = Consumer(messages, queue)
dependencies = Dependencies(settings)

app = Dragonpost("dragonpost", settings)
users = UserPoolAuthorizer("dragonpost-users", settings.user_pool_arn, settings.stage)


@app.get("/health")
def health() -> Reply:
    """Report that the service runs, and which. Calls no AWS service."""
    commit = None if settings.commit == "unknown" else settings.commit
    return Reply(msgspec.json.encode(Health(status="ok", version=pages.version(), commit=commit)))


@app.get("/ready", users)
def ready(caller: Caller) -> Reply:
    """Ask everything that the functions call, and say what is ill (operators only)."""
    requests.parameters(app.request).check()
    return operators.readiness(dependencies.ask())


@app.get("/dragons", users)
def list_dragons(caller: Caller) -> Reply:
    """List the dragons, a page at a time, filtered by family, name and the beginning of the name."""
    parameters = requests.parameters(app.request, paging.DRAGON_PARAMETERS)
    query = paging.query_from(parameters)
    page = dragons.page(query)
    shown = paging.filters_of(query)
    return paging.page_of(app.request, "/dragons", parameters.values, page.shown, *shown, next_after=page.next_after)


@app.get("/families", users)
def list_families(caller: Caller) -> Reply:
    """List the families that have dragons, a page at a time, each with how many it has."""
    parameters = requests.parameters(app.request, paging.PARAMETERS)
    limit = paging.limit_from(parameters)
    after = paging.after_from(parameters, "families")
    parameters.check()
    page = dragons.families(after, limit)
    body = msgspec.json.encode(page.families)
    return paging.page_of(app.request, "/families", parameters.values, body, "families", next_after=page.next_after)


@app.get("/dragons/{dragon_name}", users)
def get_dragon(caller: Caller, dragon_name: str) -> Reply:
    """Show one dragon."""
    requests.parameters(app.request).check()
    dragon = dragons.get(dragon_name)
    if dragon is None:
        raise ProblemRaised(problems.DRAGON_NOT_FOUND)
    return revalidated(msgspec.json.encode(dragon), requests.header(app.request, "If-None-Match"))


@app.post("/dragons", users)
def report_dragon(caller: Caller) -> Reply:
    """Report a dragon: start the workflow that validates it, adds it and tells the world."""
    faults = Faults()
    with faults:
        key = requests.idempotency_key(app.request)
    with faults:
        report = report_from(requests.json_object(app.request))
    faults.check()
    origin = Origin(caller.sub, app.request_id, key)
    may_text = report.confirmationRequired and settings.sms_allowed_to(str(report.phone_number))
    submission = workflow.start(report, origin, may_text=may_text)
    wait_s = requests.wait_preferred_s(app.request)
    if wait_s:
        submission = submissions.wait(submission, wait_s)
    if submission.status == "pending":
        return accepted(submission, requests.path_prefix(app.request), wait_s)
    return settled(submission, requests.path_prefix(app.request), wait_s)


@app.put("/dragons/{dragon_name}", users)
def correct_dragon(caller: Caller, dragon_name: str) -> Reply:
    """Correct a dragon (operators only), if it is still the one that the client saw."""
    caller.check_is_operator()
    faults = Faults()
    with faults:
        if_match = requests.if_match(app.request)
    with faults:
        dragon = correction_from(requests.json_object(app.request), dragon_name)
    faults.check()
    unchanged = corrections.precondition(if_match, required=True)
    corrections.check(dragons.replace(dragon, unchanged))
    return corrections.corrected(dragon)


@app.delete("/dragons/{dragon_name}", users)
def remove_dragon(caller: Caller, dragon_name: str) -> Reply:
    """Remove a dragon (operators only), if it is still the one that the client saw."""
    caller.check_is_operator()
    unchanged = corrections.precondition(requests.if_match(app.request), required=False)
    corrections.check(dragons.remove(dragon_name, unchanged))
    return Reply(b"", 204)


@app.get("/submissions", users)
def list_submissions(caller: Caller) -> Reply:
    """List what the caller has reported in the last 90 days, newest first, and what became of it."""
    parameters = requests.parameters(app.request, paging.PARAMETERS)
    shown = ("submissions", caller.sub)
    limit = paging.limit_from(parameters)
    before = paging.after_from(parameters, *shown, form=is_sort_key)
    parameters.check()
    page = submissions.page(caller.sub, before, limit)
    body = list_document(page.submissions)
    return paging.page_of(app.request, "/submissions", parameters.values, body, *shown, next_after=page.next_before)


@app.get("/submissions/{submission_id}", users)
def get_submission(caller: Caller, submission_id: str) -> Reply:
    """Show the progress of a reported dragon, to its reporter and to operators; its steps only if they are wanted."""
    parameters = requests.parameters(app.request, frozenset({"steps"}))
    wants_steps = parameters.take("steps", requests.boolean)
    parameters.check()
    submission = submissions.find(submission_id)
    if submission is None or not caller.may_see_submission_of(submission.requested_by):
        raise ProblemRaised(problems.SUBMISSION_NOT_FOUND)
    return status_document(submission, workflow.steps(submission) if wants_steps else None)


@app.post("/post-message", users)
def post_message(caller: Caller) -> Reply:
    """Accept an order message, unless its id is taken; when this answers 202, the queue has it."""
    caller.check_may_use_messages()
    message = message_from(requests.json_object(app.request))
    caller.check_may_act_for(message.metadata.company_id)
    seen = messages.look_for(message)
    if seen is Seen.UNKNOWN:
        queue.send(message, app.request_id)
    return posted(message, seen, requests.path_prefix(app.request))


@app.get("/messages", users)
def list_messages(caller: Caller) -> Reply:
    """List a company's messages, newest first. Operators name the company; everybody else's comes from their token."""
    caller.check_may_use_messages()
    parameters = requests.parameters(app.request, MESSAGE_PARAMETERS)
    query = messages_asked(parameters, caller)
    page = messages.page(query)
    shown = shown_by(query)
    return paging.page_of(
        app.request, "/messages", parameters.values, page.as_json(), *shown, next_after=page.next_before
    )


@app.get("/message/{message_id}", users)
def get_message(caller: Caller, message_id: str) -> Reply:
    """Show a stored message to its company and to operators, with exactly the numbers that were sent."""
    caller.check_may_use_messages()
    parameters = requests.parameters(app.request, frozenset({"company_id"} if caller.is_operator else ()))
    wanted = parameters.parsed("message_id", message_id, Uuid.parse)
    named_company = parameters.take("company_id", Uuid.parse)
    parameters.check()
    stored = messages.find(str(wanted), named_company if caller.is_operator else caller.company_id)
    if stored is None:
        raise ProblemRaised(problems.MESSAGE_NOT_FOUND)
    return Reply(stored.as_json())


@app.get("/operator/dead-letters", users)
def list_dead_letters(caller: Caller) -> Reply:
    """List messages that could not be stored, each with its reason (operators only)."""
    limit = dead_letters.limit_from(requests.parameters(app.request, frozenset({"limit"})))
    letters = DeadLetters.of_request(settings)
    return Reply(dead_letters.page_document(letters.page(limit), letters.count()))


@app.get("/operator/dead-letters/{letter_id}", users)
def get_dead_letter(caller: Caller, letter_id: str) -> Reply:
    """Show a dead letter beside the message that is stored under its ids (operators only)."""
    requests.parameters(app.request).check()
    with dead_letters.read(DeadLetters.of_request(settings), letter_id) as letter:
        shown = dead_letters.representation(letter, messages)
    return revalidated(shown, requests.header(app.request, "If-None-Match"))


@app.post("/operator/dead-letters/{letter_id}/redrive", users)
def redrive_dead_letter(caller: Caller, letter_id: str) -> Reply:
    """Send a dead letter's message to the message queue again, as it is (operators only)."""
    requests.parameters(app.request).check()
    letters = DeadLetters.of_request(settings)
    with letters.held(letter_id) as letter:
        letters.redrive(letter)
    return Reply(msgspec.json.encode(RedrivenLetter(letter_id=letter_id, status="redriven")), 202)


@app.post("/operator/dead-letters/{letter_id}/replace", users)
def replace_dead_letter(caller: Caller, letter_id: str) -> Reply:
    """Post a message in the place of a dead letter, which the caller has saved (operators only)."""
    faults = Faults()
    with faults:
        if_match = requests.if_match(app.request)
    with faults:
        message = message_from(requests.json_object(app.request))
    faults.check()
    wanted = dead_letters.precondition(if_match)
    letters = DeadLetters.of_request(settings)
    with letters.held(letter_id) as letter:
        dead_letters.check_is_saved(wanted, dead_letters.representation(letter, messages))
        seen = messages.seen(message)
        if seen is Seen.UNKNOWN:
            queue.send(message, app.request_id)
        reply = posted(message, seen, requests.path_prefix(app.request))
        letters.delete(letter)
    return reply


@app.delete("/operator/dead-letters/{letter_id}", users)
def delete_dead_letter(caller: Caller, letter_id: str) -> Reply:
    """Delete a dead letter, which the caller has saved (operators only)."""
    wanted = dead_letters.precondition(requests.if_match(app.request))
    letters = DeadLetters.of_request(settings)
    with letters.held(letter_id) as letter:
        dead_letters.check_is_saved(wanted, dead_letters.representation(letter, messages))
        letters.delete(letter)
    return Reply(b"", 204)


@app.get("/operator/timeline", users)
def show_timeline(caller: Caller) -> Reply:
    """Show what all stores know of an id, in order (operators only)."""
    # What few ask for must not make every start of a function slower.
    from chalicelib.dragons.trail import DragonTrail  # noqa: PLC0415
    from chalicelib.messages.trail import MessageTrail  # noqa: PLC0415
    from chalicelib.search import Search  # noqa: PLC0415
    from chalicelib.web import timeline  # noqa: PLC0415

    wanted = timeline.id_from(requests.parameters(app.request, frozenset({"id"})))
    trail = MessageTrail(settings, lambda: DeadLetters.of_request(settings))
    findings, linked = Search(trail, DragonTrail(settings, submissions)).of_resources(wanted)
    return timeline.timeline(wanted, findings, linked)


@app.get("/")
def show_console() -> Reply:
    """Show the console, where people use the service."""
    return pages.console(app.request, settings.user_pool_client_id)


@app.get("/docs")
def show_docs() -> Reply:
    """Show the interactive documentation."""
    return pages.docs(app.request, settings.user_pool_client_id)


@app.get("/openapi.json")
def show_openapi() -> Reply:
    """Show the API's OpenAPI document."""
    return pages.openapi_document(requests.header(app.request, "If-None-Match"))


@app.get("/static/{name}")
def get_asset(name: str) -> Reply:
    """Serve a file that the pages refer to."""
    return pages.asset(name, requests.header(app.request, "If-None-Match"))


@app.on_sqs_message(
    queue=f"dragonpost-{settings.stage}-messages",
    batch_size=BATCH_MAX,
    maximum_concurrency=int(settings.consumer_concurrency),
    name="store_messages",
)
def store_messages(event: SQSEvent) -> None:
    """Store a batch of accepted messages: archive, then index."""
    consumer.process([Delivery.of(record.to_dict()) for record in event])


@app.lambda_function(name="operator_api")
def operator_api(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer the routes for operators, which are sent to this function: it may do what the API's own may not."""
    return app.answer_operators(event, context)


@app.lambda_function(name="validate_dragon")
def validate_dragon(event: dict[str, Any], context: Any) -> steps.Outcome:
    """Check a reported dragon; the workflow's first step."""
    return steps.validate(event)


@app.lambda_function(name="add_dragon")
def add_dragon(event: dict[str, Any], context: Any) -> steps.Outcome:
    """Add a validated dragon to the registry; the workflow's second step."""
    return steps.add(event, dragons)


# Lambda gives a function a whole processor while it starts, and then only its share: what it surely calls is made now.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (_HANDLER)
_CALLS_SURELY = {
    "app.store_messages": (aws.ssm, aws.dynamodb, aws.s3, aws.sqs),
    "app.add_dragon": (aws.ssm, aws.s3, aws.dynamodb),  # the registry is in either
}
aws.make_early(_CALLS_SURELY.get(os.environ.get("_HANDLER", ""), ()))

gc.freeze()  # and later collections need not look at it
gc.enable()
