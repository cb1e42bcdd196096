"""A session as a value: what `aind-behavior-services` calls a Session, its folder, and the context hooks get."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aind_launcher.model.animal import AnimalState
from aind_launcher.model.clock import now
from aind_launcher.model.names import checked_name
from aind_launcher.model.register import RegisterEntry, Ticket
from aind_launcher.model.value import Value

# The schema of aind-behavior-services that this file writes. Its own reader coerces other versions.
SESSION_SCHEMA = "0.13.9"


def _in_a_zone(value: Any) -> Any:
    """A date without a zone is local time, as aind-behavior-services has it."""
    date = datetime.fromisoformat(value) if isinstance(value, str) else value
    return date.astimezone() if isinstance(date, datetime) and date.tzinfo is None else date


class Session(Value, extra="allow"):
    """Interchangeable with ``aind_behavior_services.session.Session``: each reads the other's JSON.

    Fields that a newer schema adds stay.

    :param aind_behavior_services_pkg_version: the version of `aind-behavior-services` whose form this has.
    :param version: of the schema.
    :param experiment: its name, from the settings.
    :param experimenter: who ran it, one or several.
    :param date: when it began; a date without a zone is local time.
    :param subject: the animal.
    :param session_name: ``<subject>_<YYYY-MM-DDTHHMMSSZ>``; made from subject and date where it is left out.
    :param notes: the operator's.
    :param commit_hash: the commit of the task repository.
    :param allow_dirty_repo: whether the operator allowed changes that are not committed.
    :param skip_hardware_validation: whether the task is not to check its hardware.
    """

    aind_behavior_services_pkg_version: str = SESSION_SCHEMA
    version: str = SESSION_SCHEMA
    experiment: str | None = None
    experimenter: list[str] = Field([])
    date: Annotated[AwareDatetime, BeforeValidator(_in_a_zone)] = Field(default_factory=now)
    subject: str
    session_name: str = Field("", validate_default=True)
    notes: str | None = None
    commit_hash: str | None = None
    allow_dirty_repo: bool = False
    skip_hardware_validation: bool = False

    @field_validator("session_name", mode="before")
    @classmethod
    def _named(cls, name: Any, info: ValidationInfo) -> Any:
        if name or not {"date", "subject"} <= info.data.keys():
            return name
        return session_name(info.data["subject"], info.data["date"])

    @model_validator(mode="after")
    def _safe(self) -> Self:
        checked_name("subject", self.subject)
        checked_name("session name", self.session_name)
        return self


def session_name(subject: str, date: datetime) -> str:
    """``<subject>_<YYYY-MM-DDTHHMMSSZ>``, or with the zone's offset for Z, as aind-behavior-services makes it."""
    zone = "Z" if not date.utcoffset() else f"{date:%z}"
    return f"{subject}_{date:%Y-%m-%dT%H%M%S}{zone}"


class SessionPaths:
    """The files of a session's folder that the launcher, curricula and plugins agree on; all are `pathlib.Path`.

    :param folder: the session's folder.
    :param behavior: where the task writes.
    :param trainer_state: the state that the session ran with; written before the acquisition.
    :param previous_metrics: the metrics of the animal's last suggestion; written before the acquisition.
    :param metrics: those of this session's suggestion.
    :param logs: what the task and the launcher say of the session.
    :param suggestion: the curriculum's answer, as it wrote it.
    :param session_input: the session that the task was started with.
    :param rig_input: the rig, likewise.
    :param task_input: the task, likewise.
    :param launcher: the launcher's own: output of acquisition and curriculum, provenance, the sealed log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behavior = folder / "behavior"
        self.trainer_state = self.behavior / "trainer_state.json"
        self.previous_metrics = self.behavior / "previous_metrics.json"
        self.metrics = self.behavior / "metrics.json"
        self.logs = self.behavior / "Logs"
        self.suggestion = self.logs / "suggestion.json"
        self.session_input = self.logs / "session_input.json"
        self.rig_input = self.logs / "rig_input.json"
        self.task_input = self.logs / "tasklogic_input.json"
        self.launcher = self.logs / "launcher"


class Repository(Value):
    """The task repository at the time of the session.

    :param path: its folder.
    :param url: where it is fetched from; None without a remote.
    :param commit: its HEAD; None where it has no commit.
    :param clean: False where something in it is not committed.
    :param adopted_by: the one that has the session since it was imported there, where its own was gone.
    """

    path: Path
    url: str | None = None
    commit: str | None = None
    clean: bool = True
    adopted_by: "Repository | None" = None


class Inputs(Value):
    """What the acquisition is started with. `prepare_session` may answer with changed ones.

    :param rig: the rig file as JSON data; None where the settings name none.
    :param task: the task as JSON data; None where nothing says what the animal does.
    :param task_from: where a task comes from that there was none of before: a store's record of the *animal*, or
        the *plugin* itself.
    """

    rig: dict[str, Any] | None = None
    task: dict[str, Any] | None = None
    task_from: Literal["animal", "plugin"] = "plugin"


class Acquisition(Value):
    """How the acquisition went.

    :param outcome: *completed*, *failed* (its data stays all the same), or *interrupted* by the operator.
    :param start: when it began.
    :param end: when it ended.
    :param exit_code: the program's own, where there was a program.
    :param message: what went wrong, for the operator.
    """

    outcome: Literal["completed", "failed", "interrupted"]
    start: AwareDatetime
    end: AwareDatetime
    exit_code: int | None = None
    message: str | None = None


class Check(Value):
    """One line of `pre_session` or `doctor`: what was looked at, how it stands, and a hint.

    :param name: what was looked at, in a word.
    :param outcome: only *failed* refuses the session.
    :param message: what was found, as a sentence.
    :param hint: what the operator does about it.
    """

    name: str
    outcome: Literal["passed", "warning", "failed"]
    message: str = ""
    hint: str | None = None

    @classmethod
    def passed(cls, name: str, message: str = "") -> Self:
        """A check that found nothing wrong."""
        return cls(name=name, outcome="passed", message=message)

    @classmethod
    def warning(cls, name: str, message: str, hint: str | None = None) -> Self:
        """A check that the operator should see, and that refuses nothing."""
        return cls(name=name, outcome="warning", message=message, hint=hint)

    @classmethod
    def failed(cls, name: str, message: str, hint: str | None = None) -> Self:
        """A check that refuses the session."""
        return cls(name=name, outcome="failed", message=message, hint=hint)


class SessionContext(Value):
    """All that a hook may know of its session. A value: each step gets a new one, and changes nothing.

    :param session: who, when and what for.
    :param folder: the session's folder, ``<data directory>/<session name>``.
    :param staging: a folder outside it, on this machine, where the acquisition's inputs are staged.
    :param repository: the task repository.
    :param rig: the rig as JSON data, as the acquisition gets it; None where there is no rig file.
    :param task: the task as JSON data, likewise.
    :param task_source: where `task` came from: the trainer state's stage, ``--task``, the animal's own
        ``task.json``, or a plugin.
    :param rig_name: what the rig is called in the animal's register.
    :param installation: tells it from another rig of that name.
    :param animal_state: the newest state of the animal when the session began.
    :param animal_entries: the newest entries of the animal's register when the session began, oldest first.
    :param ticket: orders the session among the animal's others; None where no store gave one.
    :param acquisition: how it went; None before its end.
    :param disposition: what becomes of the data: *score* asks the curriculum; *keep* only hands it off, as after
        an acquisition that failed; *discard* leaves it where it lies.
    :param hand_off: how many hand-offs were asked for again; part of a hand-off's identity.
    :param handed_off: from here on nothing may be written into `folder`; raise `HandedOff` where a step must.
    :param results: what earlier steps returned, by hook and plugin.
    """

    session: Session
    folder: Path
    staging: Path
    repository: Repository
    rig: dict[str, Any] | None = None
    task: dict[str, Any] | None = None
    task_source: Literal["trainer state", "file", "animal", "plugin"] | None = None
    rig_name: str = ""
    installation: str | None = None
    animal_state: AnimalState | None = None
    animal_entries: tuple[RegisterEntry, ...] = ()
    ticket: Ticket | None = None
    acquisition: Acquisition | None = None
    disposition: Literal["score", "keep", "discard"] = "score"
    hand_off: int = 0
    handed_off: bool = False
    results: dict[str, dict[str, JsonValue]] = Field({})

    @property
    def name(self) -> str:
        """The name of the session and of its folder."""
        return self.session.session_name

    @property
    def subject(self) -> str:
        """The animal."""
        return self.session.subject

    @property
    def paths(self) -> SessionPaths:
        """The files of the session's folder that all agree on."""
        return SessionPaths(self.folder)

    @property
    def log(self) -> Path:
        """The live log; a sealed copy goes into the folder before the hand-off."""
        return self.staging / "log.jsonl"

    @property
    def staged_session(self) -> Path:
        """The session as JSON, for the acquisition."""
        return self.staging / "session_input.json"

    @property
    def staged_rig(self) -> Path:
        """The rig as JSON, for the acquisition; missing where the session has none."""
        return self.staging / "rig_input.json"

    @property
    def staged_task(self) -> Path:
        """The task as JSON, for the acquisition; missing where the session has none."""
        return self.staging / "tasklogic_input.json"

    @property
    def staged_output(self) -> Path:
        """What lies here, the launcher brings into ``behavior/Logs/launcher/`` while the folder may be written into."""
        return self.staging / "output"

    @property
    def output_folder(self) -> Path:
        """Where the output of a step after the acquisition goes: into the folder, or beside it once handed off."""
        return self.staged_output if self.handed_off else self.paths.launcher

    @property
    def is_on_curriculum(self) -> bool:
        """Whether a curriculum decides over this session.

        Not where the operator gave another task with ``--task``: the trainer state then does not
        describe what the animal did.
        """
        state = self.animal_state
        return state is not None and state.trainer_state.is_on_curriculum and self.task_source != "file"
