"""Whether curricula are ready for the next session: what `curricula sync` and `curricula check` do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aind_launcher.cli.printing import echo, print_json
from aind_launcher.cli.task_repository import TaskRepository
from aind_launcher.errors import ExitCode, LauncherError
from aind_launcher.model.names import few

if TYPE_CHECKING:
    from aind_launcher.model.animal import TrainerStateText
    from aind_launcher.model.sources import BuiltSource, SourceStatus


class Readiness:
    """Makes sources ready, and says how that went: in sentences, or as one JSON object at the end.

    :param allow_dirty: also with uncommitted changes.
    """

    def __init__(self, repository: TaskRepository, *, allow_dirty: bool, as_json: bool) -> None:
        from aind_launcher.cli.terminal import Terminal

        self._repository = repository
        self._redact = repository.secrets_hidden()
        self._terminal = Terminal(redact=self._redact)
        self._sources = repository.curriculum_sources()
        self._allow_dirty = allow_dirty
        self._as_json = as_json
        self._failed = False
        self._found: dict[str, Any] = {}

    def end(self) -> ExitCode:
        """Print what is printed at the end, and return the exit code."""
        if self._as_json:
            print_json(self._found)
        return ExitCode.REFUSED if self._failed else ExitCode.DONE

    def sources(self, name: str | None, *, check: bool) -> None:
        """Build one source, or every source and name the submodules that are none.

        :param check: try each source, too.
        """
        names = [name] if name else self._sources.names()
        if not names:
            self._say("This task repository has no curriculum source.")
        for each in names:
            row = self._row("sources", name=each)
            with self._judging(row, f"building {each}"):
                built = self._sources.build(
                    each, check=check, allow_dirty=self._allow_dirty, progress=self._terminal.say
                )
                row.update(built.model_dump(), ready=True if built.imported else None)
                self._say(_in_words(each, built, check=check))
                if built.untried:
                    which = "Not all of it was" if built.imported else "No curriculum of it was"
                    self._say(f"  {which} imported. {built.untried}")
                    self._say("  Try it on a past session with `aind-launch curricula check --on SESSION`.")
        passed_over = () if name else self._sources.passed_over()
        self._found["passed_over"] = [{"name": source.name, "reason": source.passed_over} for source in passed_over]
        if passed_over:
            self._say(passed_over_in_words(passed_over))

    def animals(self) -> None:
        """Try the curriculum of every animal as before a session, once for each package."""
        served: dict[str | None, tuple[TrainerStateText, list[str]]] = {}
        try:
            store = self._repository.animal_store()
            animals = store.animals()
            if not animals:
                self._repository.refuse_unplugged(store)
        except LauncherError as error:
            row = self._row("animals", package=None, subjects=[])
            self._fail(row, error, "The animals' curricula were not tried.")
            return
        for animal in animals:
            if animal.problem:
                row = self._row("animals", package=None, subjects=[animal.subject])
                self._fail(row, LauncherError(animal.problem), f"No session of {animal.subject} would start.")
            elif animal.state and (state := animal.state.trainer_state).is_on_curriculum:
                served.setdefault(state.package, (state, []))[1].append(animal.subject)
        for package, (state, subjects) in served.items():
            whose = ", ".join(subjects)
            row = self._row("animals", package=package, subjects=subjects)
            with self._judging(row, f"trying the curriculum of {whose}", f"No session of {whose} would start."):
                self._sources.verify(state, allow_dirty=self._allow_dirty, progress=self._terminal.say)
        if served and not self._failed:
            self._say(f"The curricula of the animals can be imported: {', '.join(map(str, served))}.")

    def past_session(self, folder: Path, source: str | None) -> None:
        """Have a session of the past decided once more, and compare that with what is recorded in its folder."""
        from aind_launcher.board.words import in_short
        from aind_launcher.cli.past_session import PastSession
        from aind_launcher.model.animal import fired_rules, move_text, named_rules

        session = PastSession.find(folder)
        before = session.trainer_state
        row = self._row("sessions", name=folder.name)
        with self._judging(row, f"deciding on {folder.name}"):
            answer = session.decide(
                lambda copy, state: self._sources.suggest(
                    copy, state, source=source, allow_dirty=self._allow_dirty, progress=self._terminal.say
                )
            )
            after, differences = answer.trainer_state, session.differences(answer)
            policies, rules = session.policies(answer), fired_rules(before, after)
            row.update(
                ready=not differences,
                stage=after.decided_stage,
                policies=policies,
                rule=rules,
                metrics=answer.metrics,
                recorded=differences is not None,
                differences=differences or (),
            )
            self._failed |= bool(differences)
            compared = f"differs in {', '.join(differences)}" if differences else "the same"
            facts = {
                "decision": move_text(before.stage, after.decided_stage),
                "rule": named_rules(rules),
                "policies": ", ".join(policy.rpartition(".")[2] for policy in policies),
                "metrics": in_short(answer.metrics),
                "recorded": "nothing" if differences is None else compared,
            }
            self._say(f"{folder.name}: decided on a copy; nothing was changed.")
            for name, value in facts.items():
                self._say(f"  {name:<9} {value or 'none'}")

    def _row(self, table: str, **facts: Any) -> dict[str, Any]:
        """A new entry of what was found; ready until something is wrong, or nothing was tried (None)."""
        row = {**facts, "ready": True, "problem": None}
        self._found.setdefault(table, []).append(row)
        return row

    def _say(self, line: str) -> None:
        if not self._as_json:
            echo(self._redact(line))

    @contextmanager
    def _judging(self, row: dict[str, Any], title: str, whose: str = "") -> Iterator[None]:
        """Show an error, keep it in `row`, and go on.

        :param whose: a sentence that comes before that of the error.
        """
        try:
            with self._terminal.working(title):
                yield
        except LauncherError as error:
            self._fail(row, error, whose)

    def _fail(self, row: dict[str, Any], error: LauncherError, whose: str) -> None:
        from aind_launcher.cli.terminal import show_error

        error = LauncherError(f"{whose} {error.message}".lstrip(), error.hint)
        row.update(ready=False, problem=self._redact(str(error)))
        show_error(error, self._redact)
        self._failed = True


def passed_over_in_words(sources: "Sequence[SourceStatus]") -> str:
    """The submodules that are no source, in a line."""
    return f"No curriculum source: {'; '.join(f'{source.name} {source.passed_over}' for source in sources)}."


def _in_words(name: str, built: "BuiltSource", *, check: bool) -> str:
    known = [f"Python {built.python_version}"]
    if check:
        known += [f"package {built.package or 'unknown'}", f"DSL {built.dsl or 'unknown'}"]
    if built.imported:
        known.append(f"imports {few(built.imported)}")
    if built.locked is False:
        known.append("unlocked")
    state = "ready" if built.imported else "built"
    return f"{name}: {state} at {built.commit[:10]} in {built.environment} ({', '.join(known)})"
