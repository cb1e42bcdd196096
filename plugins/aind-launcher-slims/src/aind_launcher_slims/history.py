"""An animal's behaviour sessions in SLIMS, and which of them says where the animal stands."""

import html
import json
import logging
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, unquote

from aind_slims_api.models import SlimsAttachment, SlimsBehaviorSession
from pydantic import JsonValue

from aind_launcher import AnimalError, AnimalState, Ticket, TrainerStateText
from aind_launcher_slims.connection import Connection

# As the laboratories' other tools name it, which look for exactly this.
TRAINER_STATE = "TrainerState"
METRICS = "Metrics"
# Other tools' sessions without a trainer state that are passed over; each costs a request.
_SESSIONS_LOOKED_AT = 30

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
# Between its words may be what a server or an editor puts for a blank: line ends, hard blanks, tags.
# The ticket stands last, where launchers that do not know it leave it as it is.
_LINE = re.compile(
    r"aind-launcher: session=(?P<session>[^\s<>&]+) date=(?P<date>[^\s<>&]+) suggestion=(?P<suggestion>[^\s<>&]+) "
    r"outcome=(?P<outcome>recorded|pending|applied|superseded)\b"
    r"(?: ticket=(?P<register>[A-Za-z0-9_.~%-]*)/(?P<number>[1-9][0-9]*)\b)?".replace(" ", r"(?:\s|<[^<>]*>)+")
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mark:
    """The line in a record's notes that makes it this launcher's: SLIMS has no field for a foreign key.

    It is read also where the notes were made one line, or HTML.

    :param session: the launcher's name of the session; there is one record for each.
    :param date: since when the animal stands there; SLIMS's own date may be rounded.
    :param suggestion: the digest of the suggestion that the attachments hold.
    :param outcome: *recorded*: without a suggestion; *pending*: attachments may be missing; *applied* and
        *superseded* are written last, when nothing is missing.
    :param ticket: the session's; the marks of older launchers have none.
    """

    session: str
    date: datetime
    suggestion: str | None
    outcome: Literal["recorded", "pending", "applied", "superseded"]
    ticket: Ticket | None = None

    @classmethod
    def in_notes(cls, notes: str | None) -> "Mark | None":
        found = _find(notes or "")
        if found is None:
            return None
        try:
            date = datetime.fromisoformat(found["date"]).astimezone(UTC)
        except ValueError:
            return None
        digest = None if found["suggestion"] == "none" else found["suggestion"]
        number = found["number"]
        ticket = Ticket(register_id=unquote(found["register"]), number=int(number)) if number else None
        return cls(found["session"], date, digest, found["outcome"], ticket)  # type: ignore[arg-type]

    def put_into(self, notes: str | None) -> str:
        """`notes` with this mark in the place of the one before, or at their end; the rest is people's."""
        line = (
            f"aind-launcher: session={self.session} date={self.date.astimezone(UTC).isoformat()} "
            f"suggestion={self.suggestion or 'none'} outcome={self.outcome}"
        )
        if self.ticket:
            line += f" ticket={quote(self.ticket.register_id, safe='')}/{self.ticket.number}"
        if notes and (before := _find(notes)):
            return before.string[: before.start()] + line + before.string[before.end() :]
        return f"{notes.rstrip()}\n\n{line}" if notes and notes.strip() else line


def _find(notes: str) -> re.Match[str] | None:
    """Where the mark is, in the notes or in what they say once their HTML entities are replaced."""
    first = None
    while True:
        found = _LINE.search(notes)
        # Only the signs of the ticket may have been replaced.
        if found and found["number"]:
            return found
        first = first or found
        if (plain := html.unescape(notes)) == notes:
            return first
        notes = plain


@dataclass(frozen=True)
class Record:
    """One behaviour session in SLIMS; `mark` is None where another tool or a person made it."""

    session: SlimsBehaviorSession
    mark: Mark | None

    @classmethod
    def of(cls, session: SlimsBehaviorSession) -> "Record":
        return cls(session, Mark.in_notes(session.notes))

    @property
    def pk(self) -> int:
        return int(self.session.pk)

    @property
    def date(self) -> datetime:
        """Since when the animal stands there, as other tools see it; UTC."""
        if self.mark:
            return self.mark.date
        date: datetime = self.session.date or self.session.created_on or _LONG_AGO
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)

    @property
    def ticket(self) -> Ticket | None:
        """Of the session, where its launcher had one."""
        return self.mark.ticket if self.mark else None

    @property
    def is_applied(self) -> bool:
        """Whether this launcher put the animal where this says."""
        return self.mark is not None and self.mark.outcome == "applied"

    def remarked(self, mark: Mark) -> "Record":
        """This record as it will be with another mark."""
        return replace(
            self, mark=mark, session=self.session.model_copy(update={"notes": mark.put_into(self.session.notes)})
        )


@dataclass(frozen=True)
class History:
    """All records of one animal."""

    connection: Connection
    records: tuple[Record, ...]

    @classmethod
    def of(cls, connection: Connection, animal: int) -> "History":
        return cls(connection, tuple(Record.of(session) for session in connection.sessions(animal)))

    def of_session(self, name: str) -> Record | None:
        """The record of one session of the launcher.

        :raises AnimalError: its line in the notes was changed, so that nobody knows what it has; another is not made.
        """
        found = sorted((r for r in self.records if r.mark and r.mark.session == name), key=lambda record: record.pk)
        of_it = re.compile(rf"aind-launcher:.*session={re.escape(name)}(?![^\s<>&])", re.DOTALL)
        changed = [r for r in self.records if r.mark is None and of_it.search(html.unescape(r.session.notes or ""))]
        if changed and not found:
            raise AnimalError(
                f"SLIMS has record {changed[0].pk} for session {name}, but the line of it that begins with "
                "'aind-launcher:' was changed and cannot be read.",
                f"Correct the line in SLIMS, or remove the record there, then `aind-launch resume {name}`.",
            )
        if len(found) > 1:
            spare = ", ".join(str(record.pk) for record in found[1:])
            logger.warning("SLIMS has session %s more than once; records %s can be removed there.", name, spare)
        return found[0] if found else None

    def latest(self) -> Record | None:
        """The record that says where the animal stands.

        Of the decisions that were applied it is the one with the highest ticket. What has no ticket is later if it was
        written into SLIMS after that record: a trainer state of another tool or a person, or the decision of an older
        launcher. Of these it is the one with the latest date.
        """
        highest = self._highest()
        passed_over = 0
        for record in sorted(self.records, key=lambda r: (r.date, r.session.created_on or _LONG_AGO, r.pk))[::-1]:
            # SLIMS numbers its records as they are written, whatever the clocks say.
            if record.ticket or (highest and record.pk < highest.pk):
                continue
            if record.mark:
                if record.is_applied:
                    return record
                continue
            if _found(self.connection.attachments(record.session), TRAINER_STATE, None):
                return record
            passed_over += 1
            if passed_over == _SESSIONS_LOOKED_AT:
                logger.warning(
                    "SLIMS has no trainer state with the last %d sessions of this animal.", _SESSIONS_LOOKED_AT
                )
                break
        return highest

    def _highest(self) -> Record | None:
        """The applied record with the highest ticket, of the register that was used last."""
        ticketed = [(r, r.ticket) for r in self.records if r.is_applied and r.ticket]
        if not ticketed:
            return None
        # A decision of another register is dated after what it took the place of.
        _, newest = max(ticketed, key=lambda found: found[0].date)
        same = [(r, ticket.number) for r, ticket in ticketed if ticket.register_id == newest.register_id]
        return max(same, key=lambda found: (found[1], found[0].date))[0]

    def state(self, record: Record) -> AnimalState:
        """Where the animal stands according to a record.

        :raises AnimalError: its trainer state is gone or cannot be read.
        """
        where = f"record {record.pk} of SLIMS"
        digest = record.mark.suggestion if record.mark else None
        attachments = self.connection.attachments(record.session)
        trainer_state = _found(attachments, TRAINER_STATE, digest)
        if trainer_state is None:
            raise AnimalError(f"The trainer state of {where} is gone.", "Attach it again, or remove the record.")
        text = self.connection.content(trainer_state)
        metrics = _found(attachments, METRICS, digest)
        return AnimalState(
            trainer_state=TrainerStateText.read(text, where),
            metrics=_json(self.connection.content(metrics), where) if metrics else None,
            session_name=record.mark.session if record.mark else None,
            date=record.date,
            ticket=record.ticket,
        )


def attachment_name(base: str, digest: str, record: Record) -> str:
    """The name for what belongs to a suggestion: plain for the first of a session, as other tools expect it."""
    is_first = record.mark is not None and record.mark.suggestion == digest
    return base if is_first else f"{base}-{digest}"


def _found(attachments: list[SlimsAttachment], base: str, digest: str | None) -> SlimsAttachment | None:
    """The newest attachment of that name; that of the suggestion `digest` before the plain one."""
    for name in (f"{base}-{digest}", base) if digest else (base,):
        for attachment in attachments:
            if _plain(attachment.name) == _plain(name):
                return attachment
    return None


def _plain(name: str) -> str:
    """TrainerState, trainer_state.json and Trainer State are the same to people, and so to this plugin."""
    return re.sub(r"[\s_-]", "", name.lower().removesuffix(".json"))


def _json(text: str, where: str) -> JsonValue:
    try:
        metrics: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnimalError(f"The metrics of {where} are not JSON: {error}.") from None
    return metrics
