"""A plugin that writes into a folder that was handed off is named, with the file and what to do."""

from pathlib import Path

import pytest
from task_repositories import laboratory

from aind_launcher.lifecycle.resume import ResumeOptions
from aind_launcher.testing import TaskRepositoryForTests

PLUGINS = """
    from aind_launcher import hookimpl

    def happened_before(session, what):
        mark = session.repository.path.parent / what
        happened = mark.exists()
        mark.touch()
        return happened

    class Ends:
        @hookimpl
        def session_finished(self, session):
            for name in ("a", "b", "c", "d"):
                (session.folder / "behavior" / f"{name}.txt").write_text("late")

    class Breaks(Ends):
        @hookimpl
        def session_finished(self, session):
            super().session_finished(session)
            raise OSError("the lamp is off")

    class Pushes:
        @hookimpl
        def post_session(self, session):
            if not happened_before(session, "pushed"):
                raise OSError("the server is down")
            with (session.folder / "behavior" / "trials.txt").open("a") as file:
                file.write("late")
            if not happened_before(session, "pushed twice"):
                raise OSError("the server is down again")

    class Decides:
        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            if not session.handed_off:
                raise OSError("the plots cannot be drawn")
            (session.folder / "plot.svg").write_text("late")

    class Sends:
        @hookimpl
        def transfer_session(self, session):
            (session.folder / "sent.txt").write_text("to the service")

    class Fails:
        @hookimpl
        def transfer_session(self, session):
            raise OSError("the service is down")

    class Takes(Sends):
        @hookimpl
        def session_finished(self, session):
            # As a transfer service does meanwhile.
            (session.folder / "behavior" / "trials.txt").unlink()
"""


def lab_with(root: Path, *names: str) -> TaskRepositoryForTests:
    return laboratory(root, PLUGINS, names={name.lower(): name for name in names})


@pytest.mark.parametrize(("name", "state"), [("Ends", "completed"), ("Breaks", "incomplete")])
def test_who_writes_at_the_end_is_named_with_the_hook_to_do_it_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, state: str
) -> None:
    lab = lab_with(tmp_path, name, "Sends")
    outcome = lab.run()
    assert outcome.state == state
    (named,) = (message for message in caplog.messages if message.startswith("While plugin"))
    assert named == (
        f"While plugin {name.lower()} ran, behavior/a.txt, behavior/b.txt, behavior/c.txt and 1 more were written into "
        f"{outcome.session.folder}, whose hand-off has begun. Tell the plugin's author to write at post_session."
    )
    assert lab.steps(outcome.session.name)["session_finished", name.lower()].error == (
        None if name == "Ends" else "OSError: the lamp is off (more.py:20)"
    )


@pytest.mark.parametrize("service", ["Sends", "Fails"])
def test_a_push_that_is_resumed_after_the_hand_off_is_named_and_a_new_hand_off_settles_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, service: str
) -> None:
    lab = lab_with(tmp_path, "Pushes", service)
    ran = lab.run().session
    name = ran.name
    named = f"While plugin pushes ran, behavior/trials.txt was written into {ran.folder}, whose hand-off has begun. "
    assert lab.resume(name).state == "incomplete"
    assert str(lab.steps(name)["post_session", "pushes"].error).startswith("OSError: the server is down again")
    assert any(message.startswith(named) for message in caplog.messages)
    for _ in range(2):
        assert lab.resume(name).state == "incomplete"
    assert (lab.steps(name)["post_session", "pushes"].error or "").startswith(named)
    # It may write before the next hand-off.
    again = lab.resume(name, ResumeOptions(hand_off_again=True))
    assert (lab.steps(name)["post_session", "pushes"].state, again.session.hand_off) == ("done", 1)
    assert again.state == ("completed" if service == "Sends" else "incomplete")


def test_what_a_late_curriculum_writes_is_named_and_its_answer_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lab = lab_with(tmp_path, "Decides", "Sends")
    name = lab.run().session.name
    assert lab.resume(name).state == "completed"
    assert lab.stage() == "rung2"
    assert any("While plugin decides ran, plot.svg was written into " in message for message in caplog.messages)


@pytest.mark.parametrize("plugins", [("Takes",), ("Ends",)])
def test_what_takes_files_away_or_has_no_hand_off_is_fine(tmp_path: Path, plugins: tuple[str, ...]) -> None:
    lab = lab_with(tmp_path, *plugins)
    assert lab.run().state == "completed"
