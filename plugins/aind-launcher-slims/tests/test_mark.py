"""The line by which a push finds its record again, also after SLIMS has reformatted the notes around it."""

import html
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from conftest import MONDAY, TUESDAY, session_of, suggested
from hypothesis import given
from hypothesis import strategies as st

from aind_launcher import LauncherError, Ticket, TransientError
from aind_launcher_slims.history import Mark
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.wire_double import SlimsDouble

REFORMATTED: dict[str, Callable[[str], str]] = {
    "on one line": lambda text: " ".join(text.split()),
    "with line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "wrapped": lambda text: text.replace(" ", "\n"),
    "without blanks around": str.strip,
    "with entities": html.escape,
    "with hard blanks": lambda text: text.replace(" ", "\xa0"),
    "with entities for blanks": lambda text: text.replace(" ", "&nbsp;"),
    "with numbers for signs": lambda text: text.replace("=", "&#61;").replace(":", "&#x3a;").replace("+", "&#43;"),
    "with numbers for slashes": lambda text: text.replace("/", "&#x2F;"),
    "with breaks": lambda text: text.replace("\n", "<br>"),
    "with closed breaks": lambda text: text.replace("\n", "<br />\n"),
    "as a paragraph": lambda text: f"<p>{text}</p>",
    "as paragraphs": lambda text: "".join(f'<p style="margin: 0">{line}</p>' for line in text.split("\n")),
    "in bold type": lambda text: f"<div><b>{text}</b></div>",
}
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,40}", fullmatch=True)
MARKS = st.builds(
    Mark,
    session=NAMES,
    date=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    suggestion=st.none() | st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    outcome=st.sampled_from(["recorded", "pending", "applied", "superseded"]),
    ticket=st.none() | st.builds(Ticket, register_id=st.text(max_size=20), number=st.integers(1, 10**9)),
)
NOTES = st.sampled_from(
    ["", "calm", "lost 2 g\n\nweight < 20 g & > 18 g", "a <b c> d", "aind-launcher: see below", "&lt;"]
)


@given(mark=MARKS, before=NOTES, after=NOTES, ways=st.lists(st.sampled_from(sorted(REFORMATTED)), max_size=2))
def test_a_mark_is_read_and_replaced_whatever_became_of_the_notes(
    mark: Mark, before: str, after: str, ways: list[str]
) -> None:
    notes = f"{mark.put_into(before)}\n{after}"
    for way in ways:
        notes = REFORMATTED[way](notes)
    assert Mark.in_notes(notes) == mark
    later = Mark("another", mark.date + timedelta(days=1), "f" * 16, "applied")
    renewed = later.put_into(notes)
    assert Mark.in_notes(renewed) == later
    assert renewed.count("session=") == 1


@given(mark=MARKS, before=NOTES, after=NOTES)
def test_what_people_wrote_around_a_mark_stays(mark: Mark, before: str, after: str) -> None:
    later = Mark("another", mark.date, None, "recorded")
    assert later.put_into(f"{mark.put_into(before)}\n{after}") == f"{later.put_into(before)}\n{after}"


def test_a_mark_is_written_as_it_always_was() -> None:
    date = datetime(2025, 11, 17, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    mark = Mark("123456_2025-11-17T093000Z", date, "0123abcd", "applied")
    line = (
        "aind-launcher: session=123456_2025-11-17T093000Z date=2025-11-17T09:30:00+00:00 "
        "suggestion=0123abcd outcome=applied"
    )
    assert mark.put_into(None) == line and Mark.in_notes(line) == mark
    numbered = replace(mark, ticket=Ticket(register_id="0a1b/2c 3d", number=12))
    assert numbered.put_into(None) == f"{line} ticket=0a1b%2F2c%203d/12"


def test_an_older_launcher_leaves_the_ticket_in_a_mark_that_it_replaces() -> None:
    ticket = Ticket(register_id="0a1b", number=12)
    noted = Mark("a", MONDAY, None, "recorded", ticket).put_into("calm") + "\ndrank well"
    # It replaces all up to the outcome.
    completed = noted.replace("suggestion=none outcome=recorded", "suggestion=0123abcd outcome=applied")
    assert Mark.in_notes(completed) == Mark("a", MONDAY, "0123abcd", "applied", ticket)


@pytest.mark.parametrize("ticket", ["0a1b/0", "0a1b", "0a1b/twelve", "0a1b/12th", ""])
def test_what_is_no_ticket_leaves_the_mark_without_one(ticket: str) -> None:
    mark = Mark("a", MONDAY, None, "applied")
    assert Mark.in_notes(f"{mark.put_into(None)} ticket={ticket}") == mark


@pytest.mark.parametrize(
    "notes",
    [
        None,
        "",
        "aind-launcher: session=a date=yesterday suggestion=none outcome=applied",
        "aind-launcher: session=a date=2025-11-17T09:30:00+00:00 suggestion=none outcome=applieds",
        "aind-launcher: session=a and date=2025-11-17T09:30:00+00:00 suggestion=none outcome=applied",
    ],
)
def test_what_is_no_mark_is_not_taken_for_one(notes: str | None) -> None:
    assert Mark.in_notes(notes) is None


@pytest.mark.parametrize("way", sorted(REFORMATTED))
def test_a_push_that_broke_off_finds_its_record_in_reformatted_notes(
    slims: SlimsDouble, plugin: Slims, way: str
) -> None:
    session = session_of(MONDAY, notes="drank well\nweight < 20 g")
    slims.fault(cut="after commit", path="^repo", nth=1)
    with pytest.raises(TransientError):
        plugin.post_session(session, suggested("next"))
    (record,) = slims.records()
    slims.update("ContentEvent", record["cnvn_pk"], cnvn_cf_notes=REFORMATTED[way](record["cnvn_cf_notes"]))
    assert plugin.post_session(session, suggested("next")).outcome == "applied"
    assert plugin.post_session(session, suggested("next")).outcome == "unchanged"
    assert len(slims.records()) == 1
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and (state.session_name, state.date) == (session.name, MONDAY)


@pytest.mark.parametrize(
    ("written", "typed"),
    [("date=20", "date=the 20"), ("outcome=applied", "outcome=fine"), ("suggestion=", "sugestion=")],
)
def test_a_mark_that_somebody_changed_makes_no_second_record(
    slims: SlimsDouble, plugin: Slims, written: str, typed: str
) -> None:
    session = session_of(MONDAY)
    plugin.post_session(session, suggested("stage two"))
    [record] = slims.records()
    slims.update("ContentEvent", record["cnvn_pk"], cnvn_cf_notes=record["cnvn_cf_notes"].replace(written, typed))

    with pytest.raises(LauncherError, match=f"record {record['cnvn_pk']} .* session {session.name}") as raised:
        plugin.post_session(session, suggested("stage two"))
    other = plugin.post_session(session_of(TUESDAY), suggested("stage three"))

    assert raised.value.hint and session.name in raised.value.hint
    assert len(slims.records()) == 2
    assert other.record != record["cnvn_pk"]
