"""The fixtures that plugin authors get are the real launcher."""

from pathlib import Path

import pytest
from distributions import install

from aind_launcher.errors import PluginError, SettingsError
from aind_launcher.testing import TaskRepositoryForTests

NEEDS_AN_ADDRESS = """
    from aind_launcher import SettingsModel, hookimpl

    class Diary:
        class Settings(SettingsModel):
            address: str

        def __init__(self, settings):
            self.settings = settings

        @hookimpl
        def post_session(self):
            return self.settings.address
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where distributions are installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


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


def test_a_plugin_that_is_installed_beside_and_needs_settings_takes_no_part(
    task_repository: TaskRepositoryForTests, site: Path, caplog: pytest.LogCaptureFixture
):
    install(site, "lab-diary", {"diary": "lab_diary:Diary"}, {"lab_diary": NEEDS_AN_ADDRESS})
    outcome = task_repository.run()
    assert outcome.state == "completed"
    assert ("post_session", "diary") not in task_repository.steps(outcome.session.name)
    assert "Plugin diary (lab-diary 1.2) takes no part" in caplog.text
    assert "Setting 'plugin.diary.address' is missing." in caplog.text


@pytest.mark.parametrize("by_environment", [True, False])
def test_an_installed_plugin_takes_part_as_soon_as_the_test_gives_it_settings(
    task_repository: TaskRepositoryForTests,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    by_environment: bool,
):
    install(site, "lab-diary", {"diary": "lab_diary:Diary"}, {"lab_diary": NEEDS_AN_ADDRESS})
    if by_environment:
        monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__DIARY__ADDRESS", "here")
    else:
        task_repository.configure('[tool.aind-launcher.plugin.diary]\naddress = "here"')
    outcome = task_repository.run()
    assert task_repository.steps(outcome.session.name)["post_session", "diary"].result == "here"


def test_wrong_settings_and_broken_plugins_still_refuse_a_session_of_the_fixture(
    task_repository: TaskRepositoryForTests,
    site: Path,
):
    install(site, "lab-diary", {"diary": "lab_diary:Diary"}, {"lab_diary": NEEDS_AN_ADDRESS})
    task_repository.configure("[tool.aind-launcher.plugin.diary]\n")
    with pytest.raises(SettingsError, match="plugin.diary.address' is missing"):
        task_repository.run()
    task_repository.configure()
    install(site, "lab-note", {"note": "lab_note"}, {"lab_note": "import nowhere_to_be_found"})
    with pytest.raises(PluginError, match="note .* cannot be imported"):
        task_repository.run()


def test_the_settings_of_the_rig_on_which_tests_run_do_not_reach_the_fixture(
    task_repository: TaskRepositoryForTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine = tmp_path / "machine"
    (machine / "aind-launcher").mkdir(parents=True)
    for variable in ("XDG_CONFIG_DIRS", "PROGRAMDATA"):
        monkeypatch.setenv(variable, str(machine))
    real = (tmp_path / "real").as_posix()
    settings = f'data-directory = "{real}/data"\nplugin.local-store.library = "{real}/library"\n'
    (machine / "aind-launcher" / "aind-launcher.toml").write_text(settings, encoding="utf-8")
    outcome = task_repository.run()
    assert outcome.session.folder.parent == task_repository.data
    assert (task_repository.stage(), Path(real).exists()) == ("rung2", False)
