"""The calls of AWS that the code makes: declared here, found in its source, and compared.

The package's SDK knows the services of this list and no others (`operations.vendor.sdk`), and a test compares its
requests and answers with the untouched SDK's for each operation.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from botocore import xform_name

from operations.deploy.commands import DeployError

CALLS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset({"GetItem", "PutItem", "Query", "TransactWriteItems"}),
    "s3": frozenset({"GetObject", "HeadBucket", "HeadObject", "PutObject"}),
    "sqs": frozenset(
        {
            *("ChangeMessageVisibilityBatch", "DeleteMessage", "DeleteMessageBatch", "GetQueueAttributes"),
            *("ReceiveMessage", "SendMessage"),
        }
    ),
    "ssm": frozenset({"GetParameters"}),
    "stepfunctions": frozenset({"DescribeExecution", "DescribeStateMachine", "GetExecutionHistory", "StartExecution"}),
}


# What makes a client of any service that it is given.
_MAKERS = frozenset({"_client", "_made", "create_client"})


def check(project: Path) -> None:
    """Raise DeployError if the project's code makes a call that is not declared, and name the line that makes it."""
    declared = {(service, xform_name(operation)) for service, names in CALLS.items() for operation in names}
    for call, place in made(project).items():
        if call not in declared:
            raise DeployError(
                f"{place} calls {'.'.join(call)}, which the package's SDK is not tested with: "
                "declare it in operations/vendor/calls.py"
            )


def made(project: Path) -> dict[tuple[str, str], str]:
    """Return the calls that the project's code makes (`("dynamodb", "get_item")`), each with a place that makes it.

    A call is an operation of what a function of `chalicelib/aws.py` returns: `aws.s3().get_object(…)`, or
    `self._s3().get_object(…)`. Raises DeployError for code that is no Python, and for a client that is kept, or has
    another name, because its calls could not be found: a function of `chalicelib/aws.py` may be called, be the default
    of a parameter of its name, or be in a tuple of a dict (of clients to make early). A parameter may be kept under its
    name with an underscore, and is not followed any further.
    """
    clients = project / "chalicelib" / "aws.py"
    if not clients.exists():
        return {}
    services = _services(_parsed(clients, project))
    found: dict[tuple[str, str], str] = {}
    for path in [project / "app.py", *sorted((project / "chalicelib").rglob("*.py"))]:
        tree = _parsed(path, project)
        if path == clients:
            continue  # it makes the clients, and calls none of them
        called = {id(node.value): node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for client, service in _clients(tree, services):
            place = f"{path.relative_to(project)}:{client.lineno}"
            if id(client) not in called:
                raise _hidden(place)
            found[service, called[id(client)]] = place
        for node in _other_names(tree, services):
            raise _hidden(f"{path.relative_to(project)}:{node.lineno}")
    return found


def _hidden(place: str) -> DeployError:
    return DeployError(f"{place}: call an operation of the client at once, as in aws.s3().get_object(…)")


def _parsed(path: Path, project: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise DeployError(f"{path.relative_to(project)}:{error.lineno} is no Python: {error.msg}") from error


def _services(aws: ast.Module) -> dict[str, str]:
    """Return the service of each public function of `chalicelib/aws.py` that returns a client."""
    return {
        function.name: call.args[0].value
        for function in aws.body
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "_client"
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def _clients(tree: ast.Module, services: Mapping[str, str]) -> Iterator[tuple[ast.Call, str]]:
    """Yield each expression that is a client, such as `aws.s3()`, with its service."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            service = services.get(node.func.attr.removeprefix("_"))
            if service:
                yield node, service


def _other_names(tree: ast.Module, services: Mapping[str, str]) -> Iterator[ast.stmt | ast.expr]:
    """Yield what makes a client, or gives the function that makes it another name, where its calls are not found."""
    named = {*_MAKERS, *services}
    kept = {f"_{name}" for name in services}
    expected = {id(node) for node in _expected(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if any(_hides_a_client(node.module, alias, named) for alias in node.names):
                yield node
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in expected:
            is_ours = isinstance(node.value, ast.Name) and node.value.id == "aws"
            if node.attr in _MAKERS | kept or (is_ours and node.attr in named):
                yield node
        elif isinstance(node, ast.Call) and ast.unparse(node).startswith("getattr(aws,"):
            yield node


def _hides_a_client(module: str | None, imported: ast.alias, named: Set[str]) -> bool:
    """Tell whether a name is imported from `chalicelib/aws.py` that gives clients, or that module under another one."""
    if module == "chalicelib":
        return imported.name == "aws" and imported.asname is not None
    return module == "chalicelib.aws" and (imported.name in named or imported.name == "*")


def _expected(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield what is called, is the default of a parameter of its name, or is in a tuple of a dict."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr not in _MAKERS:
            yield node.func
        elif isinstance(node, ast.Dict):
            for value in node.values:
                yield from value.elts if isinstance(value, ast.Tuple) else ()
        elif isinstance(node, ast.arguments):
            positional = [*node.posonlyargs, *node.args]
            with_default = [
                *zip(reversed(positional), reversed(node.defaults), strict=False),
                *zip(node.kwonlyargs, node.kw_defaults, strict=True),
            ]
            for parameter, default in with_default:
                if isinstance(default, ast.Attribute) and default.attr == parameter.arg:
                    yield default
