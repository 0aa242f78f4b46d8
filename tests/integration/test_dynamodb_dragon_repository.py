"""The registry in DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.dragons import dynamodb
from chalicelib.dragons.dynamodb import (
    ATTEMPTS_MAX,
    DynamoDBDragonRepository,
    RowCorrupt,
    TableClosed,
    TableContended,
)
from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import Addition, Change, CountedFamily, DragonQuery, FamilyPage, RegistryMoved
from tests.fakes.atomic_dynamodb import AtomicDynamoDB
from tests.fakes.aws_errors import client_error
from tests.fakes.settings import FakeSettings
from tests.integration.stage import DRAGONS, Stage
from tests.protocols.dragon_repository import DragonRepositoryContract, always, names
from tests.samples import dragon, dragon_members

TABLE = FakeSettings(dragon_table_name=DRAGONS)

USES: dict[str, Callable[[DynamoDBDragonRepository], Any]] = {
    "page": lambda dragons: dragons.page(DragonQuery()),
    "families": lambda dragons: dragons.families(None, 10),
    "get": lambda dragons: dragons.get("Ember"),
    "add": lambda dragons: dragons.add(dragon("Ember"), "s1"),
    "replace": lambda dragons: dragons.replace(dragon("Ember"), always),
    "remove": lambda dragons: dragons.remove("Ember", always),
}


@pytest.fixture
def client(stage: Stage) -> AtomicDynamoDB:
    """The stage's DynamoDB, whose table is open."""
    stage.open_table()
    return AtomicDynamoDB()


@pytest.fixture
def dragons(client: AtomicDynamoDB) -> DynamoDBDragonRepository:
    """A repository in an empty table, which never really waits."""
    return DynamoDBDragonRepository(TABLE, lambda: client, lambda _: None)  # type: ignore[arg-type,return-value]


def rows(part: str) -> dict[str, dict[str, Any]]:
    """Return the items of a part by their sort keys."""
    found = aws.dynamodb().scan(TableName=DRAGONS)["Items"]
    return {item["sort_key"]["S"]: item for item in found if item["part"]["S"] == part}


def counts() -> dict[str, int]:
    """Return how many dragons are said to have each spelling of a family."""
    found: dict[str, int] = {}
    for item in rows("families").values():
        family = item["family_written"]["S"]
        found[family] = found.get(family, 0) + int(item["dragons"]["N"])
    return found


def cancelled(*codes: str) -> Exception:
    """Return the error of a transaction that was cancelled for these reasons, one for each action."""
    return client_error("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


class TestDynamoDBDragonRepository(DragonRepositoryContract):
    @pytest.fixture
    def dragons(self, client: AtomicDynamoDB) -> DynamoDBDragonRepository:
        return DynamoDBDragonRepository(TABLE, lambda: client, lambda _: None)  # type: ignore[arg-type,return-value]


class TestRows:
    def test_an_entry_is_what_the_document_would_hold(self, dragons: DynamoDBDragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")

        entry = json.loads(rows("dragon")["ember"]["entry"]["S"])
        assert entry == {**dragon_members("Ember"), "submission_id": "s1"}

    def test_copies_and_counts_follow_every_change(self, dragons: DynamoDBDragonRepository) -> None:
        for number in range(40):
            dragons.add(dragon(f"dragon {number}", family_str="RED"), "s1")
        dragons.replace(dragon("dragon 1", family_str="green"), always)
        dragons.replace(dragon("DRAGON 2", family_str="red"), always)
        dragons.remove("dragon 3", always)

        assert counts() == {"RED": 37, "red": 1, "green": 1}
        for family, there in {"red": 38, "green": 1}.items():
            copies = rows(f"family#{family}")
            assert len(copies) == there
            for key, copy in copies.items():
                assert copy["entry"] == rows("dragon")[key]["entry"]

    def test_members_that_are_not_ours_are_kept_exactly(self, dragons: DynamoDBDragonRepository) -> None:
        entry = json.dumps(dragon_members("Ember"))[:-1] + ', "n": 12345678901234567890.12, "o": {"a": [1e-7]}}'
        dragons.add(dragon("Ember"), "s1")
        row = {**rows("dragon")["ember"], "entry": {"S": entry}}
        aws.dynamodb().put_item(TableName=DRAGONS, Item=row)
        dragons.replace(dragon("Ember", family_str="black"), always)

        kept = rows("dragon")["ember"]["entry"]["S"]
        assert "12345678901234567890.12" in kept
        assert "1e-7" in kept
        assert dragons.get("Ember") == dragon("Ember", family_str="black")

    def test_a_count_of_no_family_is_named(self, dragons: DynamoDBDragonRepository) -> None:
        row = {"part": {"S": "families"}, "sort_key": {"S": "red"}, "dragons": {"N": "1"}}
        aws.dynamodb().put_item(TableName=DRAGONS, Item=row)

        with pytest.raises(RowCorrupt, match=rf"The item \(families, red\) of the table {DRAGONS}"):
            dragons.families(None, 10)

    def test_one_that_holds_no_dragon_is_named_and_left_as_it_is(self, dragons: DynamoDBDragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")
        broken = {**rows("dragon")["ember"], "entry": {"S": "{}"}}
        aws.dynamodb().put_item(TableName=DRAGONS, Item=broken)

        for use in ("page", "get", "replace", "remove"):
            with pytest.raises(RowCorrupt, match=rf"The item \(dragon, ember\) of the table {DRAGONS} holds no dragon"):
                USES[use](dragons)
        assert rows("dragon")["ember"] == broken


class TestKeys:
    def test_a_name_that_no_item_can_have_is_nobodys(self, dragons: DynamoDBDragonRepository) -> None:
        for name in ("", " ", "é" * 513):
            assert dragons.get(name) is None
            assert names(dragons, DragonQuery.of(None, name)) == []
            assert dragons.remove(name, always) is Change.ABSENT

    def test_a_family_that_no_item_can_have_has_no_dragons(self, dragons: DynamoDBDragonRepository) -> None:
        assert names(dragons, DragonQuery.of("é" * 1025, None)) == []
        assert names(dragons, DragonQuery.of("é" * 1025, "Ember")) == []

    @pytest.mark.parametrize(("after", "shown"), [("", ["Ember"]), ("d" + "é" * 600, ["Ember"]), ("f" * 1200, [])])
    def test_pages_begin_after_keys_that_no_item_can_have(
        self, dragons: DynamoDBDragonRepository, after: str, shown: list[str]
    ) -> None:
        dragons.add(dragon("Ember"), "s1")

        assert names(dragons, DragonQuery(after=after)) == shown


class TestPages:
    def test_one_that_is_larger_than_a_query_is_read_in_several(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB
    ) -> None:
        added = [f"dragon {number:02}" for number in range(60)]
        for name in added:
            dragons.add(dragon(name, description_str="龍" * 10_000), name)
        client.calls.clear()

        assert names(dragons, DragonQuery(limit=60)) == added
        assert [name for name, _ in client.calls].count("query") > 1

    @pytest.mark.parametrize("there", [3, 30])
    def test_what_is_asked_and_read_depends_on_the_page_alone(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB, there: int
    ) -> None:
        for number in range(there):
            dragons.add(dragon(f"dragon {number:02}"), "s1")
        client.calls.clear()
        dragons.page(DragonQuery(limit=2))

        dragons.page(DragonQuery.of("red", None, limit=2, prefix="dragon 0"))
        dragons.families(None, 2)

        looked, fence = [("query", 3)], [("get_item", None)]
        assert [(name, asked.get("Limit")) for name, asked in client.calls] == [
            *fence, *looked, *fence, *looked, *fence, ("query", 3 * dynamodb.COUNTS_OF_A_FAMILY + 1)
        ]  # fmt: skip

    def test_a_page_of_families_that_have_one_spelling_each_takes_one_query(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB
    ) -> None:
        for number in range(3 * dynamodb.COUNTS_OF_A_FAMILY + 16):
            row = {"family_written": {"S": f"f{number // 16}"}, "dragons": {"N": "1"}}
            place = {"part": {"S": "families"}, "sort_key": {"S": f"f{number // 16}\t{number % 16:02}"}}
            aws.dynamodb().put_item(TableName=DRAGONS, Item=place | row)
        client.calls.clear()

        page = dragons.families(None, 2)
        assert (len(page.families), page.next_after) == (2, "f1")
        assert [name for name, _ in client.calls] == ["get_item", "query"]

    def test_families_that_have_more_rows_than_a_query_returns_are_read_in_several(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB
    ) -> None:
        for number in range(40):
            row = {"family_written": {"S": ("red", "RED")[number % 2]}, "dragons": {"N": "3"}}
            place = {"part": {"S": "families"}, "sort_key": {"S": f"red\t{number:02}"}}
            aws.dynamodb().put_item(TableName=DRAGONS, Item=place | row)
        dragons.add(dragon("Ash", family_str="white"), "s1")
        client.calls.clear()

        assert dragons.families(None, 1) == FamilyPage([CountedFamily(family_str="RED", count=120)], "red")
        assert [name for name, _ in client.calls].count("query") > 1

    def test_all_reads_are_consistent(self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB) -> None:
        dragons.add(dragon("Ember"), "s1")
        for use in USES.values():
            use(dragons)

        reads = [asked["ConsistentRead"] for name, asked in client.calls if name != "transact_write_items"]
        assert set(reads) == {True}


class TestFences:
    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_a_table_that_was_left_is_neither_read_nor_written(
        self, dragons: DynamoDBDragonRepository, stage: Stage, use: Callable[[DynamoDBDragonRepository], Any]
    ) -> None:
        dragons.add(dragon("Ember"), "s1")
        before = rows("dragon")
        stage.open_table("s3")

        with pytest.raises(RegistryMoved) as moved:
            use(dragons)
        assert moved.value.place == "s3"
        assert rows("dragon") == before

    @pytest.mark.usefixtures("stage")
    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_a_table_that_nobody_opened_is_not_an_empty_registry(
        self, use: Callable[[DynamoDBDragonRepository], Any]
    ) -> None:
        with pytest.raises(TableClosed, match=f"The table {DRAGONS} holds no registry of dragons"):
            use(DynamoDBDragonRepository(TABLE))
        assert aws.dynamodb().scan(TableName=DRAGONS)["Items"] == []

    @pytest.mark.parametrize("use", ["replace", "remove"])
    def test_a_write_that_was_begun_before_the_table_was_left_is_not_made(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB, stage: Stage, use: str
    ) -> None:
        dragons.add(dragon("Ember", family_str="red"), "s1")
        client.before_transaction = lambda: stage.open_table("s3")

        with pytest.raises(RegistryMoved):
            USES[use](dragons)
        assert list(rows("dragon")) == ["ember"]

    def test_uses_are_spread_over_all_of_them(self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB) -> None:
        """Transactions that check the same fence refuse each other."""
        for number in range(60):
            dragons.add(dragon(f"dragon {number}"), "s1")

        checked = {asked["TransactItems"][0]["ConditionCheck"]["Key"]["part"]["S"] for _, asked in client.calls}
        assert len(checked) == dynamodb.FENCES


class TestRaces:
    @pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
    @pytest.mark.parametrize("action", [0, 1, 2, 3])
    def test_a_transaction_that_others_hinder_is_tried_again(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB, code: str, action: int
    ) -> None:
        left = [cancelled(*(code if place == action else "None" for place in range(4)))]

        def hinder() -> None:
            if left:
                raise left.pop()

        client.before_transaction = hinder
        assert dragons.add(dragon("Ember", family_str="red"), "s1") is Addition.ADDED
        assert counts() == {"red": 1}

    @pytest.mark.parametrize("use", ["add", "replace", "remove"])
    def test_lost_races_end_in_a_failure_that_may_pass(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB, use: str
    ) -> None:
        if use != "add":
            dragons.add(dragon("Ember"), "s1")
        tries: list[None] = []

        def hinder() -> None:
            tries.append(None)
            raise cancelled("TransactionConflict", "None", "None", "None")

        client.before_transaction = hinder
        with pytest.raises(TableContended):
            USES[use](dragons)
        assert len(tries) == ATTEMPTS_MAX

    def test_a_name_is_not_said_to_be_taken_where_the_fence_was_not_looked_at(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB, stage: Stage
    ) -> None:
        """The table may have been left meanwhile, and the dragon removed where the registry is now."""
        dragons.add(dragon("Ember"), "s1")
        taken = {"Code": "ConditionalCheckFailed", "Item": rows("dragon")["ember"]}
        reasons = [{"Code": "TransactionConflict"}, taken, {"Code": "None"}, {"Code": "None"}]

        def hinder() -> None:
            stage.open_table("s3")
            client.before_transaction = lambda: None
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)

        client.before_transaction = hinder
        with pytest.raises(RegistryMoved):
            dragons.add(dragon("Ember"), "s2")

    @pytest.mark.parametrize("code", ["ValidationError", "ItemCollectionSizeLimitExceeded"])
    def test_what_cannot_pass_is_not_tried_again(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB, code: str
    ) -> None:
        tries: list[None] = []

        def refuse() -> None:
            tries.append(None)
            raise cancelled("None", code, "None", "None")

        client.before_transaction = refuse
        with pytest.raises(aws.DependencyFault, match="TransactionCanceledException"):
            dragons.add(dragon("Ember"), "s1")
        assert len(tries) == 1

    def test_a_dragon_that_took_the_name_meanwhile_is_left_alone(
        self, dragons: DynamoDBDragonRepository, client: AtomicDynamoDB
    ) -> None:
        """It is not the one that was seen, although it looks the same."""
        dragons.add(dragon("Ember"), "s1")
        seen: list[Dragon] = []

        def replace_it() -> None:
            client.before_transaction = lambda: None
            other = DynamoDBDragonRepository(TABLE)
            other.remove("Ember", always)
            other.add(dragon("Ember"), "s2")

        def unchanged(found: Dragon) -> bool:
            seen.append(found)
            return len(seen) == 1

        client.before_transaction = replace_it
        assert dragons.remove("Ember", unchanged) is Change.CHANGED
        assert json.loads(rows("dragon")["ember"]["entry"]["S"])["submission_id"] == "s2"

    @pytest.mark.usefixtures("stage")
    def test_a_table_that_is_not_there_is_named(self) -> None:
        with pytest.raises(aws.DependencyFault, match=r"ResourceNotFoundException .* of dragonpost-no-such-table"):
            DynamoDBDragonRepository(FakeSettings(dragon_table_name="dragonpost-no-such-table")).get("Ember")
