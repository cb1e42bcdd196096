"""What last put an animal where it stands, as it is said to people."""

from typing import Self

from pydantic import AwareDatetime, BaseModel

from aind_launcher.model.animal import move_text
from aind_launcher.model.names import brief
from aind_launcher.model.register import RegisterEntry


class LastDecision(BaseModel, frozen=True):
    """What put the animal where it stands.

    :param kind: as in `RegisterEntry`, or *stored* where no register says what it was.
    :param by: who enrolled or moved the animal.
    :param before: the stage that the animal left, or kept.
    :param stage: where it was put; None off its curriculum.
    :param rule: the rules that may have fired; see `fired_rules`.
    """

    kind: str
    date: AwareDatetime
    session_name: str | None = None
    by: str | None = None
    before: str | None = None
    stage: str | None = None
    rule: tuple[str, ...] = ()

    @classmethod
    def of(cls, entry: RegisterEntry) -> Self:
        """What an entry of the register says that put the animal somewhere."""
        made, by_hand = entry.decision, entry.kind in ("enrolled", "moved")
        return cls(
            kind=entry.kind,
            date=entry.began,
            session_name=entry.session_name,
            by=entry.by if by_hand else None,
            before=entry.stage if made else None,
            stage=made.stage if made else entry.stage,
            rule=made.rule if made else (),
        )

    def told(self, *, rule: bool = False) -> str:
        """In one line, without its time.

        :param rule: with the rule that led to it.
        """
        if self.kind == "session":
            return move_text(self.before, self.stage, self.rule if rule else ())
        if self.kind in ("enrolled", "moved"):
            where = f"{'to' if self.kind == 'moved' else 'at'} {brief(self.stage)}" if self.stage else "off curriculum"
            return f"{self.kind} {where} by {self.by or 'hand'}"
        return f"{brief(self.stage) or 'off curriculum'}, by " + (
            f"session {self.session_name}" if self.session_name else "another tool"
        )


def entry_text(entry: RegisterEntry) -> str:
    """What was decided with this entry of a register, and by which rule or by whom."""
    if entry.decision and entry.decision.outcome == "superseded":
        return "superseded"
    return LastDecision.of(entry).told(rule=True)
