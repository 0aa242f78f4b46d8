"""The tests that every `DragonRepository` passes. Subclass the class, provide `dragons`, and pytest runs them all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import Addition, Change, DragonQuery, DragonRepository, FamilyPage
from tests.bad_input import ONE_NAME
from tests.samples import dragon

WRITERS = 8


def names(dragons: DragonRepository, query: DragonQuery | None = None) -> list[str]:
    """Return the names on one page."""
    return [found.dragon_name_str for found in dragons.page(query or DragonQuery(limit=1000)).dragons]


def counted(dragons: DragonRepository) -> dict[str, int]:
    """Return how many dragons each family has, by the spelling that is shown."""
    return {family.family_str: family.count for family in dragons.families(None, 1000).families}


def always(_: Dragon) -> bool:
    """Accept whatever dragon is stored."""
    return True


class DragonRepositoryContract:
    """Every test starts with an empty registry."""

    @pytest.fixture
    def dragons(self) -> DragonRepository:
        """Return the implementation under test, empty."""
        raise NotImplementedError

    def test_an_empty_registry_has_no_dragons(self, dragons: DragonRepository) -> None:
        page = dragons.page(DragonQuery())

        assert page.dragons == []
        assert page.next_after is None
        assert dragons.get("Ember") is None

    def test_an_added_dragon_is_found_with_all_its_fields(self, dragons: DragonRepository) -> None:
        assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED

        assert dragons.get("Ember") == dragon("Ember")
        assert dragons.page(DragonQuery()).dragons == [dragon("Ember")]

    def test_the_submission_id_is_never_shown(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")

        assert not hasattr(dragons.get("Ember"), "submission_id")
        assert not hasattr(dragons.page(DragonQuery()).dragons[0], "submission_id")

    def test_a_retry_of_the_same_submission_is_not_a_duplicate(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")

        assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED
        assert names(dragons) == ["Ember"]

    def test_another_submission_cannot_take_a_name(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")

        assert dragons.add(dragon("Ember", family_str="green"), "s2") is Addition.DUPLICATE
        assert dragons.get("Ember") == dragon("Ember")

    @pytest.mark.parametrize("first", ONE_NAME)
    def test_all_spellings_of_a_name_are_the_same_name(self, dragons: DragonRepository, first: str) -> None:
        dragons.add(dragon(first), "s1")

        for number, spelling in enumerate(set(ONE_NAME) - {first}):
            assert dragons.add(dragon(spelling), f"other-{number}") is Addition.DUPLICATE
            assert dragons.get(spelling) == dragon(first)
        assert names(dragons, DragonQuery.of(None, "ÉLAN")) == [first]

    def test_names_that_only_look_alike_are_different(self, dragons: DragonRepository) -> None:
        assert dragons.add(dragon("Elan"), "s1") is Addition.ADDED
        assert dragons.add(dragon("Élan"), "s2") is Addition.ADDED

    def test_dragons_are_in_the_order_of_their_normalised_names(self, dragons: DragonRepository) -> None:
        for name in ("zed", "Amber", "éclair", "Borne", "amber 2"):
            dragons.add(dragon(name), name)

        assert names(dragons) == ["Amber", "amber 2", "Borne", "zed", "éclair"]

    def test_filters_are_normalised_and_combine(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember", family_str="Fée"), "s1")
        dragons.add(dragon("Ash", family_str="Fée"), "s2")
        dragons.add(dragon("Moss", family_str="green"), "s3")

        assert names(dragons, DragonQuery.of("FE\u0301E", None)) == ["Ash", "Ember"]
        assert names(dragons, DragonQuery.of(None, "moss")) == ["Moss"]
        assert names(dragons, DragonQuery.of("Fée", "Moss")) == []
        assert names(dragons, DragonQuery.of("", None)) == []
        assert names(dragons, DragonQuery.of("' OR '1'='1", "' OR '1'='1")) == []

    def test_a_prefix_finds_what_begins_so(self, dragons: DragonRepository) -> None:
        every = ["Amber", "Amber 2", "Amberwick", "Ash", "O'Brien", "Élan"]
        for name in sorted(every, key=len, reverse=True):
            dragons.add(dragon(name), name)

        begins = {
            "AM": ["Amber", "Amber 2", "Amberwick"],
            " amber": ["Amber", "Amber 2", "Amberwick"],
            "Amber ": ["Amber 2"],
            "amber 2 ": [],
            "amc": [],
            "a": ["Amber", "Amber 2", "Amberwick", "Ash"],
            "E": [],
            "E\u0301L": ["Élan"],
            "\u200dÉ": ["Élan"],
            "o\u2019b": ["O'Brien"],
            "z": [],
            "": every,
            " ": every,
            "\U0010ffff": [],
            "x" * 2_000: [],
        }
        assert {prefix: names(dragons, DragonQuery.of(None, None, prefix=prefix)) for prefix in begins} == begins

    def test_a_prefix_combines_with_the_other_filters(self, dragons: DragonRepository) -> None:
        for name, family in (("Amber", "red"), ("Amberwick", "green"), ("Ash", "red")):
            dragons.add(dragon(name, family_str=family), name)

        assert names(dragons, DragonQuery.of("RED", None, prefix="am")) == ["Amber"]
        assert names(dragons, DragonQuery.of("blue", None, prefix="am")) == []
        assert names(dragons, DragonQuery.of(None, "Amberwick", prefix="am")) == ["Amberwick"]
        assert names(dragons, DragonQuery.of(None, "Ash", prefix="am")) == []

    @pytest.mark.parametrize("family", [None, "red"])
    def test_pages_of_a_prefix_hold_every_dragon_once(self, dragons: DragonRepository, family: str | None) -> None:
        for name in ("Al", "Amber", "Ambo", "Amen", "An", "Ashen"):
            dragons.add(dragon(name, family_str="red"), name)

        pages = []
        after = None
        while True:
            page = dragons.page(DragonQuery.of(family, None, after, 2, "am"))
            pages.append([found.dragon_name_str for found in page.dragons])
            if (after := page.next_after) is None:
                break

        assert pages == [["Amber", "Ambo"], ["Amen"]]

    def test_a_page_of_a_prefix_may_begin_after_any_key(self, dragons: DragonRepository) -> None:
        """A cursor is no secret, so anybody may make one."""
        for name in ("Al", "Amber", "Amen", "An"):
            dragons.add(dragon(name), name)

        following = {"": ["Amber", "Amen"], "a": ["Amber", "Amen"], "am": ["Amber", "Amen"], "amc": ["Amen"], "amf": [],
                     "am" + "z" * 2_000: [], "an": [], "b": []}  # fmt: skip
        assert {key: names(dragons, DragonQuery.of(None, None, key, prefix="am")) for key in following} == following

    def test_an_empty_registry_has_no_families(self, dragons: DragonRepository) -> None:
        assert dragons.families(None, 10) == FamilyPage([], None)

    def test_families_are_counted_as_dragons_come_and_go(self, dragons: DragonRepository) -> None:
        for number, family in enumerate(("red", "RED", "green", "É", "E\u0301", "blue")):
            dragons.add(dragon(f"dragon {number}", family_str=family), str(number))
        dragons.add(dragon("dragon 0", family_str="blue"), "again")
        dragons.remove("dragon 2", always)
        dragons.replace(dragon("dragon 5", family_str="gold"), always)

        assert counted(dragons) == {"RED": 2, "gold": 1, "E\u0301": 2}

    def test_a_family_is_written_as_most_of_its_dragons_have_it(self, dragons: DragonRepository) -> None:
        for number, family in enumerate(("red", "Red", "Red")):
            dragons.add(dragon(f"dragon {number}", family_str=family), str(number))
        assert counted(dragons) == {"Red": 3}

        dragons.replace(dragon("dragon 1", family_str="red"), always)
        assert counted(dragons) == {"red": 3}

        dragons.remove("dragon 0", always)
        assert counted(dragons) == {"Red": 2}, "of as many, the first by code points"

    def test_pages_hold_every_family_once_and_in_the_order_of_their_normalised_names(
        self, dragons: DragonRepository
    ) -> None:
        families = ["Red", "red dwarf", "red#1", "RED2", "élan"]
        for number, family in enumerate((*reversed(families), "red")):
            dragons.add(dragon(f"dragon {number}", family_str=family), str(number))
        dragons.add(dragon("gone", family_str="red!"), "gone")
        dragons.remove("gone", always)

        for limit in range(1, 7):
            pages = [dragons.families(None, limit)]
            while (after := pages[-1].next_after) is not None:
                pages.append(dragons.families(after, limit))
            assert [family.family_str for page in pages for family in page.families] == families
            assert [len(page.families) for page in pages[:-1]] == [limit] * (len(pages) - 1)

    def test_a_page_of_families_may_begin_after_any_name(self, dragons: DragonRepository) -> None:
        for family in ("red", "blue"):
            dragons.add(dragon(family, family_str=family), family)

        following = {"": ["blue", "red"], "b": ["blue", "red"], "blue": ["red"], "x" * 2_000: []}
        assert {
            after: [family.family_str for family in dragons.families(after, 10).families] for after in following
        } == following

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    def test_pages_hold_every_dragon_once(self, dragons: DragonRepository, limit: int) -> None:
        added = [f"dragon {number}" for number in range(7)]
        for name in added:
            dragons.add(dragon(name), name)

        seen: list[str] = []
        after = None
        while True:
            page = dragons.page(DragonQuery(after=after, limit=limit))
            assert len(page.dragons) <= limit
            seen += [found.dragon_name_str for found in page.dragons]
            if page.next_after is None:
                break
            after = page.next_after

        assert seen == added

    def test_pages_of_a_filter_hold_only_matching_dragons(self, dragons: DragonRepository) -> None:
        for number in range(6):
            dragons.add(dragon(f"dragon {number}", family_str=("red", "green")[number % 2]), str(number))

        first = dragons.page(DragonQuery.of("red", None, limit=2))
        last = dragons.page(DragonQuery.of("red", None, after=first.next_after, limit=2))

        assert [found.dragon_name_str for found in first.dragons] == ["dragon 0", "dragon 2"]
        assert [found.dragon_name_str for found in last.dragons] == ["dragon 4"]
        assert last.next_after is None

    def test_concurrent_removals_and_additions_lose_nothing(self, dragons: DragonRepository) -> None:
        for number in range(WRITERS):
            dragons.add(dragon(f"old {number}"), f"old {number}")

        def change(number: int) -> None:
            assert dragons.remove(f"old {number}", always) is Change.DONE
            assert dragons.add(dragon(f"new {number}"), f"new {number}") is Addition.ADDED

        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(change, range(WRITERS)))

        assert names(dragons) == [f"new {number}" for number in range(WRITERS)]

    def test_a_race_for_one_name_has_one_winner(self, dragons: DragonRepository) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            additions = list(
                pool.map(lambda n: dragons.add(dragon("Ember", family_str=f"f{n}"), f"s{n}"), range(WRITERS))
            )

        assert additions.count(Addition.ADDED) == 1
        winner = additions.index(Addition.ADDED)
        assert dragons.page(DragonQuery()).dragons == [dragon("Ember", family_str=f"f{winner}")]

    def test_concurrent_writers_lose_no_dragon(self, dragons: DragonRepository) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            additions = list(pool.map(lambda n: dragons.add(dragon(f"dragon {n:02}"), f"s{n}"), range(2 * WRITERS)))

        assert set(additions) == {Addition.ADDED}
        assert names(dragons) == [f"dragon {n:02}" for n in range(2 * WRITERS)]

    def test_a_replaced_dragon_is_the_new_one_everywhere(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")
        dragons.add(dragon("Ash"), "s2")
        wanted = dragon("EMBER", family_str="black")

        assert dragons.replace(wanted, always) is Change.DONE
        assert dragons.get("ember") == wanted
        assert dragons.page(DragonQuery.of("black", None)).dragons == [wanted]
        assert names(dragons) == ["Ash", "EMBER"]

    def test_a_replaced_dragon_still_belongs_to_its_submission(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")
        dragons.replace(dragon("Ember", family_str="black"), always)

        assert dragons.add(dragon("Ember"), "s1") is Addition.ADDED
        assert dragons.add(dragon("Ember"), "s2") is Addition.DUPLICATE

    def test_a_removed_dragon_is_gone_and_its_name_is_free(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")
        dragons.add(dragon("Ash"), "s2")

        assert dragons.remove("EMBER", always) is Change.DONE
        assert dragons.get("Ember") is None
        assert names(dragons) == ["Ash"]
        assert dragons.add(dragon("Ember"), "s3") is Addition.ADDED

    def test_a_dragon_that_is_not_there_cannot_be_changed(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ash"), "s1")

        assert dragons.replace(dragon("Ember"), always) is Change.ABSENT
        assert dragons.remove("Ember", always) is Change.ABSENT
        assert names(dragons) == ["Ash"]

    def test_a_dragon_that_changed_meanwhile_is_left_alone(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")

        assert dragons.replace(dragon("Ember", family_str="black"), lambda _: False) is Change.CHANGED
        assert dragons.remove("Ember", lambda found: found != dragon("Ember")) is Change.CHANGED
        assert dragons.get("Ember") == dragon("Ember")

    def test_exactly_one_of_several_changes_to_the_same_version_wins(self, dragons: DragonRepository) -> None:
        dragons.add(dragon("Ember"), "s1")
        seen = dragon("Ember")

        def change(number: int) -> Change:
            if number % 2:
                return dragons.remove("Ember", lambda found: found == seen)
            return dragons.replace(dragon("Ember", family_str=f"f{number}"), lambda found: found == seen)

        with ThreadPoolExecutor(WRITERS) as pool:
            changes = list(pool.map(change, range(WRITERS)))

        assert changes.count(Change.DONE) == 1
        assert set(changes) <= {Change.DONE, Change.CHANGED, Change.ABSENT}
