"""Where an animal stands: its trainer state, as text, and what it came from."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import AwareDatetime, JsonValue

from aind_launcher.errors import AnimalError, UsageError
from aind_launcher.model.json_text import JsonText, require_utf8
from aind_launcher.model.names import brief
from aind_launcher.model.register import Ticket
from aind_launcher.model.validation import first_wrong
from aind_launcher.model.value import Value

if TYPE_CHECKING:
    from aind_behavior_curriculum import TrainerState


class TrainerStateText(JsonText):
    """A trainer state as its curriculum wrote it, read tolerantly.

    The DSL's models forbid unknown fields and a curriculum's DSL may be newer than the launcher's. So the
    properties read only what every consumer needs, and are None where the text lacks them.
    """

    @classmethod
    def read(cls, content: str | bytes, where: str) -> Self:
        """The trainer state in `content`; bytes are UTF-8, and their line ends stay.

        :param where: what `content` was read from, for the error.
        :raises AnimalError: it is not a JSON object with a curriculum and a stage, which have names or are null.
        """
        try:
            state = cls(text=content if isinstance(content, str) else content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise AnimalError(f"The trainer state in {where} is not JSON: {error}.") from None
        try:
            fields = state.document.keys()
            require_utf8(state.document)
        except ValueError as error:
            raise AnimalError(f"The trainer state in {where} {error}.") from None
        if not {"curriculum", "stage"} <= fields:
            raise AnimalError(f"{where} is not a trainer state: it needs the fields 'curriculum' and 'stage'.")
        # Read as they stand, these would take an animal off its curriculum.
        for name in ("curriculum", "stage"):
            if state.document[name] is not None and _text(_object(state.document[name]).get("name")) is None:
                raise AnimalError(f"{where} is not a trainer state: its '{name}' is neither null nor has a name.")
        if not isinstance(state.document.get("is_on_curriculum", True), bool):
            raise AnimalError(f"{where} is not a trainer state: its 'is_on_curriculum' is neither true nor false.")
        return state

    @classmethod
    def read_file(cls, path: Path) -> Self:
        """The trainer state in the file `path`.

        :raises UsageError: the file cannot be read.
        :raises AnimalError: as for `read`.
        """
        try:
            return cls.read(path.read_bytes(), str(path))
        except OSError as error:
            raise UsageError(
                f"The trainer state {path} cannot be read: {error.strerror or error}.", "Give the path of its file."
            ) from None
        except AnimalError as error:
            raise AnimalError(error.message, "Give a file that a curriculum wrote.") from None

    @cached_property
    def digest(self) -> str:
        """Names the content: the same for an indented and a compact text of the same state."""
        canonical = json.dumps(self.document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def curriculum(self) -> str | None:
        """The curriculum's name, as in ``TemplateCurriculum``."""
        return _text(self._curriculum.get("name"))

    @property
    def curriculum_version(self) -> str | None:
        """The version of the curriculum that wrote this state."""
        return _text(self._curriculum.get("version"))

    @property
    def package(self) -> str | None:
        """The module that defines the curriculum, as in ``my_curricula.template``."""
        return _text(self._curriculum.get("pkg_location"))

    @property
    def stage(self) -> str | None:
        """The name of the stage; None for an animal that has left its curriculum."""
        return _text(self._stage.get("name"))

    @property
    def is_on_curriculum(self) -> bool:
        """Whether a curriculum decides what this animal does next."""
        decides = self.document.get("is_on_curriculum", True) is True
        return decides and self.curriculum is not None and self.stage is not None

    @property
    def decided_stage(self) -> str | None:
        """The stage of an animal that is on its curriculum; one that has left may still have a stage, as its task."""
        return self.stage if self.is_on_curriculum else None

    @property
    def stage_in_words(self) -> str:
        """The stage, for people; no curriculum decides over every animal that has one."""
        if self.is_on_curriculum:
            return brief(self.stage)
        return f"{brief(self.stage)} (off curriculum)" if self.stage else "off curriculum"

    @property
    def curriculum_in_words(self) -> str:
        """The curriculum and its version, for people."""
        return " ".join(filter(None, map(brief, (self.curriculum, self.curriculum_version))))

    @property
    def curriculum_stages(self) -> tuple[str, ...]:
        """The names of all stages of the curriculum, as far as the state has them."""
        return tuple(_stages(self))

    @property
    def task(self) -> dict[str, Any] | None:
        """The stage's task, which is what the animal does in its next session."""
        return _object(self._stage.get("task")) or None

    def typed(self) -> "TrainerState[Any]":
        """The DSL's own model of this state. Imports the DSL (half a second).

        :raises AnimalError: the launcher's DSL cannot read it, most often since the curriculum's is newer.
        """
        import aind_behavior_curriculum as dsl
        from pydantic import ValidationError

        try:
            # Only JSON mode turns the graph's keys back into integers.
            return dsl.TrainerState[dsl.Curriculum[Any]].model_validate_json(self.text)
        except ValidationError as error:
            raise AnimalError(
                f"The trainer state of curriculum {self.curriculum} {self.curriculum_version} cannot be read by "
                f"aind-behavior-curriculum {dsl.__version__} ({first_wrong(error)}).",
                "Its text is intact; a newer launcher environment will read it.",
            ) from None

    @property
    def _curriculum(self) -> dict[str, Any]:
        return _object(self.document.get("curriculum"))

    @property
    def _stage(self) -> dict[str, Any]:
        return _object(self.document.get("stage"))


class AnimalState(Value):
    """What a store knows of an animal: its trainer state, the last metrics, and where both came from.

    :param trainer_state: where it stands.
    :param metrics: of the last suggestion; None where there was none.
    :param session_name: the session whose suggestion this is; None after an enrolment or a manual move.
    :param date: when that session began (or the animal was enrolled or moved), by the clock of its rig.
    :param ticket: of that session, enrolment or move; None where older launchers or other tools wrote it.
    """

    trainer_state: TrainerStateText
    metrics: JsonValue = None
    session_name: str | None = None
    date: AwareDatetime
    ticket: Ticket | None = None

    def is_still(self, before: "AnimalState | None") -> bool:
        """Whether the animal was not put anywhere since a store said `before`; the ticket may have come later."""
        return before is not None and (
            (self.trainer_state.digest, self.session_name, self.date)
            == (before.trainer_state.digest, before.session_name, before.date)
        )

    def yields_to(self, session_name: str, ticket: Ticket | None, began_with: "AnimalState | None") -> bool:
        """Whether a suggestion of that session may replace this state: compare, before a store sets.

        It may not where a later session or a later manual change put the animal here: Monday's suggestion, resumed
        after Tuesday's, must not put the animal back. Tickets tell what is later, and never dates. Without tickets to
        compare, the animal must stand exactly where the session began.

        :param session_name: the session whose suggestion it is.
        :param ticket: the session's; None where its register has no such entry.
        :param began_with: what this store said of the animal when the session began; None where it was not asked.
        """
        if self.is_still(began_with) or (self.session_name is not None and self.session_name == session_name):
            return True
        if ticket and self.ticket:
            return ticket.is_above(self.ticket)
        # What has no ticket counts as earlier than all that have one, unless it came while the session ran.
        return ticket is not None and self.ticket is None and began_with is None


class StateRecord(Value, extra="allow"):
    """What became of a decision in a store of animals' states; a store may add fields of its own.

    :param outcome: *applied*: the animal stands there now; *unchanged*: it did so before; *superseded*: the decision
        came too late and only stands in the animal's history.
    :param because: why it was superseded, or what an applied one has replaced that its session did not run with.
    """

    outcome: Literal["applied", "unchanged", "superseded"]
    because: str | None = None


def at_stage(trainer_state: TrainerStateText, stage: str) -> TrainerStateText:
    """The trainer state of an animal that begins another stage of its curriculum, as a curriculum would move it.

    The stage gets its first task parameters and its start policies.

    :raises AnimalError: the curriculum has no such stage.
    """
    stages = _stages(trainer_state)
    if stage not in stages:
        raise AnimalError(
            f"Curriculum {trainer_state.curriculum} {trainer_state.curriculum_version} has no stage {stage!r}.",
            f"Its stages: {', '.join(stages)}."
            if stages
            else "Its state lists none; ask its curriculum for one, with --curriculum NAME --stage STAGE.",
        )
    moved = {
        **trainer_state.document,
        "stage": stages[stage],
        "is_on_curriculum": True,
        "active_policies": stages[stage].get("start_policies") or [],
    }
    return TrainerStateText(text=json.dumps(moved))


def fired_rules(before: TrainerStateText | None, after: TrainerStateText) -> tuple[str, ...]:
    """The rules that may have moved the animal: the edges from its old stage to the new in the curriculum's graph.

    One rule: it fired. Several: one of them did. None: the animal stays, or no rule leads there.
    """
    if before is None or before.curriculum != after.curriculum or before.stage == after.stage:
        return ()
    graph = _object(_object(after.document.get("curriculum")).get("graph"))
    names = {key: _text(_object(stage).get("name")) for key, stage in _object(graph.get("nodes")).items()}
    return tuple(
        rule
        for key, edges in _object(graph.get("graph")).items()
        if names.get(key) == before.stage
        for rule, target in _edges(edges)
        if names.get(str(target)) == after.stage
    )


def named_rules(rules: Sequence[str], *, full: bool = False) -> str:
    """The rules that may have moved an animal: by their functions' names, or with their modules."""
    names = [rule if full else rule.rpartition(".")[2] for rule in rules]
    return f"one of {', '.join(names)}" if len(names) > 1 else "".join(names)


def move_text(before: str | None, after: str | None, rules: Sequence[str] = ()) -> str:
    """A decision in a line: at which stage the animal stays, or from which stage to which and by which rule.

    :param after: None where the animal leaves its curriculum.
    :param rules: those that may have fired; their modules are left out.
    """
    if after is not None and before == after:
        return f"stays at {brief(after)}"
    rule = f" by {named_rules(rules)}" if rules else ""
    return f"{brief(before) or 'no stage'} -> {brief(after) or 'off curriculum'}{rule}"


def _edges(edges: object) -> list[tuple[str, object]]:
    pairs = edges if isinstance(edges, list) else []
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2 and _text(pair[0])]


def _stages(trainer_state: TrainerStateText) -> dict[str, dict[str, Any]]:
    """The stages of the whole curriculum, which every trainer state carries, by name."""
    curriculum = _object(trainer_state.document.get("curriculum"))
    nodes = _object(_object(curriculum.get("graph")).get("nodes")).values()
    return {name: stage for stage in nodes if (name := _text(_object(stage).get("name")))}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
