"""The operator's terminal: what a session shows and asks, and how checks and errors are shown."""

import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

import click
from rich.text import Text

from aind_launcher.cli.console import Screen
from aind_launcher.cli.now import Now
from aind_launcher.cli.plain import plain
from aind_launcher.cli.printing import STYLES, print_error
from aind_launcher.cli.streams import LastingStream
from aind_launcher.errors import ExitCode, LauncherError
from aind_launcher.lifecycle.log import Unbroken, current_step
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.model.clock import now
from aind_launcher.model.question import Question, in_words
from aind_launcher.system import interrupts
from aind_launcher.system.redaction import Redactor
from aind_launcher.system.tail import task_output
from aind_launcher.system.typed import drop_typed

if TYPE_CHECKING:
    from rich.live import Live

    from aind_launcher.journal.records import StepRecord
    from aind_launcher.model.session import Check, SessionContext


def _on_stderr() -> Screen:
    # While rich shows what goes on, it has its own stream in the place of stderr.
    stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    return Screen(file=cast(TextIO, LastingStream(stream)))


class _Results(Screen):
    """Results on stdout, silent where their reader has left; rich would end the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Terminal(Operator):
    """The operator at a terminal. Progress and questions go to stderr; results to stdout.

    :param calm: show only what failed; for whoever runs many sessions in a row.
    :param agreed: start sessions without asking.
    :param verbose: name rules with their modules.
    """

    def __init__(
        self,
        *,
        redact: Redactor | None = None,
        unattended: bool = False,
        calm: bool = False,
        agreed: bool = False,
        verbose: bool = False,
    ) -> None:
        self._console = _on_stderr()
        self.redact = redact or Redactor()
        self._calm = calm
        self._agreed = agreed
        self._verbose = verbose
        self._now: Now | None = None
        self._live: Live | None = None
        self.attended = not unattended and sys.stdin is not None and sys.stdin.isatty() and self._console.is_terminal

    def checks(self, checks: "Sequence[Check]") -> None:
        refused = any(check.outcome == "failed" for check in checks)
        # Where nothing is refused the card comes next, with the warnings below it.
        hidden = {"passed" if self._calm else None, None if refused else "warning"}
        for check in checks:
            if check.outcome not in hidden:
                print_check(redacted(check, self.redact), self._console)

    def confirms(self, session: "SessionContext") -> bool:
        if self._calm:
            return True
        from aind_launcher.board.card import card_of
        from aind_launcher.board.drawing import drawn, written

        card, console, full = card_of(session), self._console, self._verbose
        if console.is_terminal:
            console.print(drawn(card, now(), console.width, self.redact, full=full))
        else:
            for line in written(card, now(), full=full):
                self.say(line)
        for check in card.warnings:
            print_check(redacted(check, self.redact), console)
        if self._agreed or not self.attended:
            return True
        answers = {"yes": "run the session", "no": "change nothing"}
        # Who presses Enter without reading must not start the wrong animal.
        return self.ask("Start this session?", answers, default="no" if card.stands_out else "yes") == "yes"

    @contextmanager
    def working(self, title: str) -> Iterator[None]:
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield
            return
        from rich.live import Live

        self._now = Now(title)
        try:
            with Live(self._now, console=self._console, transient=True) as self._live:
                yield
        finally:
            self._now = self._live = None

    @contextmanager
    def left_to_plugin(self) -> Iterator[None]:
        live, shown = self._live, self._now
        if live:
            live.stop()
        self._now = None
        drop_typed(sys.stdin)
        try:
            yield
        finally:
            self._now = shown
            if live:
                live.start()

    def ended(self, record: "StepRecord") -> None:
        # The log has said why another state; what is done before the session shows itself by its checks.
        before = ("pre_session", "load_animal_state", "prepare_session", "begin_session")
        if self._calm or record.state != "done" or record.id.hook in before:
            return
        line = Text.assemble((f"  {record.state:<8}", STYLES[record.state]), record.id.hook.replace("_", " "))
        line.append(f" ({record.id.plugin})", style="dim")
        if record.duration is not None:
            line.append(f" {record.duration:.1f} s", style="dim")
        self._console.print(line, soft_wrap=True)

    def ask(self, question: str, answers: Mapping[str, str], default: str) -> str:
        if not self.attended:
            return default
        self.say(question, "bold")
        for answer, meaning in answers.items():
            self.say(f"  {answer:<8} {meaning}")
        asked = Question("answer", "Answer", default=default, choices=tuple(answers))
        chosen: str = self._answer("Answer", asked)
        return chosen

    def ask_for_plugin(self, question: Question) -> Any:
        if not self.attended:
            return super().ask_for_plugin(question)
        choices = question.choices or ((True, False) if question.kind is bool else ())
        listed = f" ({', '.join(map(in_words, choices))})" if choices else ""
        return self._answer(plain(self.redact(f"{question.label}{listed}")), question)

    def _answer(self, label: str, question: Question) -> Any:
        def read(typed: str) -> Any:
            try:
                return question.read(typed)
            except ValueError as error:
                raise click.UsageError(plain(str(error))) from None

        default = None if question.default is None else in_words(question.default)
        # A label often has its own mark at its end.
        suffix = ": " if default or label[-1:] not in "?:" else " "
        return self._prompt(label, value_proc=read, default=default, show_default=bool(default), prompt_suffix=suffix)

    def _prompt(self, text: str, **options: Any) -> Any:
        """What is typed now, checked as `click.prompt` does.

        :raises KeyboardInterrupt: Ctrl-C like any other, or the window is closed: who asked asks again another time.
        """
        try:
            with self.left_to_plugin(), interrupts.heard():
                return click.prompt(text, err=True, **options)
        except (click.Abort, OSError):
            raise KeyboardInterrupt from None

    def say(self, line: str, style: str = "") -> None:
        self._console.print(Text(self.redact(line), style=style), soft_wrap=True)

    def say_of_task(self, line: str) -> None:
        """Show a line that the task printed: for a moment on a terminal, else like any other."""
        if self._now:
            self._now.add(self.redact(line))
        else:
            self.say(line)

    @contextmanager
    def showing_log(self, verbose: bool = False) -> Iterator[None]:
        """Show log lines of the launcher, and warnings of everything else, while the context lasts."""
        level = logging.DEBUG if verbose else logging.WARNING if self._calm else logging.INFO
        handler = _TerminalLog(self, level)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)


class _TerminalLog(Unbroken):
    def __init__(self, terminal: Terminal, level: int) -> None:
        super().__init__(level)
        self._terminal = terminal

    def filter(self, record: logging.LogRecord) -> bool:
        """What libraries have to say is for the log's file, unless they warn."""
        return record.levelno >= logging.WARNING or record.name.startswith("aind_launcher")

    def emit(self, record: logging.LogRecord) -> None:
        style = "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else ""
        step = current_step.get()
        plugin = f"{step.partition('/')[2]}: " if step else ""
        text = f"  {plugin}{record.getMessage()}"
        if record.exc_info and record.levelno < logging.INFO:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info))
        try:
            if record.name == task_output.name:
                self._terminal.say_of_task(text)
            else:
                self._terminal.say(text, style)
        except Exception:  # a broken terminal must not stop a session
            self.handleError(record)


def redacted(check: "Check", redact: Redactor) -> "Check":
    """`check` without secrets, which an error of a plugin may carry."""
    hint = redact(check.hint) if check.hint else None
    return check.model_copy(update={"message": redact(check.message), "hint": hint})


def print_check(check: "Check", console: Screen | None = None) -> None:
    """One line on stdout: how it stands, what was looked at, and a hint."""
    line = Text.assemble((f"  {check.outcome:<8}", STYLES[check.outcome]), check.name)
    if check.message:
        line.append(f": {check.message}")
    if check.hint and check.outcome != "passed":
        line.append(f" {check.hint}", style="bold")
    (console or _Results()).print(line, soft_wrap=True)


def end_with(error: Exception, redact: Redactor | None = None) -> int:
    """Show the error that ends this call as `show_error` does, and to a program that asked for JSON.

    :return: the exit code.
    """
    from aind_launcher.model.validation import said

    redact = redact or Redactor()
    code = show_error(error, redact)
    known = error if isinstance(error, LauncherError) else LauncherError(f"{type(error).__name__}: {said(error)}")
    print_error(redact(known.message), redact(known.hint) if known.hint else None, code)
    return code


def show_error(error: Exception, redact: Redactor | None = None) -> int:
    """Print an error as a sentence; one that nobody foresaw leaves its traceback in a file.

    :return: the exit code.
    """
    redact = redact or Redactor()
    console = _on_stderr()
    if isinstance(error, LauncherError):
        console.print(Text.assemble(("Error: ", "bold red"), redact(error.message)), soft_wrap=True)
        if error.hint:
            console.print(Text(f"  {redact(error.hint)}"), soft_wrap=True)
        return int(error.exit_code)
    from aind_launcher.model.validation import said
    from aind_launcher.system.files import kept_text

    told = redact("".join(traceback.format_exception(error)))
    try:
        where = f"the file {kept_text(told)}"
    except OSError:
        # The disk is full, which may be why this was called.
        where = f"this:\n{told}"
    console.print(
        Text.assemble(
            ("Error: ", "bold red"),
            f"the launcher met something that it does not know ({type(error).__name__}: {redact(said(error))}).\n"
            f"  Finished sessions are safe. Please report it with {where}",
        ),
        soft_wrap=True,
    )
    return int(ExitCode.STEP_FAILED)
