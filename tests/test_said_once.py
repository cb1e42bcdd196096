"""What an operator reads on stderr while a session goes on stands there once; stdout then has the summary."""

from pathlib import Path

import pytest
from command_line import call
from interrupted_sessions import RUN
from task_repositories import laboratory

PLUGINS = """
    from aind_launcher import Check, hookimpl
    from aind_launcher.errors import StepSkipped

    class Finds:
        @hookimpl
        def pre_session(self, session):
            return [Check.failed("camera", "REASON", "HINT"), Check.failed("valve", "it is open")]

    class Breaks:
        @hookimpl
        def pre_session(self, session):
            raise RuntimeError("REASON")

    class Prepares:
        @hookimpl
        def prepare_session(self, session):
            raise RuntimeError("REASON")

    class Fails:
        @hookimpl
        def post_session(self, session):
            raise RuntimeError("REASON")

    class Skips:
        @hookimpl
        def post_session(self, session):
            raise StepSkipped("REASON")
"""


@pytest.mark.parametrize(("name", "code"), [("finds", 3), ("breaks", 3), ("prepares", 3), ("fails", 1), ("skips", 0)])
def test_why_something_was_not_done_is_said_once(tmp_path: Path, name: str, code: int) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={name: name.title()})
    run = call(*RUN, cwd=lab.path)
    assert run.code == code
    assert run.err.count("REASON") == 1
    assert run.err.count("HINT") == (name == "finds")
    assert ("valve: it is open" in run.err) == (name == "finds")
    # Nor is there a line that says no more than that it failed or was skipped.
    assert run.err.count(f"({name})") == (code != 3)
