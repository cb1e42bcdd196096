"""The fixtures that plugin authors get are the real launcher."""

from aind_launcher.testing import TaskRepositoryForTests


def test_a_session_of_the_fixture_moves_the_animal(task_repository: TaskRepositoryForTests):
    outcome = task_repository.run(experimenter=("me",))
    assert (outcome.state, task_repository.stage()) == ("completed", "rung2")
    assert task_repository.steps(outcome.session.name)["record_state", "local-store"].result["outcome"] == "applied"


def test_the_curriculum_can_be_broken_and_mended(task_repository: TaskRepositoryForTests):
    task_repository.break_curriculum()
    outcome = task_repository.run()
    assert (outcome.state, task_repository.stage()) == ("incomplete", "rung1")
    task_repository.repair_curriculum()
    assert task_repository.resume(outcome.session.name).state == "completed"
    assert task_repository.stage() == "rung2"


def test_an_author_tests_a_plugin_that_is_not_installed(task_repository: TaskRepositoryForTests):
    task_repository.write(
        "mine.py",
        "from aind_launcher import hookimpl\n\nclass Mine:\n    @hookimpl\n    def post_session(self, suggestion):\n"
        "        return suggestion.trainer_state.stage\n",
    )
    task_repository.configure(plugins={"mine": "mine:Mine"})
    outcome = task_repository.run()
    assert task_repository.steps(outcome.session.name)["post_session", "mine"].result == "rung2"
