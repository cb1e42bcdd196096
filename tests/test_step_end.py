"""A step has an end: what a plugin waits for cannot hold the data, the next step, or the end of the program."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command_line import launch
from task_repositories import laboratory

from aind_launcher.errors import Refused
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepRecord
from aind_launcher.lifecycle import steps
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.testing import TaskRepositoryForTests

PLUGINS = """
    import threading
    import time
    import urllib.request
    from concurrent.futures import ThreadPoolExecutor
    from aind_launcher import TransientError, hookimpl

    class Asks:
        @hookimpl
        def post_session(self, session):
            service = session.repository.path / "service"
            if service.exists():
                # The limit is for each part of the answer, and each part comes in time.
                with urllib.request.urlopen(service.read_text(), timeout=20) as answer:
                    answer.read()
            return "asked"

    class Stuck:
        @hookimpl
        def post_session(self, session):
            # Python waits for the threads of a pool before it ends.
            with ThreadPoolExecutor() as pool:
                pool.submit(threading.Event().wait).result()

    class Looks:
        @hookimpl
        def pre_session(self, session):
            while True:
                time.sleep(0.01)

    class GivesNone:
        @hookimpl
        def begin_session(self, session):
            if (session.repository.path.parent / "hangs").exists():
                while True:
                    time.sleep(0.01)
            raise TransientError("not now")

    class Fails:
        @hookimpl
        def post_session(self, session):
            raise TransientError("not now")

    class Person:
        interactive = True

        @hookimpl
        def post_session(self, session):
            return threading.current_thread() is threading.main_thread()

    class Sees:
        @hookimpl
        def transfer_session(self, session):
            return "seen"
"""


@contextmanager
def dripping_service() -> Iterator[str]:
    """A service that sends its headers and then one byte a second, for ever."""
    stopped = threading.Event()

    class Drips(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not stopped.wait(1):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what the test prints is its own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Drips) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        stopped.set()
        server.shutdown()


def steps_of(lab: TaskRepositoryForTests) -> dict[tuple[str, str], StepRecord]:
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
    return lab.steps(record.name)


@pytest.mark.integration
def test_a_service_that_drips_holds_neither_the_data_nor_a_resume(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, "step-timeout = 0.05", {"asks": "Asks", "sees": "Sees"})
    service = lab.path / "service"
    with dripping_service() as url:
        service.write_text(url, encoding="utf-8")
        lab.commit()
        run = launch("run", "--subject", "123456", cwd=lab.path)
        steps = steps_of(lab)
        assert (run.code, steps["transfer_session", "sees"].state) == (1, "done"), run.err
        asks = steps["post_session", "asks"]
        assert (asks.state, asks.error) == (
            "failed",
            "Plugin asks did not end post_session within 0.05 minutes and was given up. "
            f"Run `aind-launch resume {asks.id.session}` when what it waits for answers, leave it out with "
            "`-p no:asks`, or give it longer with the setting step-timeout.",
        )
        assert " ".join((asks.error or "").split()) in " ".join(run.err.split())
        assert launch("resume", "--all", cwd=lab.path).code == 1
    service.unlink()
    assert launch("resume", "--all", cwd=lab.path).code == 0
    assert steps_of(lab)["post_session", "asks"].result == "asked"


@pytest.mark.integration
def test_what_cannot_be_ended_keeps_not_even_the_end_of_the_program_waiting(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, "step-timeout = 0.01", {"stuck": "Stuck", "sees": "Sees"})
    run = launch("run", "--subject", "123456", cwd=lab.path)
    assert (run.code, "Traceback" in run.err) == (1, False), run.err
    assert "resume" in run.out
    steps = steps_of(lab)
    assert [steps["post_session", "stuck"].state, steps["transfer_session", "sees"].state] == ["failed", "done"]


def test_a_check_without_an_end_refuses_the_session(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, "step-timeout = 0.005", {"looks": "Looks"})
    with pytest.raises(Refused, match="looks did not end pre_session within 0.005 minutes .* Try again, leave it out"):
        lab.run()


def test_who_asks_a_person_does_so_in_the_main_thread_and_without_a_limit(tmp_path: Path) -> None:
    class Somebody(Operator):
        attended = True

        def ask(self, question: str, answers: Mapping[str, str], default: str) -> str:
            return default

    lab = laboratory(tmp_path, PLUGINS, names={"person": "Person"})
    assert lab.run(operator=Somebody()).state == "completed"
    assert steps_of(lab)["post_session", "person"].result is True


def test_ctrl_c_in_a_pause_gives_up_the_step_too(tmp_path: Path) -> None:
    class Impatient(Operator):
        @contextmanager
        def working(self, title: str) -> Iterator[None]:
            if "waiting" in title:
                signal.raise_signal(signal.SIGINT)
            yield

    lab = laboratory(tmp_path, PLUGINS, names={"fails": "Fails", "sees": "Sees"})
    assert lab.run(operator=Impatient()).exit_code == 1
    steps = steps_of(lab)
    assert (steps["post_session", "fails"].error, steps["post_session", "fails"].attempt) == ("not now", 1)
    assert steps["transfer_session", "sees"].state == "done"


def test_a_store_that_gives_no_ticket_keeps_no_animal_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"gives-none": "GivesNone"})
    session = lab.run().session
    step = lab.steps(session.name)["begin_session", "gives-none"]
    # It is not tried again; the library's ticket counts.
    assert (step.error, step.attempt) == ("not now", 1)
    assert session.ticket
    monkeypatch.setattr(steps, "_LONGEST_BEGINNING", 0.2)
    (lab.root / "hangs").touch()
    outcome = lab.run()
    assert outcome.state == "completed"
    error = lab.steps(outcome.session.name)["begin_session", "gives-none"].error
    assert str(error).startswith("Plugin gives-none gave no ticket within 0.2 s.")
