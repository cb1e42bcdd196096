"""A step has an end: what a plugin waits for cannot hold the data, the next step, or the end of the program."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from programs import aind_launch
from task_repositories import laboratory

from aind_launcher.journal import Journal, StepRecord
from aind_launcher.testing import TaskRepositoryForTests

PLUGINS = """
    import urllib.request
    from aind_launcher import hookimpl

    class Asks:
        @hookimpl
        def post_session(self, session):
            service = session.repository.path / "service"
            if service.exists():
                # The limit is for each part of the answer, and each part comes in time.
                with urllib.request.urlopen(service.read_text(), timeout=20) as answer:
                    answer.read()
            return "asked"

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
def test_a_service_that_drips_does_not_hold_the_data(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, "step-timeout = 0.05", {"asks": "Asks", "sees": "Sees"})
    with dripping_service() as url:
        (lab.path / "service").write_text(url, encoding="utf-8")
        lab.commit()
        run = aind_launch(lab.path, "run", "--subject", "123456")
        assert (run.code, "asks" in run.err) == (1, True), run.err
        steps = steps_of(lab)
        assert steps["transfer_session", "sees"].state == "done"
