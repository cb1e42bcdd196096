"""The card of a session: which animal this is, where it stands, what is about to run, and what is unusual about it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, JsonValue

from aind_launcher.board.decision import LastDecision
from aind_launcher.board.words import duration, in_short, when
from aind_launcher.model.animal import named_rules
from aind_launcher.model.names import brief
from aind_launcher.model.register import FEWEST_SESSIONS, RECENT_SESSIONS, RegisterEntry
from aind_launcher.model.session import Acquisition, Check, SessionContext
from aind_launcher.model.store import AnimalRecord

if TYPE_CHECKING:
    from aind_launcher.model.animal import AnimalState, TrainerStateText

# Of the median of the animal's last completed sessions. An animal that works less than usual ends a session somewhat
# earlier; less than half of it means that something else did.
_SHORT = 0.5
# Minutes; where sessions take less, something is being tried out.
_TRIAL = 1
# The launcher's own checks that say that it may be the wrong animal.
_OF_THE_ANIMAL = ("asked again", "unknown animal", "ran today", "running elsewhere", "end not seen", "another rig")
_SOURCES = {
    "trainer state": "from its stage",
    "file": "from --task; no curriculum decides over this session",
    "animal": "the animal's own task.json",
    "plugin": "from a plugin",
}


class LastSession(BaseModel, frozen=True):
    """The animal's newest session.

    :param short: how it stands beside those before it, where it was unusually short.
    """

    name: str | None
    began: AwareDatetime
    rig: str
    state: str | None
    minutes: float | None = None
    short: str | None = None


class Card(BaseModel, frozen=True):
    """What an operator should see before a session starts.

    :param since: when the animal came to its stage; the oldest session known there if it `came_earlier`.
    :param warnings: what the checks before the session warned of.
    :param stands_out: whether the animal, and not only the rig, is unusual: it may be the wrong one.
    """

    session: str
    subject: str
    rig: str
    curriculum: str | None = None
    curriculum_version: str | None = None
    stage: str | None = None
    on_curriculum: bool = False
    since: AwareDatetime | None = None
    came_earlier: bool = False
    sessions_at_stage: int | None = None
    sessions_unchanged: int | None = None
    last_session: LastSession | None = None
    last_decision: LastDecision | None = None
    metrics: JsonValue = None
    task: str | None = None
    task_source: str | None = None
    experimenter: tuple[str, ...] = ()
    notes: str | None = None
    warnings: tuple[Check, ...] = ()
    stands_out: bool = False

    def facts(self, now: datetime, *, full: bool = False) -> dict[str, str]:
        """What is drawn: name and text of each fact that is known, in order.

        :param full: name rules with their modules.
        """
        source = _SOURCES.get(self.task_source or "")
        named = {
            "curriculum": f"{brief(self.curriculum)} {brief(self.curriculum_version)}".strip(),
            "stage": self._stage(now),
            "last session": self._last_session(now),
            "last decision": self._last_decision(now),
            "rule": named_rules(self.last_decision.rule, full=full) if self.last_decision else None,
            "metrics": in_short(self.metrics),
            "runs now": f"{brief(self.task) or 'a task'}, {source}" if source else None,
            "on rig": self.rig,
            "experimenter": ", ".join(self.experimenter),
            "notes": self.notes,
        }
        return {name: text for name, text in named.items() if text}

    def _stage(self, now: datetime) -> str | None:
        if self.stage is None and not self.curriculum:
            return None
        text = brief(self.stage) or "none"
        if not self.on_curriculum:
            text += " (off curriculum: nothing decides over this animal)"
        if self.since:
            text += f", since {when(self.since, now)}{' or longer' if self.came_earlier else ''}"
        if self.sessions_at_stage is not None:
            text += f", {_counted(self.sessions_at_stage)} there"
        if self.sessions_unchanged and self.sessions_unchanged > 1:
            text += f", {self.sessions_unchanged} since anything changed"
        return text

    def _last_session(self, now: datetime) -> str | None:
        last = self.last_session
        if last is None:
            return None
        took = f", {last.short or duration(last.minutes)}" if last.minutes is not None else ""
        return f"{when(last.began, now)} on {last.rig}: {last.state}{took}"

    def _last_decision(self, now: datetime) -> str | None:
        made, last = self.last_decision, self.last_session
        if made is None:
            return None
        same = last is not None and made.session_name is not None and made.session_name == last.name
        return made.told() if same else f"{when(made.date, now)}: {made.told()}"


def card_of(session: SessionContext) -> Card:
    """The card of a session that begins now."""
    state = session.animal_state
    trainer_state = state.trainer_state if state else None
    record = AnimalRecord(session.subject, trainer_state, session.animal_entries)
    since, came_earlier = _since(record)
    checks = {plugin: _warnings(result) for plugin, result in session.results.get("pre_session", {}).items()}
    task = session.task or {}
    return Card(
        session=session.name,
        subject=session.subject,
        rig=session.rig_name,
        curriculum=trainer_state.curriculum if trainer_state else None,
        curriculum_version=trainer_state.curriculum_version if trainer_state else None,
        stage=trainer_state.stage if trainer_state else None,
        on_curriculum=trainer_state.is_on_curriculum if trainer_state else False,
        since=since,
        came_earlier=came_earlier,
        sessions_at_stage=record.sessions_at_stage if trainer_state else None,
        sessions_unchanged=record.sessions_unchanged if trainer_state else None,
        last_session=_last_session(record),
        last_decision=_last_decision(state, record),
        metrics=state.metrics if state else None,
        task=next((name for name in (task.get("stage_name"), task.get("name")) if isinstance(name, str)), None),
        task_source=session.task_source,
        experimenter=tuple(session.session.experimenter),
        notes=session.session.notes,
        warnings=tuple(check for found in checks.values() for check in found),
        stands_out=any(check.name in _OF_THE_ANIMAL for check in checks.get("launcher", ())),
    )


def _warnings(result: JsonValue) -> tuple[Check, ...]:
    listed = result if isinstance(result, list) else [] if result is None else [result]
    checks = map(Check.model_validate, listed)
    return tuple(check for check in checks if check.outcome == "warning")


def _last_session(record: AnimalRecord) -> LastSession | None:
    last = record.last_session
    if last is None:
        return None
    return LastSession(
        name=last.session_name,
        began=last.began,
        rig=last.rig,
        state=last.state,
        minutes=last.minutes,
        short=_short(last.minutes, record.sessions[:-1]),
    )


def _last_decision(state: "AnimalState | None", record: AnimalRecord) -> LastDecision | None:
    put = record.last_put
    if state is None:
        return None
    # Another store may know of a later decision than this register.
    if put and put.ticket == state.ticket:
        return LastDecision.of(put)
    return LastDecision(
        kind="stored", date=state.date, session_name=state.session_name, stage=state.trainer_state.decided_stage
    )


def _since(record: AnimalRecord) -> tuple[datetime | None, bool]:
    """When the animal came to its stage, and whether it was there before, too, beyond the entries that are known."""
    since, state = None, record.trainer_state
    if state is None:
        return None, False
    for entry in reversed(record.entries):
        if not _stood_there_after(entry, state):
            return since, False
        since = entry.began
        if entry.decision and entry.put_the_animal and entry.stage != state.decided_stage:
            return since, False
    first = record.entries[0] if record.entries else None
    return since, first is not None and first.sessions_at(state)[0] > first.was_run


def _stood_there_after(entry: RegisterEntry, state: "TrainerStateText") -> bool:
    decided = entry.decision if entry.put_the_animal else None
    where = (decided.curriculum, decided.stage) if decided else (entry.curriculum, entry.stage)
    return where == (state.curriculum, state.decided_stage)


def unusually_short(acquisition: Acquisition | None, before: tuple[RegisterEntry, ...]) -> str | None:
    """How long an acquisition took beside the animal's last completed ones, where that was unusually short.

    :param before: of the animal's register, oldest first.
    """
    took = (acquisition.end - acquisition.start) / timedelta(minutes=1) if acquisition else None
    return _short(took, tuple(entry for entry in before if entry.was_run))


def _short(minutes: float | None, before: tuple[RegisterEntry, ...]) -> str | None:
    # Those that were broken off say nothing of how long a session is.
    last = sorted(_minutes(before))
    if minutes is None or len(last) < FEWEST_SESSIONS or median(last) < _TRIAL or minutes >= _SHORT * median(last):
        return None
    shortest, longest = duration(last[0]), duration(last[-1])
    span = longest if shortest == longest else f"{shortest.removesuffix(' min')} to {longest}"
    return f"{duration(minutes)}; its last {len(last)} sessions took {span}"


def _minutes(sessions: tuple[RegisterEntry, ...]) -> Iterator[float]:
    completed = [entry for entry in sessions if entry.state == "completed" and entry.minutes is not None]
    yield from (entry.minutes for entry in completed[-RECENT_SESSIONS:] if entry.minutes is not None)


def _counted(sessions: int) -> str:
    return "no session" if not sessions else "1 session" if sessions == 1 else f"{sessions} sessions"
