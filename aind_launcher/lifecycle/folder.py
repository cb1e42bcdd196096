"""What the launcher itself writes for a session: staged inputs before, what was decided and the sealed log after."""

import filecmp
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue

from aind_launcher.errors import HandedOff, LauncherError
from aind_launcher.journal.records import StepRecord
from aind_launcher.lifecycle import record
from aind_launcher.lifecycle.log import seal_log
from aind_launcher.model.animal import fired_rules, move_text
from aind_launcher.model.json_text import without_constants
from aind_launcher.model.session import SessionContext, SessionPaths
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.system.files import copy_whole, exists, unfinished_files, write_whole

logger = logging.getLogger(__name__)

_MARK = ".aind-launcher"
_MARKS = "aind-launcher writes sessions here. Where this file is missing and nothing else is there, the disk is gone.\n"


def is_marked(data_directory: Path) -> bool:
    """Whether a session was written into `data_directory`; known also when the transfer service has taken them all."""
    return exists(data_directory / _MARK)


def stage_inputs(session: SessionContext) -> None:
    """Write the acquisition's inputs beside the folder, and into it only what the curriculum will read.

    Workflows write the inputs into the folder themselves and fail where the files exist.
    """
    record.stage(session)
    if not is_marked(session.folder.parent):
        try:
            write_whole(session.folder.parent / _MARK, _MARKS)
        except OSError as error:
            # What can be written of the session is tried next.
            logger.warning("The data directory could not be marked: %s", error)
    record.write_record(session.paths.behavior / record.BEGUN, session)
    state = session.animal_state
    if state is not None and session.task_source != "file":
        write_whole(session.paths.trainer_state, state.trainer_state.text)
        if state.metrics is not None:
            metrics = without_constants(json.dumps(state.metrics, indent=2, ensure_ascii=False))
            write_whole(session.paths.previous_metrics, metrics)


def has_data(session: SessionContext) -> bool:
    """Whether the folder has anything that `stage_inputs` did not put there."""
    staged = {session.paths.trainer_state, session.paths.previous_metrics}
    return any(path.is_file() and path not in staged for path in session.folder.rglob("[!.]*"))


def collect_inputs(session: SessionContext) -> list[str]:
    """Add those inputs that the acquisition did not write into the folder itself.

    :return: the files added, relative to the folder.
    :raises LauncherError: the folder is gone.
    :raises HandedOff: some are missing, and the folder may no longer be written into.
    """
    _require_folder(session)
    added = []
    for staged, kept in (
        (session.staged_session, session.paths.session_input),
        (session.staged_rig, session.paths.rig_input),
        (session.staged_task, session.paths.task_input),
    ):
        if staged.is_file() and not kept.exists():
            if session.handed_off:
                raise HandedOff(f"{kept.name} is missing in {session.folder}, whose hand-off has begun.", session.name)
            write_whole(kept, staged.read_bytes())
            added.append(kept)
    if not session.handed_off:
        added += _bring_output(session)
    return _named(session, added)


def keep_suggestion(session: SessionContext, suggestion: CurriculumSuggestion) -> dict[str, JsonValue]:
    """Write the answer and its metrics into the folder, or beside it where it was handed off already.

    :return: the decision in a line, for lists of sessions, and the files written.
    :raises HandedOff: it came in time, but some of it could not be written before the folder was handed off.
    """
    if session.handed_off and _was_sealed_with(session, suggestion):
        missing = [path.name for path in (session.paths.suggestion, session.paths.metrics) if not path.is_file()]
        if missing:
            what = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing in {session.folder}"
            raise HandedOff(f"{what}, whose hand-off has begun.", session.name)
        return {"decision": _in_a_line(session, suggestion)}
    if session.handed_off:
        paths = SessionPaths(session.staging)
        logger.warning(
            "The hand-off had begun before this suggestion came; it is kept in %s. "
            "`aind-launch resume %s --hand-off-again` adds it and hands off again.",
            paths.suggestion,
            session.name,
        )
    else:
        _require_folder(session)
        paths = session.paths
    metrics = without_constants(suggestion.metrics_text)
    if metrics != suggestion.metrics_text:
        logger.warning(
            "The metrics have numbers that JSON lacks (NaN or infinite); metrics.json, and the next session's "
            "previous_metrics.json, have null in their place."
        )
    texts = {paths.suggestion: suggestion.text, paths.metrics: metrics}
    if suggestion.provenance:
        texts[session.output_folder / "provenance.json"] = suggestion.provenance.model_dump_json(indent=2)
    for path, text in texts.items():
        write_whole(path, text)
    brought = [] if session.handed_off else _bring_output(session)
    kept: dict[str, JsonValue] = dict(
        zip(("suggestion", "metrics", "provenance"), _named(session, [*texts]), strict=False)
    )
    output: dict[str, JsonValue] = {"output": [*_named(session, brought)]} if brought else {}
    return {"decision": _in_a_line(session, suggestion), **kept, **output}


def _in_a_line(session: SessionContext, suggestion: CurriculumSuggestion) -> str:
    before = session.animal_state.trainer_state if session.animal_state else None
    then = suggestion.trainer_state
    return move_text(before.stage if before else None, then.decided_stage, fired_rules(before, then))


def seal_folder(session: SessionContext, then: SessionContext, steps: Sequence[StepRecord]) -> list[str]:
    """Put into the folder what the journal and the live log have: the last that the launcher writes there.

    The record comes last of all: a folder that has it is sealed.

    :param then: the session as it goes on from here.
    :raises LauncherError: the folder is gone.
    :raises HandedOff: an earlier attempt failed, and the folder was handed off as it was.
    """
    if session.handed_off:
        raise HandedOff(f"The log and the session's record are missing in {session.folder}.", session.name)
    _require_folder(session)
    remove_unfinished(session)
    sealed = session.paths.launcher / session.log.name
    seal_log(session.log, sealed)
    path = session.paths.launcher / record.FILE
    record.write_record(path, then, steps)
    # Last: a folder without either could not be imported.
    with suppress(OSError):
        (session.paths.behavior / record.BEGUN).unlink()
    return _named(session, [sealed, path])


def remove_unfinished(session: SessionContext) -> None:
    """Remove what was left half-written for a session: nobody else writes it, and this launcher has not begun to."""
    for folder in (session.paths.behavior, session.paths.logs, session.paths.launcher, session.staging):
        for part in unfinished_files(folder):
            part.unlink(missing_ok=True)


def _named(session: SessionContext, paths: Sequence[Path]) -> list[str]:
    """`paths` as results have them, the same on every system: relative to the session's folder where they lie in it."""
    inside = session.folder
    return [(path.relative_to(inside) if path.is_relative_to(inside) else path).as_posix() for path in paths]


def _bring_output(session: SessionContext) -> list[Path]:
    """Copy into the folder what plugins left in `staged_output`: their launcher was killed, or the folder had left.

    :return: the files written.
    """
    written = []
    for output in sorted(session.staged_output.rglob("[!.]*")):
        kept = session.paths.launcher / output.relative_to(session.staged_output)
        if output.is_file() and not (kept.exists() and filecmp.cmp(output, kept, shallow=False)):
            copy_whole(output, kept)
            written.append(kept)
    return written


def _was_sealed_with(session: SessionContext, suggestion: CurriculumSuggestion) -> bool:
    """Whether the curriculum had answered so when the folder was sealed."""
    sealed = record.sealed_record(session.folder)
    if sealed is None:
        return False
    answers = (step.result for step in sealed.steps if step.id.hook == "curriculum_suggest" and step.result is not None)
    return any(CurriculumSuggestion.model_validate(answer).digest == suggestion.digest for answer in answers)


def _require_folder(session: SessionContext) -> None:
    if not session.folder.is_dir():
        raise LauncherError(
            f"The session's folder {session.folder} is gone.", "Bring it back and run `aind-launch resume` again."
        )
