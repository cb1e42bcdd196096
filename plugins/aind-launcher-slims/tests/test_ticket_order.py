"""Sessions and people in any order: what a push says became of a decision is what SLIMS then says of the animal."""

from datetime import datetime, timedelta

from conftest import SUBJECT, TUESDAY, begun, foreign, plugin_for, session_of, state_text, suggested
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from aind_launcher import AnimalState, SessionContext
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.wire_double import SlimsDouble

REGISTERS = ("library", "library", "library", "restored", None)
HAPPENINGS = st.one_of(
    # Its rig's clock is days ahead or behind, its register, and whether SLIMS answers when it begins.
    st.tuples(st.just("begin"), st.sampled_from((-2, 0, 0, 2, 2000)), st.sampled_from(REGISTERS), st.booleans()),
    st.tuples(st.just("record"), st.integers(0, 3)),
    st.tuples(st.just("decide"), st.integers(0, 3)),
    st.tuples(st.just("decide"), st.integers(0, 3)),
    st.tuples(st.just("write by hand")),
)


class Rigs:
    """The rigs of one animal, and a person who writes into SLIMS by hand."""

    def __init__(self, double: SlimsDouble) -> None:
        self.double = double
        self.plugin: Slims = plugin_for(double)
        self.open: list[SessionContext] = []
        self.number = 0

    @property
    def now(self) -> datetime:
        return TUESDAY + timedelta(minutes=self.number)

    def stands(self) -> AnimalState | None:
        return self.plugin.load_animal_state(session_of(self.now))

    def begin(self, days: int, register: str | None, reached: bool) -> None:
        date = self.now + timedelta(days=days)
        session = begun(self.plugin, date, self.number if register else None, register or "")
        self.open.append(session if reached else session.model_copy(update={"results": {}}))

    def record(self, index: int) -> None:
        if index < len(self.open):
            before = self.stands()
            self.plugin.post_session(self.open[index], None)
            assert self.stands() == before

    def decide(self, index: int) -> None:
        if index >= len(self.open):
            return
        session = self.open.pop(index)
        before = self.stands()
        pushed = self.plugin.post_session(session, suggested(f"of {session.name}"))
        event(pushed.outcome)
        after = self.stands()
        if pushed.outcome == "superseded":
            assert after == before
        else:
            assert after and (after.session_name, after.ticket) == (session.name, session.ticket)
            if before and before.ticket and session.ticket:
                assert not before.ticket.is_above(session.ticket)
        if before and before.ticket and session.ticket and session.ticket.is_above(before.ticket):
            assert pushed.outcome == "applied"
        # Other tools take the latest date for the latest.
        others = ("recorded", "pending", "superseded")
        counting = [r for r in self.double.records() if not any(f"={o}" in r["cnvn_cf_notes"] for o in others)]
        latest = max(counting, key=lambda record: int(record["cnvn_cf_scheduledDate"]))
        assert pushed.outcome == "superseded" or session.name in latest["cnvn_cf_notes"]

    def write_by_hand(self) -> None:
        before = self.stands()
        foreign(self.double, self.now, {"TrainerState": state_text(f"by hand {self.number}")}, cnvn_cf_notes="")
        stands = self.stands()
        is_seen = stands is not None and stands.trainer_state.stage == f"by hand {self.number}"
        # Without tickets dates say what is later, as ever.
        assert is_seen or (before and before.ticket is None and before.date > self.now)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(HAPPENINGS, min_size=4, max_size=10))
def test_what_a_push_says_is_where_slims_then_has_the_animal(happenings: list[tuple[object, ...]]) -> None:
    with SlimsDouble() as double:
        double.add_animal(SUBJECT)
        rigs = Rigs(double)
        for name, *arguments in happenings:
            rigs.number += 1
            getattr(rigs, str(name).replace(" ", "_"))(*arguments)
