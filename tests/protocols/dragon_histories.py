"""Random histories of a registry: in any order of operations, each implementation answers like the one in memory.

Subclass the machine, provide `made`, and run it with `hypothesis.stateful.run_state_machine_as_test`.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.dragons.model import Dragon
from chalicelib.dragons.repository import DragonQuery, DragonRepository
from tests.bad_input import ONE_NAME
from tests.fakes.dragon_repository import InMemoryDragonRepository
from tests.samples import dragon

NAMES = st.sampled_from([*ONE_NAME, "Elan", "Ember", "ember", "Ash", "a.b-c'd 2", "龍"])
PREFIXES = st.builds(lambda name, length: name[:length], NAMES, st.integers(0, 5))
FAMILIES = st.sampled_from(["red", "RED", "red dwarf", "red!", "red#1", "green", "É", "E\u0301"])
KEYS = NAMES.map(lambda name: dragon(name).key)
DRAGONS = st.builds(lambda name, family: dragon(name, family_str=family), NAMES, FAMILIES)
SUBMISSIONS = st.sampled_from(["s1", "s2", "s3"])


class DragonHistory(RuleBasedStateMachine):
    """Does the same to the implementation under test and to the one in memory, and compares their answers."""

    def made(self) -> DragonRepository:
        """Return the implementation under test, empty."""
        raise NotImplementedError

    @initialize(present=st.lists(DRAGONS, min_size=2, max_size=8))
    def begin(self, present: list[Dragon]) -> None:
        self.real = self.made()
        self.model = InMemoryDragonRepository()
        for each in present:
            self.add(each, "s1")

    @rule(added=DRAGONS, submission=SUBMISSIONS)
    def add(self, added: Dragon, submission: str) -> None:
        assert self.real.add(added, submission) is self.model.add(added, submission)

    @rule(wanted=DRAGONS, seen=DRAGONS)
    def correct_what_was_seen(self, wanted: Dragon, seen: Dragon) -> None:
        assert self.real.replace(wanted, lambda found: found == seen) is self.model.replace(
            wanted, lambda found: found == seen
        )

    @rule(wanted=DRAGONS)
    def correct(self, wanted: Dragon) -> None:
        assert self.real.replace(wanted, lambda _: True) is self.model.replace(wanted, lambda _: True)

    @rule(name=NAMES, family=FAMILIES)
    def remove_from_a_family(self, name: str, family: str) -> None:
        assert self.real.remove(name, lambda found: found.family_str == family) is self.model.remove(
            name, lambda found: found.family_str == family
        )

    @rule(name=NAMES)
    def get(self, name: str) -> None:
        assert self.real.get(name) == self.model.get(name)

    @rule(
        family=st.none() | FAMILIES,
        name=st.none() | NAMES,
        after=st.none() | KEYS,
        limit=st.integers(1, 4),
        prefix=st.none() | PREFIXES,
    )
    def filter(self, family: str | None, name: str | None, after: str | None, limit: int, prefix: str | None) -> None:
        query = DragonQuery.of(family, name, after, limit, prefix)

        assert self.real.page(query) == self.model.page(query)

    @rule(limit=st.integers(1, 3))
    def count_page_by_page(self, limit: int) -> None:
        after = None
        while True:
            page = self.model.families(after, limit)

            assert self.real.families(after, limit) == page
            if (after := page.next_after) is None:
                return

    @rule(limit=st.integers(1, 4))
    def read_page_by_page(self, limit: int) -> None:
        after = None
        while True:
            query = DragonQuery(after=after, limit=limit)
            page = self.model.page(query)

            assert self.real.page(query) == page
            if (after := page.next_after) is None:
                return

    @invariant()
    def every_dragon_is_there_once(self) -> None:
        everything = DragonQuery(limit=1000)

        assert self.real.page(everything) == self.model.page(everything)
