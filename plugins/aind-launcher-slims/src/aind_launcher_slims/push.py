"""Records a session in SLIMS, exactly once, and with it the suggestion, if the animal still waits for it.

The record is written first and marked as pending; then its attachments; then the mark that makes it count. A push that
breaks off at any point finds by the mark what it wrote, and goes on there.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aind_slims_api.models import SlimsBehaviorSession
from pydantic import BaseModel, ConfigDict

from aind_launcher import (
    AnimalError,
    AnimalState,
    CurriculumSuggestion,
    SessionContext,
    TrainerStateText,
    TransientError,
)
from aind_launcher_slims.connection import Connection
from aind_launcher_slims.history import METRICS, TRAINER_STATE, History, Mark, Record, attachment_name

logger = logging.getLogger(__name__)

# The plugin's, as its entry point says.
_NAME = "slims"


class Pushed(BaseModel):
    """What SLIMS has after a push.

    :param outcome: *applied*: the animal stands where the suggestion puts it; *superseded*: it came too late and is
        only kept; *recorded*: there was no suggestion; *unchanged*: an earlier push had done it all.
    :param record: the key of the behaviour session in SLIMS.
    :param because: why it was superseded.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["applied", "superseded", "recorded", "unchanged"]
    record: int
    because: str | None = None


@dataclass(frozen=True)
class Push:
    """One session on its way to SLIMS.

    :param instrument: its name in SLIMS.
    """

    connection: Connection
    session: SessionContext
    instrument: str | None

    def without_suggestion(self) -> Pushed:
        """Record the session; a record that is there already stays as it is."""
        animal = self.connection.animal(self.session.subject)
        mine = History.of(self.connection, animal).of_session(self.session.name)
        if mine:
            return Pushed(outcome="unchanged", record=mine.pk)
        mark = Mark(self.session.name, self._date, None, "recorded", self.session.ticket)
        state = self.session.animal_state
        return Pushed(outcome="recorded", record=self._add(animal, mark, state.trainer_state if state else None).pk)

    def with_suggestion(self, suggestion: CurriculumSuggestion) -> Pushed:
        """Record the session, attach the suggestion, and let it count unless something later put the animal there."""
        animal = self.connection.animal(self.session.subject)
        history = History.of(self.connection, animal)
        mine = history.of_session(self.session.name)
        if mine and mine.mark and mine.mark.suggestion == suggestion.digest:
            if mine.mark.outcome == "applied":
                return Pushed(outcome="unchanged", record=mine.pk)
            if mine.mark.outcome == "superseded":
                return Pushed(outcome="superseded", record=mine.pk)
        latest = history.latest()
        because = self._why_not(history, latest, mine) if latest else None
        applies = because is None
        claimed = self._claimed(mine, animal, suggestion)
        self._attach(claimed, suggestion, is_new=mine is None)
        decided = Mark(
            self.session.name,
            self._since(history, latest, mine) if applies else self._date,
            suggestion.digest,
            "applied" if applies else "superseded",
            self.session.ticket,
        )
        self._commit(claimed.remarked(decided), decided, suggestion.trainer_state)
        return Pushed(outcome="applied" if applies else "superseded", record=claimed.pk, because=because)

    def _current(self, history: History, latest: Record) -> AnimalState:
        """Where SLIMS has the animal; what an earlier record lacks does not hold back what comes after it."""
        try:
            return history.state(latest)
        except (AnimalError, TransientError) as error:
            logger.warning(
                "%s The trainer state of record %d is not compared; its session and date are.",
                error.message,
                latest.pk,
            )
        unread = AnimalState(
            trainer_state=TrainerStateText(text="null"),
            session_name=latest.mark.session if latest.mark else None,
            date=latest.date,
            ticket=latest.ticket,
        )
        for before in (self._said, self.session.animal_state):
            if before and (before.session_name, before.date) == (unread.session_name, unread.date):
                return unread.model_copy(update={"trainer_state": before.trainer_state})
        return unread

    def _why_not(self, history: History, latest: Record, mine: Record | None) -> str | None:
        """Why this session's decision does not become the animal's; None where it does.

        :param latest: the record that says where the animal stands.
        :param mine: the record of this session, where there was one before.
        """
        current = self._current(history, latest)
        ticket = self.session.ticket
        # A state without a ticket is earlier than every ticket, unless it came since this session began.
        began = [r for r in history.records if r == mine or (ticket and r.ticket and r.ticket.is_above(ticket))]
        came_since = self._was_empty or any(record.pk < latest.pk for record in began)
        compared = None if came_since and current.ticket is None else ticket
        if current.yields_to(self.session.name, compared, self._began_with(current)):
            return None
        stage = f"stage {current.trainer_state.stage}" if current.trainer_state.stage else "no known stage"
        if ticket and current.ticket and current.ticket.is_above(ticket):
            return f"session {current.session_name}, which began later, put the animal at {stage}"
        other = f"record {latest.pk}, which another tool or a person made,"
        by = f"session {current.session_name}" if current.session_name else other
        return f"SLIMS does not have the animal where this session began: {by} put it at {stage}"

    def _began_with(self, current: AnimalState) -> AnimalState | None:
        """What SLIMS said of the animal when the session began, or what the session ran with, if SLIMS has that now."""
        ran_with = self.session.animal_state
        return ran_with if current.is_still(ran_with) else self._said

    @property
    def _said(self) -> AnimalState | None:
        """Where SLIMS had the animal when the session began; None where it did not answer or had no state."""
        said = self.session.results.get("load_animal_state", {}).get(_NAME)
        return None if said is None else AnimalState.model_validate(said)

    @property
    def _was_empty(self) -> bool:
        """Whether SLIMS had no state of the animal when the session began."""
        return self._said is None and _NAME in self.session.results.get("load_animal_state", {})

    def _claimed(self, mine: Record | None, animal: int, suggestion: CurriculumSuggestion) -> Record:
        """The session's record, with the suggestion that its plainly named attachments belong to."""
        mark = Mark(self.session.name, self._date, suggestion.digest, "pending", self.session.ticket)
        if mine is None:
            return self._add(animal, mark, suggestion.trainer_state)
        if mine.mark and mine.mark.suggestion is None:
            claimed = mine.remarked(mark)
            self.connection.update(claimed.session, ["notes"])
            return claimed
        return mine

    def _add(self, animal: int, mark: Mark, state: TrainerStateText | None) -> Record:
        experimenters = self.session.session.experimenter
        trainers = self.connection.trainers(experimenters)
        instruments = self.connection.instruments(self.instrument) if self.instrument else []
        if self.instrument and not instruments:
            logger.warning("SLIMS has no instrument %s; the session is recorded without one.", self.instrument)
        for stranger in set(experimenters) - set(trainers):
            logger.warning("SLIMS has no user %s; the session is recorded without this trainer.", stranger)
        added = self.connection.add(
            SlimsBehaviorSession(
                mouse_pk=animal,
                instrument_pk=next(iter(instruments), None),
                trainer_pks=list(trainers.values()),
                notes=mark.put_into(_notes(self.session)),
                software_version=_software(self.session),
                is_curriculum_suggestion=False,
                date=mark.date,
                **self._task(state),
            )
        )
        return Record(added, mark)

    def _attach(self, record: Record, suggestion: CurriculumSuggestion, *, is_new: bool) -> None:
        texts = {METRICS: suggestion.metrics_text, TRAINER_STATE: suggestion.trainer_state.text}
        there = set() if is_new else {found.name for found in self.connection.attachments(record.session)}
        for base, text in texts.items():
            name = attachment_name(base, suggestion.digest, record)
            if name not in there:
                self.connection.attach(record.session, name, text)

    def _commit(self, record: Record, mark: Mark, state: TrainerStateText) -> None:
        fields = {"is_curriculum_suggestion": mark.outcome == "applied", "date": mark.date, **self._task(state)}
        self.connection.update(record.session.model_copy(update=fields), ["notes", *fields])

    @property
    def _date(self) -> datetime:
        return self.session.session.date.astimezone(UTC)

    def _since(self, history: History, latest: Record | None, mine: Record | None) -> datetime:
        """A date that makes this the latest record for tools that look at dates: mostly the session's own.

        It is later where a clock or a schedule was ahead.
        """
        own = [self._date, mine.date] if mine else [self._date]
        others = [r.date for r in history.records if r != mine and (r.is_applied or r == latest)]
        return max([*own, *(date + timedelta(seconds=1) for date in others)])

    def _task(self, state: TrainerStateText | None) -> dict[str, Any]:
        """Task, its schema and the stage: what the animal does next, or did where nobody decided."""
        task = (state.task if state else None) or self.session.task or {}
        return {
            "task": _first_text((task.get("name"), self.session.session.experiment)),
            "task_schema_version": _first_text((task.get("version"),)),
            "task_stage": state.stage if state else None,
        }


def _notes(session: SessionContext) -> str | None:
    acquisition = session.acquisition
    ended = f"The acquisition {acquisition.outcome}." if acquisition and acquisition.outcome != "completed" else None
    return "\n\n".join(text for text in (session.session.notes, ended) if text) or None


def _software(session: SessionContext) -> str | None:
    commit = session.repository.commit
    return f"{commit}{'' if session.repository.clean else ' (modified)'}" if commit else None


def _first_text(values: Iterable[object]) -> str | None:
    return next((value for value in values if isinstance(value, str) and value), None)
