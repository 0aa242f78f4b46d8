"""`make run` and what it promises: it says when it serves, keeps its data, reloads, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from devstack.aws.deployment import Deployment
from devstack.server.process import ApiServer, listen
from devstack.settings import Settings
from operations import PROJECT
from tests.e2e.messages import a_message, post, stored
from tests.e2e.running import Api, Devstack, free_ports, listens
from tests.e2e.waiting import until

KEPT = "kept/note.txt"


def reloads(stack: Devstack) -> int:
    return stack.output.count("reloaded and deployed")


def answer(url: str) -> tuple[int, str]:
    with requests.Session() as http:
        http.trust_env = False
        response = http.get(url, timeout=30)
        return response.status_code, response.text


class TestRunning:
    def test_the_ready_line_names_the_url_that_serves(self, devstack: Devstack) -> None:
        url = devstack.until_said("^ready").split()[1]

        assert url == devstack.running["local_url"]
        assert answer(f"{url}/health")[0] == 200

    def test_the_deployed_gateway_serves_too(self, devstack: Devstack) -> None:
        assert answer(f"{devstack.running['gateway_url']}/health")[0] == 200

    @pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="asks Linux who listens where")
    def test_nothing_listens_beyond_this_machine(self, devstack: Devstack) -> None:
        listening = {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line}

        for port in devstack.ports:
            assert [place for place in listening if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]

    def test_token_prints_a_token_and_nothing_else(self, devstack: Devstack) -> None:
        printed = devstack.command("token", "amber")

        assert printed.stderr == ""
        assert len(printed.stdout.strip().split(".")) == 3

    def test_token_for_an_unknown_user_names_the_known_ones(self, devstack: Devstack) -> None:
        printed = devstack.command("token", "nobody")

        assert (printed.returncode, printed.stdout) == (1, "")
        assert "operator, amber, cobalt" in printed.stderr

    def test_a_second_one_on_the_same_state_is_refused(self, devstack: Devstack) -> None:
        second = Devstack(PROJECT, devstack.state, free_ports())

        assert second.until_ended() == 1
        assert f"already uses {devstack.state}" in second.output
        second.assert_nothing_left()

    @pytest.mark.parametrize(("taken", "setting"), [(0, "DRAGONPOST_PORT"), (1, "DRAGONPOST_AWS_PORT")])
    def test_a_port_in_use_is_named_and_nothing_is_left(
        self, devstack: Devstack, tmp_path: Path, taken: int, setting: str
    ) -> None:
        ports = list(free_ports())
        ports[taken] = devstack.ports[taken]
        second = Devstack(PROJECT, tmp_path, (ports[0], ports[1]))

        assert second.until_ended() == 1
        assert f"port {ports[taken]} is in use" in second.output
        assert f"set {setting} to another" in second.output
        assert not second.processes()

    def test_reset_is_refused_while_it_runs(self, devstack: Devstack) -> None:
        printed = devstack.command("reset")

        assert printed.returncode == 1
        assert "already uses" in printed.stderr
        assert (devstack.state / "run.json").exists()

    def test_a_state_folder_that_cannot_be_written_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        stack = Devstack(PROJECT, tmp_path / "file" / "state", free_ports())

        assert stack.until_ended() == 1
        assert "cannot be written" in stack.output
        assert "DRAGONPOST_STATE" in stack.output

    def test_token_without_a_running_devstack_says_what_to_do(self, devstack: Devstack, tmp_path: Path) -> None:
        elsewhere = Devstack.__new__(Devstack)
        elsewhere.project, elsewhere.state, elsewhere.ports, elsewhere.mark = PROJECT, tmp_path, devstack.ports, "none"

        printed = elsewhere.command("token")

        assert (printed.returncode, printed.stdout) == (1, "")
        assert "make run" in printed.stderr


class Workshop:
    """A copy of the project, and a state folder that has been run on once and ended cleanly."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.state = folder / "state"
        self.ports = free_ports()
        self.made: list[Devstack] = []
        shutil.copytree(PROJECT, self.project, ignore=_not_the_source)

    def start(self) -> Devstack:
        self.made.append(Devstack(self.project, self.state, self.ports))
        return self.made[-1]

    def put(self, stack: Devstack) -> None:
        bucket = stack.running["outputs"]["MessageBucketName"]
        stack.client("s3").put_object(Bucket=bucket, Key=KEPT, Body=b"kept")
        item = {"message_id": {"S": "kept"}, "company_id": {"S": "kept"}}
        stack.client("dynamodb").put_item(TableName=stack.running["outputs"]["MessageTableName"], Item=item)

    def kept(self, stack: Devstack) -> tuple[bool, bool]:
        outputs = stack.running["outputs"]
        objects = stack.client("s3").list_objects_v2(Bucket=outputs["MessageBucketName"], Prefix=KEPT)
        rows = stack.client("dynamodb").scan(TableName=outputs["MessageTableName"])
        return bool(objects["KeyCount"]), bool(rows["Count"])


def values_of(ssm: Any) -> dict[str, str]:
    """Return the parameters of stage `local`."""
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/dragonpost/local/")
    return {entry["Name"]: entry["Value"] for page in pages for entry in page["Parameters"]}


def _not_the_source(folder: str, names: list[str]) -> set[str]:
    if Path(folder) == PROJECT:
        wanted = {"app.py", "chalicelib", ".chalice", "infrastructure", "devstack", "operations", "vendor"}
        return set(names) - wanted - {"requirements.txt", "requirements-vendor.txt"}
    if PROJECT / "vendor" in (Path(folder), *Path(folder).parents):
        return {"chalicelib"} & set(names)  # our own bytecode, which another worker may be making
    return {"__pycache__", "deployments", "deployed"} & set(names)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    shop = Workshop(tmp_path_factory.mktemp("workshop"))
    yield shop
    for stack in shop.made:
        if stack.process.poll() is None:
            stack.end()


class TestLife:
    """In the order of a life: each test starts from the state that the one before left."""

    def test_a_change_reaches_the_local_server_and_the_gateway(self, workshop: Workshop) -> None:
        stack = workshop.start().until_ready()
        workshop.put(stack)
        app = workshop.project / "app.py"
        source = app.read_text(encoding="utf-8")

        app.write_text(source.replace('status="ok"', 'status="changed"'), encoding="utf-8")
        stack.until_said("^reloaded and deployed")

        for url in (stack.running["local_url"], stack.running["gateway_url"]):
            status, body = answer(f"{url}/health")
            assert (status, json.loads(body)["status"]) == (200, "changed")

    def test_a_syntax_error_is_shown_and_survived(self, workshop: Workshop) -> None:
        stack = workshop.made[-1]
        app = workshop.project / "app.py"
        source = app.read_text(encoding="utf-8")

        app.write_text(source + "\ndef broken(:\n", encoding="utf-8")
        stack.until_said("^not reloaded: .*(SyntaxError|invalid syntax)")
        meanwhile = answer(f"{stack.running['local_url']}/health")
        before = reloads(stack)
        app.write_text(source, encoding="utf-8")
        until(lambda: answer(f"{stack.running['local_url']}/health")[0] == 200)
        until(lambda: reloads(stack) > before)

        assert meanwhile[0] == 503
        assert json.loads(meanwhile[1])["status"] == 503

    def test_an_app_that_ends_its_server_is_shown_and_survived(self, workshop: Workshop) -> None:
        stack = workshop.made[-1]
        app = workshop.project / "app.py"
        source = app.read_text(encoding="utf-8")

        app.write_text(source + "\nimport os\nos._exit(3)\n", encoding="utf-8")
        stack.until_said("^not reloaded: the API server ended while it loaded the app")
        before = reloads(stack)
        app.write_text(source, encoding="utf-8")

        assert answer(f"{stack.running['local_url']}/health")[0] == 200, "until then the connection waits"
        until(lambda: reloads(stack) > before)

    def test_overrides_that_are_half_saved_are_shown_and_survived(self, workshop: Workshop) -> None:
        stack = workshop.made[-1]
        overrides = workshop.project / "infrastructure" / "app-overrides.json"
        source = overrides.read_text(encoding="utf-8")

        overrides.write_text(source[:100], encoding="utf-8")
        stack.until_said(r"^served, but not deployed: infrastructure/app-overrides\.json cannot be read")
        before = reloads(stack)
        overrides.write_text(source, encoding="utf-8")

        until(lambda: reloads(stack) > before)

    @pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
    def test_a_restart_deploys_nothing_and_keeps_the_data(self, workshop: Workshop, ending: signal.Signals) -> None:
        before = workshop.made[-1]
        gateway_url = before.running["gateway_url"]
        assert len(before.processes()) >= 4  # the parent, the emulator, the API server, a function
        assert before.end(ending) == 0
        before.assert_nothing_left()
        assert not (workshop.state / "run.json").exists()

        stack = workshop.start().until_ready()

        assert "deploying" not in stack.output, "a start with nothing changed must not deploy"
        assert workshop.kept(stack) == (True, True)
        assert stack.running["gateway_url"] == gateway_url
        assert answer(f"{gateway_url}/health")[0] == 200
        assert stack.token("cobalt")

    def test_on_other_ports_it_still_stores_messages(self, workshop: Workshop) -> None:
        assert workshop.made[-1].end() == 0
        workshop.ports = free_ports()

        stack = workshop.start().until_ready()

        assert workshop.kept(stack) == (True, True)
        for target in ("local", "gateway"):
            api = Api(stack, target)
            stored(api, post(api, a_message()).headers["Location"])

    def test_what_somebody_deleted_is_put_back_by_the_next_start_or_named(self, workshop: Workshop) -> None:
        before = workshop.made[-1]
        ssm, s3 = before.client("ssm"), before.client("s3")
        bucket = before.running["outputs"]["DragonBucketName"]
        place = {"Bucket": bucket, "Key": "dragons.json"}
        parameters = values_of(ssm)
        for name in parameters:
            ssm.delete_parameter(Name=name)
        marker = s3.delete_object(**place)["VersionId"]
        assert before.end() == 0

        stack = workshop.start().until_ready()

        assert values_of(stack.client("ssm")) == parameters
        assert sorted(re.findall(r"^put the parameter (\S+)$", stack.output, re.MULTILINE)) == sorted(parameters)
        assert f"not all is there: the dragon document s3://{bucket}/dragons.json was deleted" in stack.output
        assert Api(stack, "local").get("/dragons").status_code == 500
        assert f"--version-id {marker}" in stack.output
        stack.client("s3").delete_object(**place, VersionId=marker)
        for target in ("local", "gateway"):
            assert len(Api(stack, target).get("/dragons?limit=2").json()) == 2

    def test_a_killed_parent_leaves_no_process_and_no_lost_data(self, workshop: Workshop) -> None:
        before = workshop.made[-1]
        before.end(signal.SIGKILL)
        before.assert_nothing_left()

        stack = workshop.start().until_ready()

        assert "killed" not in stack.output
        assert workshop.kept(stack) == (True, True)

    def test_a_killed_emulator_ends_everything_and_says_so(self, workshop: Workshop) -> None:
        stack = workshop.made[-1]
        os.kill(stack.running["pids"]["emulator"], signal.SIGKILL)

        assert stack.until_ended() == 1
        assert "the emulator was killed (SIGKILL)" in stack.output
        stack.assert_nothing_left()

    def test_after_a_killed_emulator_the_leftovers_are_set_aside(self, workshop: Workshop) -> None:
        stack = workshop.start().until_ready()
        (aside,) = workshop.state.glob("set-aside-*")

        assert "The emulator was killed before it could save" in stack.output
        assert str(aside) in stack.output
        assert list((aside / "emulator" / "s3").rglob("note.txt*"))
        assert workshop.kept(stack) == (False, False)
        stack.end()

    def test_a_failed_start_leaves_nothing_and_says_why(self, workshop: Workshop) -> None:
        template = workshop.project / "infrastructure" / "resources.yaml"
        source = template.read_text(encoding="utf-8")
        template.write_text("Resources: {Broken: {Type: AWS::No::Such}}\n", encoding="utf-8")

        stack = workshop.start()

        assert stack.until_ended() == 1
        assert "error: `aws cloudformation deploy --stack-name dragonpost-local-resources" in stack.output
        stack.assert_nothing_left()
        template.write_text(source, encoding="utf-8")

    def test_unreadable_state_is_refused_and_not_overwritten(self, workshop: Workshop) -> None:
        (damaged,) = workshop.state.glob("emulator/state/dynamodb.json")
        damaged.write_text("{ damaged", encoding="utf-8")

        stack = workshop.start()

        assert stack.until_ended() == 1
        assert "cannot read its saved state" in stack.output
        assert damaged.read_text(encoding="utf-8") == "{ damaged"

    def test_reset_forgets_everything(self, workshop: Workshop) -> None:
        printed = workshop.made[-1].command("reset")

        assert printed.returncode == 0
        assert not workshop.state.exists()


def test_a_signal_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    stack = Devstack(PROJECT, tmp_path / "state", free_ports())
    stack.until_said("packaging the app")

    assert stack.end(signal.SIGTERM) == 0
    stack.assert_nothing_left()


def test_a_signal_before_the_emulator_has_loaded_anything_does_not_count_as_a_kill(tmp_path: Path) -> None:
    """MiniStack handles SIGTERM only late in its start. Until then there is nothing to save, and nothing is lost."""
    kept = tmp_path / "emulator" / "state" / "sqs.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"__ministack_format__": 1, "payload": {}}', encoding="utf-8")
    before = kept.read_bytes(), kept.stat().st_mtime_ns
    stack = Devstack(PROJECT, tmp_path, free_ports())
    while not (tmp_path / "emulator.unsaved").exists():  # no pause: what is tested takes 0.2 s
        assert stack.process.poll() is None, stack.output

    assert stack.end(signal.SIGTERM) == 0
    stack.assert_nothing_left()
    assert not (tmp_path / "emulator.unsaved").exists(), "the next run would set everything aside"
    assert not list(tmp_path.glob("set-aside-*"))
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before


def test_a_request_to_an_app_that_loads_but_cannot_be_served_is_answered(tmp_path: Path) -> None:
    """What the server does with the app after its import may fail as well."""
    port = free_ports()[0]
    outputs = {"UserPoolArn": "", "UserPoolClientId": "client"}
    with listen(port, "the port") as listening:
        server = ApiServer(Settings(port, 1, tmp_path), tmp_path / "api.log", listening, lambda: None)
        try:
            assert server.replace(Deployment("", "", outputs, "")) == "IndexError: list index out of range"
            assert answer(f"http://127.0.0.1:{port}/health")[0] == 503
        finally:
            server.end()


def test_a_connection_waits_while_the_server_is_replaced(devstack: Devstack) -> None:
    """The parent holds the listening socket, so there is no moment in which a connection is refused."""
    assert listens(devstack.ports[0])
    os.kill(devstack.running["pids"]["api"], signal.SIGSTOP)
    try:
        with socket.create_connection(("127.0.0.1", devstack.ports[0]), timeout=5):
            pass
    finally:
        os.kill(devstack.running["pids"]["api"], signal.SIGCONT)
