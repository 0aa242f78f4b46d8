"""Nobody reads, infers or overwrites another company's data, and users cannot put themselves into a company."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any

import pytest
import requests
from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from operations import PROJECT
from tests.e2e.dragons import a_dragon
from tests.e2e.messages import a_message, exactly
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.people import COMPANIES
from tests.proof.forged_tokens import create_user, log_in
from tests.proof.report import Report

SUITE = "7 tenants"
JSON = {"Content-Type": "application/json"}
TEMPLATE = yaml_parse((PROJECT / "infrastructure" / "resources.yaml").read_text(encoding="utf-8"))
TIMED_AGAIN_MAX = 6  # a busy machine blurs some timings, but not in every round


@dataclass
class Tenant:
    """A user and the company that they act for (None for the visitor)."""

    email: str
    company_id: str
    token: str
    posted: dict[str, str] = field(default_factory=dict)  # message id → the text that must be read back

    @property
    def header(self) -> dict[str, str]:
        """The header that identifies the caller."""
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def tenants(proving_ground: Devstack, proving_apis: dict[str, Api], report: Report) -> list[Tenant]:
    """Users of random companies, two of them in the same company, and the users that the devstack makes."""
    rng = report.random("tenants")
    made = [Tenant(f"{user}", company, proving_apis["local"].token(user)) for user, company in COMPANIES.items()]
    companies = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(report.scale.of(2, 6))]
    for number, company in enumerate([*companies, companies[0], ""]):
        email = f"tenant-{rng.getrandbits(32):08x}-{number}@dragonpost.example"
        # Cognito stores what an administrator types, so one id is in upper case.
        create_user(proving_ground, email, company.upper() if number % 2 else company)
        made.append(Tenant(email, company, log_in(proving_ground, email)["IdToken"]))
    return made


def read(api: Api, tenant: Tenant, reference: str) -> requests.Response:
    return api.get(reference, None, headers=tenant.header)


def post(api: Api, tenant: Tenant, message: str) -> requests.Response:
    return api.post("/post-message", None, headers={**tenant.header, **JSON}, data=message.encode())


def message_of(company_id: str, message_id: str, secret: str) -> str:
    """Return a message with a text that no other company may ever see."""
    message = json.loads(a_message(more=f', "note": {json.dumps(secret)}', message_id=message_id))
    message["metadata"]["company_id"] = company_id
    return json.dumps(message)


@dataclass(frozen=True)
class Seen:
    """What a client can observe of an answer, except the request's id and what differs between any two answers."""

    status: int
    body: Any
    headers: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, answer: requests.Response) -> Seen:
        body = answer.json()
        if isinstance(body, dict):
            body.pop("request_id", None)
        varying = {"x-request-id", "date", "content-length", "x-amzn-requestid", "x-amz-request-id", "x-amz-id-2"}
        kept = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in varying}
        return cls(answer.status_code, json.dumps(body, sort_keys=True), frozenset(kept.items()))


def test_nobody_reads_infers_or_overwrites_another_companys_messages(
    proving_ground: Devstack, proving_apis: dict[str, Api], tenants: list[Tenant], rng: Random, report: Report
) -> None:
    apis = list(proving_apis.values())
    owners = {tenant.company_id: tenant for tenant in tenants if tenant.company_id}  # one for each company
    ids = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(report.scale.of(4, 20))]
    for message_id in ids:  # every company posts under the same ids
        for tenant in rng.sample(list(owners.values()), rng.randrange(1, len(owners))):
            tenant.posted[message_id] = message_of(tenant.company_id, message_id, f"secret of {tenant.company_id}")
            assert post(rng.choice(apis), tenant, tenant.posted[message_id]).status_code == 202
    intrusions = [
        intrusion(rng.choice(apis), tenant, victim, message_id, rng)
        for message_id in ids
        for tenant in rng.sample(tenants, 2)
        for victim in rng.sample(sorted(owners.keys() - {tenant.company_id}), 2)
    ]
    expected = {(owner.company_id, id_): exactly(text) for owner in tenants for id_, text in owner.posted.items()}
    print(f"  posted {len(expected)} messages, {len(intrusions)} for other companies")
    for company_id, message_id in expected:
        until(lambda who=owners[company_id], message_id=message_id: read(apis[0], who, f"/message/{message_id}").ok)

    # A second payload under a company's own id never replaces the first one, either.
    for company_id, message_id in rng.sample(sorted(expected), min(len(expected), len(ids))):
        post(rng.choice(apis), owners[company_id], message_of(company_id, message_id, "a second payload"))

    lost = [fault for found in intrusions for fault in found]
    for tenant in tenants:
        for message_id in ids:
            answer = read(rng.choice(apis), tenant, f"/message/{rng.choice([message_id, message_id.upper()])}")
            lost += what_is_wrong(answer, tenant, expected.get((tenant.company_id, message_id)))
    lost += unlike_missing(apis, tenants, ids, set(expected), rng)
    lost += archive_differs(proving_ground, expected)
    lost += [fault for tenant in tenants for fault in list_differs(rng.choice(apis), tenant, set(expected), rng)]

    tried = len(tenants) * (len(ids) + 1) + len(intrusions)
    note = f"{len(tenants)} users, {len(owners)} companies, {len(ids)} shared ids; {len(intrusions)} intrusions"
    report.add(SUITE, "own messages are exact, others' seem not to exist, and posting for others is a 403",
               tried=tried, survived=tried - len(lost), lost=len(lost), note=note)  # fmt: skip
    assert not lost


def intrusion(api: Api, tenant: Tenant, victim: str, message_id: str, rng: Random) -> list[str]:
    """Post as a user for another company; return what is wrong with the answer."""
    spelled = rng.choice([victim, victim.upper(), victim.title()])
    answer = post(api, tenant, message_of(spelled, message_id, "an intruder's"))
    if answer.status_code == 403 and victim not in answer.text.lower():
        return []
    return [f"{tenant.email} posted for {victim}: {answer.status_code} {answer.text}"]


def what_is_wrong(answer: requests.Response, tenant: Tenant, own: Any) -> list[str]:
    """Compare what a user read with what their company posted (None: nothing)."""
    if not tenant.company_id:
        return [] if answer.status_code == 403 else [f"{tenant.email}: {answer.status_code}"]
    if own is None:
        return [] if answer.status_code == 404 else [f"{tenant.email} read another's: {answer.text}"]
    if answer.status_code != 200:
        return [f"{tenant.email} cannot read their own: {answer.status_code}"]
    found = exactly(answer.text)
    found["metadata"].pop("message_s3_key")
    found.pop("digest")
    return [] if found == own else [f"{tenant.email} read {answer.text} instead of {own}"]


def unlike_missing(
    apis: Sequence[Api], tenants: Sequence[Tenant], ids: Sequence[str], taken: set[tuple[str, str]], rng: Random
) -> list[str]:
    """Compare the answers about others' messages with those about ids that do not exist."""
    found = []
    for api in apis:
        for tenant in tenants:
            nobodys = Seen.of(read(api, tenant, f"/message/{uuid.UUID(int=rng.getrandbits(128), version=4)}"))
            others = [message_id for message_id in ids if (tenant.company_id, message_id) not in taken]
            for message_id in rng.sample(others, min(3, len(others))):
                seen = Seen.of(read(api, tenant, f"/message/{message_id}"))
                if seen != nobodys:
                    found.append(f"{tenant.email}: {seen} for another's, {nobodys} for nobody's")
            hinted = Seen.of(read(api, tenant, f"/message/{ids[0]}?company_id={COMPANIES['amber']}"))
            if hinted.status not in (400, 403) or COMPANIES["amber"] in hinted.body:
                found.append(f"{tenant.email} named a company: {hinted}")
    return found


def list_differs(api: Api, tenant: Tenant, expected: set[tuple[str, str]], rng: Random) -> list[str]:
    """Compare what a user's company can list with what it has posted; nobody else can be listed."""
    victim = rng.choice([company_id for company_id, _ in expected if company_id != tenant.company_id])
    named = read(api, tenant, f"/messages?company_id={victim}")
    found = [] if named.status_code == 403 else [f"{tenant.email} listed {victim}: {named.status_code} {named.text}"]
    answer = read(api, tenant, "/messages?limit=1000")
    if not tenant.company_id:
        return [*found, *([] if answer.status_code == 403 else [f"{tenant.email} listed: {answer.status_code}"])]
    listed = {(message["company_id"], message["message_id"]) for message in answer.json()}
    own = {key for key in expected if key[0] == tenant.company_id}
    others = {key for key in listed if key[0] != tenant.company_id}
    return [*found, *([f"{tenant.email} listed {len(others)} of others, and {len(listed & own)} of {len(own)}"]
                      if others or not own <= listed else [])]  # fmt: skip


def archive_differs(stack: Devstack, expected: Mapping[tuple[str, str], Any]) -> list[str]:
    """Compare the archive with what was accepted: each message once, in one version; nothing else with these ids."""
    s3, bucket = stack.client("s3"), stack.running["outputs"]["MessageBucketName"]
    ids = {message_id for _, message_id in expected}
    versions: dict[str, int] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", []):
            versions[version["Key"]] = versions.get(version["Key"], 0) + 1
    found = []
    for key, count in versions.items():
        company_id, message_id = key.removesuffix(".json").split("/")
        if message_id not in ids:
            continue
        archived = exactly(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if count != 1 or archived != expected.get((company_id, message_id)):
            found.append(f"{key}: {count} versions, {archived}")
    return found


def test_operators_see_every_companys_messages(
    proving_apis: dict[str, Api], tenants: list[Tenant], report: Report
) -> None:
    wrong: list[str] = []
    tried = 0
    posted: dict[str, list[Tenant]] = {}
    for tenant in tenants:
        for message_id in tenant.posted:
            posted.setdefault(message_id, []).append(tenant)
    for api in proving_apis.values():
        for message_id, owners in posted.items():
            alone = api.get(f"/message/{message_id}")
            if alone.status_code != (200 if len(owners) == 1 else 400):
                wrong.append(f"{message_id} of {len(owners)}: {alone.status_code}")
            for owner in owners:
                tried += 1
                answer = api.get(f"/message/{message_id}?company_id={owner.company_id}")
                wrong += what_is_wrong(answer, owner, exactly(owner.posted[message_id]))

    report.add(SUITE, "operators read every company's messages", tried=tried, survived=tried - len(wrong),
               lost=len(wrong))  # fmt: skip
    assert tried
    assert not wrong


def test_somebody_elses_submission_seems_not_to_exist(
    proving_apis: dict[str, Api], tenants: list[Tenant], rng: Random, report: Report
) -> None:
    apis = list(proving_apis.values())
    key = f"same-key-{rng.getrandbits(64):x}"  # all users send the same idempotency key
    made: dict[str, Tenant] = {}
    for tenant in tenants:
        headers = {**tenant.header, "Idempotency-Key": key}
        answer = rng.choice(apis).post("/dragons", None, headers=headers, json=a_dragon())
        assert answer.status_code == 202, answer.text
        made[answer.json()["submission_id"]] = tenant
    assert len(made) == len(tenants), "two users share a submission"

    tried = 0
    wrong: list[str] = []
    for submission_id, owner in made.items():
        for tenant in tenants:
            api = rng.choice(apis)
            seen = Seen.of(read(api, tenant, f"/submissions/{submission_id}"))
            tried += 1
            if tenant is owner:
                if seen.status != 200:
                    wrong.append(f"{tenant.email} cannot see their own")
                continue
            nobodys = Seen.of(read(api, tenant, f"/submissions/{uuid.UUID(int=rng.getrandbits(128), version=4)}"))
            if seen.status != 404 or seen != nobodys:
                wrong.append(f"{tenant.email}: {seen} for another's, {nobodys} for nobody's")
        if rng.choice(apis).get(f"/submissions/{submission_id}").status_code != 200:
            wrong.append("the operator cannot see it")
    tried += len(tenants)
    wrong += [fault for tenant in tenants for fault in submissions_differ(rng.choice(apis), tenant, made)]

    report.add(SUITE, "somebody else's submission is a 404 like any other", tried=tried, survived=tried - len(wrong),
               lost=len(wrong), note="all users send the same idempotency key")  # fmt: skip
    assert not wrong


def submissions_differ(api: Api, tenant: Tenant, made: Mapping[str, Tenant]) -> list[str]:
    """Compare the submissions that a user can list with those that they made."""
    own = {submission_id for submission_id, owner in made.items() if owner is tenant}
    listed = {each["submission_id"] for each in read(api, tenant, "/submissions?limit=1000").json()}
    return [] if listed & made.keys() == own else [f"{tenant.email} listed {listed} instead of {own}"]


@dataclass
class Timings:
    """How long answers took: about others' data, about data that does not exist, and with one AWS call less.

    The last kind shows the difference that one call makes here and now; less than half of it counts as none. Other work
    on the machine can only lengthen an answer, so the lower quartile is the steadiest figure.
    """

    times: tuple[list[float], list[float], list[float]] = field(default_factory=lambda: ([], [], []))

    def measure(
        self, api: Api, tenant: Tenant, references: Sequence[Callable[[], str]], rounds: int, rng: Random
    ) -> None:
        """Time each kind of request that many times, in random order, so that other work affects all kinds alike."""
        for _ in range(rounds):
            for which in rng.sample(range(3), 3):
                reference = references[which]()
                started = time.perf_counter()
                status = read(api, tenant, reference).status_code
                self.times[which].append(time.perf_counter() - started)
                assert status in ((404,), (404,), (400, 404))[which], (reference, status)

    @property
    def count(self) -> int:
        """Return how many answers were timed."""
        return sum(map(len, self.times))

    @property
    def figures(self) -> list[float]:
        """Return the lower quartile of each kind, in ms."""
        return [quantiles(times, n=4)[0] * 1000 for times in self.times]

    @property
    def alike(self) -> bool:
        """Return True if the first two kinds cannot be distinguished, but the third can."""
        others, nobodys, one_call_less = self.figures
        return abs(others - nobodys) < (nobodys - one_call_less) / 2

    @property
    def shown(self) -> str:
        """Return the figures as the report shows them."""
        others, nobodys, one_call_less = self.figures
        return f"{others:.2f} and {nobodys:.2f} ms, one call less {one_call_less:.2f}"


@pytest.mark.alone
def test_the_duration_of_an_answer_does_not_reveal_whether_data_exists(
    proving_apis: dict[str, Api], tenants: list[Tenant], rng: Random, report: Report
) -> None:
    api = proving_apis["local"]
    amber, cobalt = tenants[0], tenants[1]
    message_id = str(uuid.uuid4())
    assert post(api, cobalt, message_of(cobalt.company_id, message_id, "x" * 100_000)).status_code == 202
    until(lambda: read(api, cobalt, f"/message/{message_id}").ok)
    submitted = api.post("/dragons", None, headers=cobalt.header, json=a_dragon()).json()["submission_id"]
    until(lambda: read(api, cobalt, f"/submissions/{submitted}").json()["status"] == "added")

    kinds: dict[str, tuple[Callable[[], str], ...]] = {
        "message": (lambda: f"/message/{message_id}", lambda: f"/message/{uuid.uuid4()}", lambda: "/message/none"),
        "submission": (
            lambda: f"/submissions/{submitted}", lambda: f"/submissions/{uuid.uuid4()}", lambda: "/submissions/+"
        ),
    }  # fmt: skip
    notes, told_apart, tried = [], [], 0
    for kind, references in kinds.items():
        timings = Timings()
        for _ in range(TIMED_AGAIN_MAX):
            timings.measure(api, amber, references, report.scale.of(25, 300), rng)
            if timings.alike:
                break
        else:
            told_apart.append(kind)
        tried += timings.count
        notes.append(f"{kind}: {timings.shown}")
    print("  ", "; ".join(notes))

    report.add(SUITE, "an answer about others' data takes as long as one about data that does not exist", tried=tried,
               survived=tried if not told_apart else 0, lost=len(told_apart), note="; ".join(notes))  # fmt: skip
    assert not told_apart, notes


def test_a_user_without_a_company_reads_no_message_and_posts_none(
    proving_apis: dict[str, Api], tenants: list[Tenant], report: Report
) -> None:
    visitor = next(tenant for tenant in tenants if not tenant.company_id)
    owner = next(tenant for tenant in tenants if tenant.posted)
    wrong = 0
    for api in proving_apis.values():
        existing = Seen.of(read(api, visitor, f"/message/{next(iter(owner.posted))}"))
        absent = Seen.of(read(api, visitor, f"/message/{uuid.uuid4()}"))
        posted = post(api, visitor, message_of(owner.company_id, str(uuid.uuid4()), "x"))
        wrong += not (existing == absent and existing.status == posted.status_code == 403)
    report.add(SUITE, "a user without a company gets the same refusal whether the data exists or not",
               tried=2 * len(proving_apis), survived=2 * len(proving_apis) - wrong, lost=wrong)  # fmt: skip
    assert wrong == 0


def test_users_cannot_give_themselves_a_company_or_a_group(report: Report) -> None:
    """The test reads the template, because the embedded AWS lets users write any attribute; Cognito does not.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html
    """
    resources: Mapping[str, Any] = TEMPLATE["Resources"]
    clients = [item["Properties"] for item in resources.values() if item["Type"] == "AWS::Cognito::UserPoolClient"]
    pools = [item["Properties"] for item in resources.values() if item["Type"] == "AWS::Cognito::UserPool"]
    assert clients
    assert pools
    for client in clients:
        # If the property is missing, a client may write every attribute.
        assert client["WriteAttributes"] == ["name"]
        # A token of the sign-in page may not write attributes: that takes the scope aws.cognito.signin.user.admin.
        assert client["AllowedOAuthScopes"] == {
            "Fn::If": ["SignInPage", ["openid", "profile"], {"Ref": "AWS::NoValue"}]
        }
    for pool in pools:
        assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
        assert "LambdaConfig" not in pool, "a trigger could write claims"
    others = {"AWS::Cognito::UserPoolUser", "AWS::Cognito::UserPoolUserToGroupAttachment", "AWS::Cognito::IdentityPool"}
    assert not [name for name, item in resources.items() if item["Type"] in others]
    policies = "".join(path.read_text(encoding="utf-8") for path in Path(PROJECT, ".chalice").glob("policy-*.json"))
    assert "cognito" not in policies, "a function could write users"
    report.add(SUITE, "users cannot give themselves a company or a group (template)", tried=1, survived=1, lost=0)
