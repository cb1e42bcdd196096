"""Two stores that both number an animal's sessions: the first gives the order, and each knows its own entries again."""

from pathlib import Path

from task_repositories import laboratory

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.testing import SUBJECT

SECOND = """
    from aind_launcher import Ticket, hookimpl

    class First:
        @hookimpl(tryfirst=True)
        def begin_session(self, session):
            return Ticket(register_id="first", number=7)

    class Last:
        @hookimpl(trylast=True)
        def begin_session(self, session):
            (session.repository.path.parent / "seen").write_text(str(session.ticket.register_id))
"""


def test_a_store_after_the_first_finds_the_ticket_in_the_session(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, SECOND, names={"last": "Last"})
    ticket = lab.run().session.ticket
    assert ticket and (lab.root / "seen").read_text("utf-8") == ticket.register_id


def test_the_library_keeps_its_own_order_where_another_store_gives_the_ticket(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, SECOND, names={"first": "First"})
    library = Library(lab.root / "library", "climbing")
    for _ in range(2):
        session = lab.run().session
        assert session.ticket and session.ticket.register_id == "first"
    sessions = library.register(SUBJECT).sessions
    assert [(entry.state, entry.decision and entry.decision.outcome) for entry in sessions] == [
        ("completed", "applied"),
        ("completed", "applied"),
    ]
    decisions = [decision for decision in library.history(SUBJECT) if decision.kind == "suggestion"]
    assert [decision.ticket for decision in decisions] == [entry.ticket for entry in sessions]
    assert [decision.reason for decision in decisions] == [None, None]
    assert lab.stage() == "rung3"
