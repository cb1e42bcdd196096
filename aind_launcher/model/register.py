"""An animal's register: its sessions, and what people did between them, in the order of their tickets."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field

from aind_launcher.model.value import Value

if TYPE_CHECKING:
    from aind_launcher.model.animal import TrainerStateText

# Entries of sessions that ended before their acquisition: the animal did nothing.
NOT_RUN = ("cancelled", "refused")

# What no system can show in its local time, as Windows none of before 1970 or after 3000, tells of a damaged file.
_FIRST: Final = datetime(1970, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(2999, 12, 31, tzinfo=UTC)
Moment = Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)]


class Ticket(Value):
    """The number that an animal's store gives a session when it begins. It orders sessions where clocks do not.

    Enrolments, moves by hand and edits from outside have numbers of the same register.

    :param register_id: numbers of different registers are never compared. A library that was restored from a copy
        goes on with another register, since numbers after the copy may be given twice.
    :param number: 1 is the first.
    """

    register_id: str
    number: int = Field(ge=1)

    def is_above(self, other: "Ticket") -> bool:
        """Whether this was given later, by the same register."""
        return self.register_id == other.register_id and self.number > other.number


# The newest entries of a register that are looked at, in which whatever matters now is found.
LOOKED_AT: Final = 20
# The newest sessions that an animal's next one is compared with, and how many there must be.
RECENT_SESSIONS: Final = 5
FEWEST_SESSIONS: Final = 3
# What an entry has until its ticket is given.
NO_TICKET: Final = Ticket(register_id="", number=1)


class EntryDecision(Value, extra="allow"):
    """What a curriculum decided on a session, in short; the animal's history has all of it.

    :param suggestion: the digest of the answer.
    :param outcome: as in `StateRecord`.
    :param curriculum: the name of the curriculum.
    :param stage: None where the animal leaves its curriculum.
    :param rule: the rules that lead from the old stage to the new one: of one, it fired; of several, one of them.
    :param because: as in `StateRecord`.
    """

    suggestion: str
    outcome: Literal["applied", "unchanged", "superseded"]
    curriculum: str | None = None
    stage: str | None = None
    rule: tuple[str, ...] = ()
    because: str | None = None


class RegisterEntry(Value, populate_by_name=True, extra="allow"):
    """One ticket and what it was given for: a session, or that the animal was put elsewhere.

    What a newer launcher has written into it besides stays in it when it is written again.

    :param version: of the entry's form.
    :param ticket: its number.
    :param kind: as in `Decision`; *session* is one.
    :param rig: the rig's name; with the session's name the key of the entry.
    :param installation: tells rigs of one name apart. Older launchers gave none.
    :param began: by the rig's clock, which may be wrong.
    :param session_name: of a session; None for what a person did.
    :param by: the experimenters, or who enrolled or moved the animal.
    :param folder: the session's, on its rig.
    :param curriculum: the name of the curriculum, with which the session ran or on which the animal was put.
    :param stage: the one that the session ran with, or where the animal was put; None off its curriculum.
    :param trainer_state: names that state; the first digits of its digest.
    :param is_counted: whether it is one of the sessions at its stage; not where the operator gave another task.
    :param sessions_at_stage: the animal's sessions at that stage since it came there, this one included.
    :param sessions_unchanged: likewise, since anything in its trainer state changed.
    :param state: how a session stands; *running* is a claim that only its rig can confirm. Of an enrolment or a move:
        *running* until the animal stands there, *cancelled* where the launcher was killed before that.
    :param ended: when the session ended, by the rig's clock; None while it has not.
    :param minutes: how long the acquisition took.
    :param decision: what was decided on the session; None without a decision.
    :param destination: where the data was handed off to.
    """

    version: int = Field(default=1, alias="schema")
    ticket: Ticket
    kind: Literal["session", "enrolled", "moved", "found"]
    rig: str
    installation: str | None = None
    began: Moment
    session_name: str | None = None
    by: str | None = None
    folder: str | None = None
    curriculum: str | None = None
    stage: str | None = None
    trainer_state: str | None = None
    is_counted: bool = True
    sessions_at_stage: int = 0
    sessions_unchanged: int = 0
    state: str | None = None
    ended: Moment | None = None
    minutes: float | None = None
    decision: EntryDecision | None = None
    destination: str | None = None

    @property
    def number(self) -> int:
        """Of its ticket."""
        return self.ticket.number

    @property
    def was_run(self) -> bool:
        """Whether the animal was in a session."""
        return self.kind == "session" and self.state not in NOT_RUN

    def is_of_rig(self, rig: str, installation: str | None) -> bool:
        """Whether it is of this very rig, and not of another of its name."""
        return self.rig == rig and is_same(self.installation, installation)

    @property
    def put_the_animal(self) -> bool:
        """Whether the animal was put somewhere by this."""
        if self.kind == "session":
            return self.decision is not None and self.decision.outcome != "superseded"
        return self.state is None

    def sessions_at(self, state: "TrainerStateText | None") -> tuple[int, int]:
        """The animal's sessions at the stage of `state`, and with all of `state`, up to and with this entry.

        :param state: where the animal stands now.
        """
        where = (state and state.curriculum, state and state.decided_stage)
        made = self.decision
        if made and self.put_the_animal and (made.curriculum, made.stage) != where:
            return 0, 0  # It was elsewhere meanwhile.
        own = 1 if self.kind == "session" and self.is_counted and not self.was_run else 0
        at_stage = unchanged = 0
        if (self.curriculum, self.stage) == where:
            at_stage = self.sessions_at_stage - own
        if self.trainer_state == short_digest(state):
            unchanged = self.sessions_unchanged - own
        return at_stage, unchanged


def is_same(installation: str | None, other: str | None) -> bool:
    """Whether both may be one installation: of one that an older launcher did not name nobody knows."""
    return installation is None or other is None or installation == other


def short_digest(state: "TrainerStateText | None") -> str | None:
    """What names a trainer state in the register."""
    return state.digest[:12] if state else None


class UnfinishedSession(Value):
    """A session that waits for `aind-launch resume` on its rig.

    :param session_name: its name.
    :param subject: the animal.
    :param state: *running* (it was cut off) or *incomplete* (a step failed).
    :param message: what it waits for, or what failed.
    """

    session_name: str
    subject: str
    state: str
    message: str | None = None


# Seconds after which a rig that was not heard of is stale.
STALE: Final = 24 * 3600.0


class RigStatus(Value, populate_by_name=True):
    """What a rig last said of itself: a small file in the library, written when a session starts and ends.

    :param version: of the file's form.
    :param rig: its name.
    :param machine: the computer's.
    :param installation: as in `RegisterEntry`.
    :param written: by the rig's clock.
    :param running: the session that it is at.
    :param unfinished: the sessions that wait for `aind-launch resume` there.
    :param age: seconds since it was written, by the clock of whoever keeps the file; set by whoever reads it.
    :param problem: why it cannot be read; set by whoever reads it, with the name and the age of the file.
    """

    version: int = Field(default=1, alias="schema")
    rig: str
    machine: str
    installation: str | None = None
    written: Moment
    running: str | None = None
    unfinished: tuple[UnfinishedSession, ...] = ()
    age: float | None = Field(default=None, exclude=True)
    problem: str | None = Field(default=None, exclude=True)

    @property
    def is_stale(self) -> bool:
        """Whether it was not heard of for a day."""
        return self.age is not None and self.age >= STALE

    @property
    def is_at(self) -> str | None:
        """The session that it is at, as far as that is believed: a rig that was switched off claims it for ever."""
        return None if self.is_stale else self.running

    def confirms(self, entry: RegisterEntry) -> bool:
        """Whether the rig is at a session that its entry calls *running*."""
        return entry.state == "running" and entry.rig == self.rig and entry.session_name == self.is_at

    def clash(self, installation: str | None) -> str | None:
        """What to say to the rig with this name and `installation` where another one reported this; else None."""
        if is_same(self.installation, installation):
            return None
        last = f"last at {self.written.astimezone():%Y-%m-%d %H:%M}"
        return f"Another launcher reports as rig {self.rig}, too: {self.installation}, {last}."

    def aged(self, seconds: float) -> Self:
        """This status, read so many seconds after it was written."""
        return self.model_copy(update={"age": seconds})
