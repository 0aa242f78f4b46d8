"""The Chalice application class: what all answers have in common, and what happens when a view raises."""

import inspect
import os
import time
from collections.abc import Callable, Mapping
from functools import wraps
from logging import INFO
from typing import Any, Protocol

import msgspec
from chalice.app import Authorizer, Chalice, CognitoUserPoolAuthorizer, CORSConfig

from chalicelib import aws
from chalicelib.identity import Caller, caller_from_claims
from chalicelib.settings import Settings
from chalicelib.telemetry import correlated, logger, tell
from chalicelib.web import problems, requests
from chalicelib.web.compression import compressed
from chalicelib.web.operators import are_for_operators
from chalicelib.web.problems import INTERNAL_ERROR, ProblemRaised, method_not_allowed, problem_for
from chalicelib.web.requests import Request
from chalicelib.web.responses import Reply, problem_reply

REQUEST_HEADERS = ("Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "X-Request-Id")
EXPOSED_HEADERS = ("ETag", "Link", "Location", "Retry-After", "X-Request-Id")
PREFLIGHT_MAX_AGE_S = 600

View = Callable[..., Reply]


class UserPoolAuthorizer(CognitoUserPoolAuthorizer):
    """Has API Gateway verify tokens of the stage's user pool.

    The pool's ARN is needed, and checked, only when the API is deployed.
    """

    def __init__(self, name: str, pool_arn: str, stage: str) -> None:
        super().__init__(name, provider_arns=[pool_arn])
        self._pool_arn = pool_arn
        self._stage = stage

    def to_swagger(self) -> dict[str, Any]:
        """Return the authorizer for API Gateway's import. Ends the process if the pool is not known."""
        if not self._pool_arn:
            raise SystemExit(
                f"{Settings.user_pool_arn.variable} is not set: the API's authorizer needs the ARN of the stage's user "
                f"pool. Run `make deploy STAGE={self._stage}` (or `make deploy STAGE={self._stage} WITH=chalice`). It "
                "deploys infrastructure/resources.yaml first and fills it in from the stack's outputs."
            )
        return dict(super().to_swagger())


class _Cors(CORSConfig):
    """CORS headers, and the other header that every answer has: API Gateway answers preflights with these alone."""

    def get_access_control_headers(self) -> dict[str, str]:
        return {**super().get_access_control_headers(), "X-Content-Type-Options": "nosniff"}


class _Rights(msgspec.Struct, frozen=True):
    """Who gets to a view: whoever has a token if it is guarded, and of these perhaps operators alone."""

    guarded: bool
    operators_only: bool


class Clients(Protocol):
    """Whom the app serves."""

    @property
    def allow_origin(self) -> str:
        """The origin that browsers may call from, or `*`."""
        ...

    @property
    def user_pool_client_id(self) -> str:
        """The user pool's client whose ID tokens are accepted."""
        ...


class Dragonpost(Chalice):
    """A Chalice app whose every answer has a request id and the stage's CORS headers, and whose errors are problems.

    The routes are Chalice's. Its own dispatch is not used, and with it its middleware: it would make a request, CORS
    headers, answers and errors of its own for each event, only to have them replaced.
    """

    def __init__(self, app_name: str, clients: Clients) -> None:
        """Take whom this app serves. The user pool client's id is read for each request that needs it."""
        super().__init__(app_name, configure_logs=False)
        self._clients = clients
        # Outside Lambda, one process does everything.
        self._answers_operators = "AWS_LAMBDA_FUNCTION_NAME" not in os.environ
        # All media types: API Gateway then hands over bodies as bytes (base64), so invalid UTF-8 can be detected.
        self.api.binary_types = ["*/*"]
        self.api.cors = _Cors(
            clients.allow_origin,
            allow_headers=list(REQUEST_HEADERS),
            expose_headers=list(EXPOSED_HEADERS),
            max_age=PREFLIGHT_MAX_AGE_S,
        )
        self._common_headers = {
            "Access-Control-Allow-Origin": clients.allow_origin,
            "Access-Control-Expose-Headers": ",".join(EXPOSED_HEADERS),
            "X-Content-Type-Options": "nosniff",
        }

    @property
    def request(self) -> Request:
        """The request that is being answered."""
        assert isinstance(self.current_request, Request)  # noqa: S101 - views run inside a request
        return self.current_request

    @property
    def request_id(self) -> str:
        """The id of the request that is being answered. It also correlates logs, queue messages and executions."""
        return self.request.id

    def get(self, path: str, authorizer: Authorizer | None = None) -> Callable[[View], View]:
        """Declare a view for GET and HEAD.

        With an authorizer, the view's first argument is the `Caller`; the path's parameters follow. If the route is for
        operators (`are_for_operators`), everybody else is refused before the view runs. Raises `TypeError` for a view
        that has an authorizer and takes no caller, or the reverse. `post`, `put` and `delete` do the same.
        """
        return self._declare(path, ["GET", "HEAD"], authorizer)

    def post(self, path: str, authorizer: Authorizer | None = None) -> Callable[[View], View]:
        """Declare a view for POST."""
        return self._declare(path, ["POST"], authorizer)

    def put(self, path: str, authorizer: Authorizer | None = None) -> Callable[[View], View]:
        """Declare a view for PUT."""
        return self._declare(path, ["PUT"], authorizer)

    def delete(self, path: str, authorizer: Authorizer | None = None) -> Callable[[View], View]:
        """Declare a view for DELETE."""
        return self._declare(path, ["DELETE"], authorizer)

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:  # noqa: ARG002 - Lambda passes it
        """Answer one request, given as API Gateway's Lambda proxy event. Never raises, whatever the event is."""
        started = time.perf_counter()
        request = Request(event)
        with correlated(request.id), aws.within(aws.CALLS_BEGIN_WITHIN_S):
            try:
                reply = self._dispatched(request)
            except Exception:  # noqa: BLE001 - it must not become the gateway's 503
                logger.exception("request failed outside its view")
                reply = problem_reply(INTERNAL_ERROR, request.id)
            answer = self._finished(reply, request)
            _log(request, answer, started)
        return answer

    def answer_operators(self, event: Any, context: Any) -> dict[str, Any]:
        """Answer as `__call__` does, in the function that the routes for operators are sent to."""
        self._answers_operators = True
        return self(event, context)

    def _dispatched(self, request: Request) -> Reply:
        """Return what the route's view replies. Raises whatever an event that is not API Gateway's leads to."""
        entries = self.routes[request.context["resourcePath"]]
        entry = entries.get(request.context["httpMethod"])
        if entry is None:
            return problem_reply(method_not_allowed(list(entries)), request.id)
        self.current_request = request  # type: ignore[assignment] # it has what the views read
        reply = entry.view_function(**{name: request.path_parameters[name] for name in entry.view_args})
        if not isinstance(reply, Reply):
            raise TypeError(f"{entry.view_name} returned {type(reply).__name__} instead of a Reply")
        if "\n" in "".join(reply.headers.values()):
            raise ValueError(f"{entry.view_name} returned a header with a line break")
        return reply

    def _declare(self, path: str, methods: list[str], authorizer: Authorizer | None) -> Callable[[View], View]:
        # Views check content types themselves: Chalice's check lets a missing one pass.
        declare = self.route(path, methods=methods, authorizer=authorizer, content_types=["*/*"])
        rights = _Rights(guarded=authorizer is not None, operators_only=are_for_operators(path))
        return lambda view: declare(self._answering(view, rights))

    def _answering(self, view: View, rights: _Rights) -> View:
        """Wrap a view: give a guarded one its caller, and turn the domain errors that it raises into problems."""
        annotations = inspect.get_annotations(view, eval_str=True)
        taken = [name for name, annotated in annotations.items() if annotated is Caller]
        if taken != (["caller"] if rights.guarded else []):
            raise TypeError(
                f"{view.__name__} takes {taken or 'no caller'}: a view with an authorizer takes `caller: Caller`, "
                "and one without takes none"
            )
        if rights.operators_only and not rights.guarded:
            raise TypeError(f"{view.__name__} has a route for operators, which needs an authorizer")

        @wraps(view)
        def answer(**path_parameters: str) -> Reply:
            try:
                for name, text in path_parameters.items():
                    path_parameters[name] = requests.path_text(text)
                return view(self._caller(rights), **path_parameters) if rights.guarded else view(**path_parameters)
            except Exception as error:  # noqa: BLE001 - Chalice would turn it into an answer of another form
                problem = problem_for(error)
                if problem is None or problem.status >= 500:
                    logger.exception("request failed")
                return problem_reply(problem or INTERNAL_ERROR, self.request_id)

        return self._with_deprecations(answer) if hasattr(view, "deprecations") else answer

    def _with_deprecations(self, answer: View) -> View:
        from chalicelib.web import deprecation  # noqa: PLC0415 - only if something is deprecated

        return deprecation.telling(answer, lambda: self.request)

    def _caller(self, rights: _Rights) -> Caller:
        """Return the caller. Raises `OperatorsOnly`, or ends the request if this function may not do what they do."""
        caller = caller_from_claims(requests.claims(self.request), self._clients.user_pool_client_id)
        if rights.operators_only:
            caller.check_is_operator()
            if not self._answers_operators:
                raise ProblemRaised(problems.NO_OPERATORS_FUNCTION)
        return caller

    def _finished(self, reply: Reply, request: Request) -> dict[str, Any]:
        answer = compressed(reply, request.headers)
        answer["headers"].update(self._common_headers)
        answer["headers"]["X-Request-Id"] = request.id
        if request.context.get("httpMethod") == "HEAD":
            answer |= {"body": "", "isBase64Encoded": False}
        return answer


def _log(request: Request, answer: Mapping[str, Any], started: float) -> None:
    if not logger.isEnabledFor(INFO):
        return
    told = {
        "method": request.context.get("httpMethod"),
        "route": request.context.get("resourcePath"),
        "status": answer["statusCode"],
        "duration_ms": round((time.perf_counter() - started) * 1000, 1),
    }
    tell("request", _LOGGED_AT, told)


_LOGGED_AT = f"{_log.__name__}:{_log.__code__.co_firstlineno}"
