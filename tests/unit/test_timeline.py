"""What an operator reads of one id: the order, the words, and what is never shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from chalicelib.timeline import TEXT_CHARACTERS_MAX, Findings, Moment, masked, one_line
from operations.logs import Line
from operations.trace.lines import Linked, members, moment_of
from operations.trace.timeline import timeline, told

NOON = datetime(2026, 11, 26, 12, 0, 0, 250_000, UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def said(**named: object) -> str:
    return json.dumps(named)


class TestTheOrder:
    def test_moments_come_by_time_whatever_order_they_were_found_in(self) -> None:
        found = [
            Moment(later(2), "queue q", "third"),
            Moment(NOON, "log a", "first"),
            Moment(later(1), "log b", "second"),
        ]

        assert [line.rpartition("  ")[2] for line in timeline(found)] == ["first", "second", "third"]

    def test_what_has_no_fractions_comes_after_what_caused_it_in_the_same_second(self) -> None:
        """S3 tells the second only, and would come before the request that it follows from."""
        archived = Moment(NOON.replace(microsecond=0), "bucket b", "archived", to_the_second=True)
        accepted = Moment(NOON, "log a", "accepted", is_request=True)
        found = [archived, Moment(later(0.4), "log a", "settled"), accepted, Moment(later(-0.1), "log a", "before")]

        assert [line.rpartition("  ")[2] for line in timeline(found)] == ["before", "accepted", "archived", "settled"]

    def test_a_request_of_a_later_second_moves_nothing(self) -> None:
        archived = Moment(NOON.replace(microsecond=0), "bucket b", "archived", to_the_second=True)
        found = [archived, Moment(later(1), "log a", "read", is_request=True), Moment(later(0.1), "log a", "settled")]

        assert [line.rpartition("  ")[2] for line in timeline(found)] == ["archived", "settled", "read"]

    def test_the_same_moment_is_shown_once(self) -> None:
        assert len(list(timeline([Moment(NOON, "log a", "said"), Moment(NOON, "log a", "said")]))) == 1


class TestALine:
    def test_it_has_the_time_in_utc_the_offset_the_source_and_what_happened(self) -> None:
        elsewhere = later(1.5).astimezone(timezone(timedelta(hours=2)))
        found = [Moment(NOON, "log /aws/lambda/dragonpost-dev", "POST"), Moment(elsewhere, "table t", "stored")]

        assert list(timeline(found)) == [
            "2026-11-26 12:00:00.250Z    +0.000 s  log /aws/lambda/dragonpost-dev  POST",
            "2026-11-26 12:00:01.750Z    +1.500 s  table t                         stored",
        ]

    def test_a_time_without_fractions_has_none(self) -> None:
        found = [
            Moment(NOON, "log a", "x"),
            Moment(later(1).replace(microsecond=0), "bucket b", "y", to_the_second=True),
        ]

        assert list(timeline(found))[1] == "2026-11-26 12:00:01    Z        +1 s  bucket b  y"

    def test_from_an_hour_on_offsets_are_in_hours(self) -> None:
        found = [Moment(NOON, "log a", "x"), Moment(later(36_300), "queue q", "y")]

        assert "  +10 h 5 min  " in list(timeline(found))[1]

    def test_terminals_are_not_commanded_by_what_strangers_wrote(self) -> None:
        [line] = timeline([Moment(NOON, "log a", "\x1b[2J\u202e")])

        assert line.endswith(r"\u001b[2J\u202e")


class TestPhoneNumbers:
    @pytest.mark.parametrize("text", ["to +15555550123 failed", "?phone=%2B15555550123", r"\u002b15555550123"])
    def test_they_are_hidden(self, text: str) -> None:
        assert "5555" not in masked(text)

    def test_they_are_hidden_in_answers_moments_limits_and_commands(self) -> None:
        number = "+15555550123"
        findings = Findings([Moment(NOON, "log a", number)], [number], [number], [number])

        assert number not in "\n".join(told(findings, number, "dev"))

    def test_times_and_offsets_are_not_mistaken_for_them(self) -> None:
        assert masked("2026-11-22T10:00:00+00:00, +12.000 s") == "2026-11-22T10:00:00+00:00, +12.000 s"


class TestTheWords:
    def test_a_request_is_told_when_it_came_and_how_it_was_answered(self) -> None:
        text = said(
            message="request", method="GET", route="/dragons", status=200, duration_ms=250.0, correlation_id="c"
        )

        moment = moment_of("log a", Line(NOON, "api", text), "q")

        assert moment.at == NOON - timedelta(milliseconds=250)
        assert moment.what == "GET /dragons, answered 200 after 250 ms (request c)"

    def test_a_line_is_told_when_it_was_written_and_not_when_it_was_collected(self) -> None:
        text = said(message="message settled", timestamp="2026-11-26 12:00:00,100+0000")

        assert moment_of("log a", Line(NOON, "store_messages", text), "q").at == NOON.replace(microsecond=100_000)
        assert moment_of("log a", Line(NOON, "store_messages", said(timestamp="soon")), "q").at == NOON

    def test_an_accepted_message_is_said_to_be_on_the_queue(self) -> None:
        text = said(
            message="request", method="POST", route="/post-message", status=202, duration_ms=9, correlation_id="c"
        )

        assert (
            "answered 202 after 9 ms: queue q has the message" in moment_of("log a", Line(NOON, "api", text), "q").what
        )

    def test_of_an_exception_the_last_line_is_shown(self) -> None:
        text = said(
            level="ERROR", message="request failed", exception="Traceback …\n  File …\nDependencyFault: no table"
        )

        assert (
            moment_of("log a", Line(NOON, "api", text), "q").what == "ERROR request failed: DependencyFault: no table"
        )

    def test_what_is_no_line_of_the_app_is_shown_as_it_is(self) -> None:
        assert (
            moment_of("log a", Line(NOON, "api", "Task timed out after 10 s"), "q").what == "Task timed out after 10 s"
        )

    def test_members_that_nobody_named_are_not_shown(self) -> None:
        """A line may have more in it than an operator needs."""
        text = said(message="message settled", outcome="stored", data={"order_amount": 12})

        assert moment_of("log a", Line(NOON, "api", text), "q").what == "message settled: outcome stored"

    def test_a_long_text_is_cut(self) -> None:
        assert len(one_line("x" * 1000)) == TEXT_CHARACTERS_MAX
        assert one_line("two\n lines") == "two lines"

    @pytest.mark.parametrize("text", ["[]", "1", "not JSON", "nul"])
    def test_a_line_without_members_has_none(self, text: str) -> None:
        assert members(text) == {}


class TestWhatBelongsTogether:
    def test_lines_of_other_messages_under_the_same_request_id_are_others(self) -> None:
        """Clients choose X-Request-Id, and may use one for many requests."""
        linked = Linked(correlations={"c"}, messages={"m"})

        assert linked.is_about_others({"correlation_id": "c", "message_id": "another"})
        assert not linked.is_about_others({"correlation_id": "c", "message_id": "m"})
        assert not linked.is_about_others({"correlation_id": "c"})

    def test_a_line_links_the_ids_that_it_names(self) -> None:
        linked = Linked()

        linked.take({"correlation_id": "c", "message_id": "m", "company_id": "o", "submission_id": 7}, NOON)

        assert (linked.searched(), linked.companies, linked.reported_at) == ({"c", "m"}, {"o"}, set())

    def test_a_report_is_remembered_with_its_time(self) -> None:
        linked = Linked()

        linked.take({"method": "POST", "route": "/dragons"}, NOON)

        assert linked.reported_at == {NOON}


class TestTheWhole:
    def test_an_id_that_nothing_knows_gets_where_was_looked_and_for_how_long_things_are_kept(self) -> None:
        findings = Findings(places={"table t": "kept for 90 days", "log g": "kept for ever"})

        assert list(told(findings, "x-1", "prod")) == [
            "stage prod knows nothing of x-1. Looked for it in:",
            "  table t: kept for 90 days",
            "  log g: kept for ever",
        ]

    def test_the_answer_comes_first_and_what_is_left_open_last(self) -> None:
        findings = Findings([Moment(NOON, "log a", "said")], ["stored"], ["make logs"], ["truncated"])

        assert [line[:9] for line in told(findings, "x", "dev")] == [
            "stored", "", "2026-11-2", "", "! truncat", "next: mak",
        ]  # fmt: skip
