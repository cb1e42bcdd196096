"""A task repository with all three plugins: the real curriculum and watchdog service, SLIMS and uploads as doubles."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aind_launcher import now
from aind_launcher_slims.wire_double import SlimsDouble
from aind_launcher_watchdog.real_service import RealService
from aind_launcher_watchdog.transfer_double import TransferDouble

SUBJECT = "123456"
EXPERIMENTER = "a.person"
PIN = Path(__file__).parents[2] / "tests" / "data" / "vr-foraging-pin" / "pyproject.toml"

# What an acquisition is to the launcher: a program that leaves data.
TASK = """\
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
for name in ("behavior/Licks.csv", "behavior-videos/FaceCamera/video.mp4"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(name.encode() * 1000)
"""


@dataclass(frozen=True)
class Laboratory:
    """A rig with its task repository, and the services around it.

    :param environment: of every command: the account for SLIMS, and nothing of this user's launcher.
    """

    root: Path
    slims: SlimsDouble
    transfers: TransferDouble
    environment: Mapping[str, str]

    @property
    def repository(self) -> Path:
        return self.root / "task repository"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def flag(self) -> Path:
        return self.root / "watchdog service" / "manifest"

    @property
    def archive(self) -> Path:
        return self.root / "watchdog service" / "manifest_complete"

    @property
    def destination(self) -> Path:
        return self.root / "server" / "staging"

    def launch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`aind-launch` as an operator calls it."""
        return subprocess.run(
            [sys.executable, "-c", "from aind_launcher.cli import main; main()", *arguments],
            cwd=self.repository,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code of `aind-launch run`, and the session as JSON."""
        ended = self.launch("run", "--subject", SUBJECT, "--experimenter", EXPERIMENTER, "--json", *arguments)
        assert ended.stdout, ended.stderr
        return ended.returncode, json.loads(ended.stdout)

    def configure(self, section: str = "") -> None:
        """Write and commit the settings; `section` stands in the place of that of the watchdog, where given."""
        watchdog = f"""
            flag-directory = {json.dumps(str(self.flag))}
            archive-directory = {json.dumps(str(self.archive))}
            destination = {json.dumps(str(self.destination))}
            project-name = "Behavior Platform"
            project-names-url = "{self.transfers.project_names}"
            transfer-endpoint = "{self.transfers.endpoint}"
            service-process = ""
        """
        text = f"""
            [tool.aind-launcher]
            experiment = "VrForaging"
            rig = "rig.json"
            data-directory = "../data"
            state-directory = "../state"
            retry-pauses = [0]

            [tool.aind-launcher.plugin.acquisition]
            command = [{json.dumps(sys.executable)}, "task.py", "{{session_directory}}"]
            requires-data = ["behavior/Licks.csv"]

            [tool.aind-launcher.plugin.local-store]
            library = "../library"

            [tool.aind-launcher.plugin.isolated-curriculum]
            cache-directory = {json.dumps(self.environment["CURRICULA_CACHE"])}

            [tool.aind-launcher.plugin.checks]
            minimum-free-space = "1 MB"

            [tool.aind-launcher.plugin.slims]
            url = "{self.slims.url}"

            [tool.aind-launcher.plugin.data-schema]
            create = true

            [tool.aind-launcher.plugin.watchdog]
            {section or watchdog}
        """
        lines = "\n".join(line.strip() for line in text.splitlines())
        (self.repository / "pyproject.toml").write_text(lines, encoding="utf-8")
        self.commit()

    def commit(self) -> None:
        git("add", "--all", cwd=self.repository, environment=self.environment)
        git("commit", "--quiet", "--message", "As it is", cwd=self.repository, environment=self.environment)

    def carry_out(self) -> None:
        """Let the real watchdog service carry out what waits for it."""
        service = RealService(self.flag, self.archive)
        try:
            for _ in range(service.start()):
                service.finish_a_job()
        finally:
            service.stop()


def git(*arguments: str, cwd: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A machine without settings of this user's, and one place for the environments of all tests' curricula."""
    folder = tmp_path_factory.mktemp("machine")
    configuration = folder / "gitconfig"
    configuration.write_text('[protocol "file"]\nallow = always\n[core]\nautocrlf = false\n', encoding="utf-8")
    foreign = ("AIND_LAUNCHER_", "GIT_", "SLIMS_", "UV_PROJECT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    people = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    # One commit of the curriculum for all tests, so that its environment is built once; of now, because a source
    # without a lock gets no package that is newer than its commit.
    dates = {f"GIT_{who}_DATE": now().isoformat(timespec="seconds") for who in ("AUTHOR", "COMMITTER")}
    return {
        **kept,
        **people,
        **dates,
        "GIT_CONFIG_GLOBAL": str(configuration),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PROGRAMDATA": str(folder),
        "XDG_CONFIG_DIRS": f"{folder}{os.pathsep}/etc/xdg",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "CURRICULA_CACHE": str(folder / "curricula"),
    }


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """The curriculum's repository."""
    folder = tmp_path_factory.mktemp("curriculum")
    shutil.copy(PIN, folder)
    git("init", "--quiet", cwd=folder, environment=environment)
    git("add", "--all", cwd=folder, environment=environment)
    git("commit", "--quiet", "--message", "Pin", cwd=folder, environment=environment)
    return folder


@pytest.fixture
def laboratory(
    tmp_path: Path, origin: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laboratory]:
    """A laboratory whose animal is enrolled in the template of the VR-foraging curricula."""
    # The watchdog service runs in this process.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with SlimsDouble(tmp_path / "slims.sqlite") as slims, TransferDouble() as transfers:
        slims.add_animal(SUBJECT)
        slims.add_instrument("4A")
        slims.add_user(EXPERIMENTER)
        made = Laboratory(tmp_path, slims, transfers, {**environment, **slims.environment})
        for folder in (made.repository, made.data, made.flag, made.archive, made.destination):
            folder.mkdir(parents=True)
        (made.repository / "task.py").write_text(TASK, encoding="utf-8")
        rig = {"rig_name": "4A", "computer_name": "W10DT", "data_directory": str(made.data)}
        (made.repository / "rig.json").write_text(json.dumps(rig), encoding="utf-8")
        git("init", "--quiet", cwd=made.repository, environment=environment)
        git("submodule", "--quiet", "add", str(origin), "curriculum", cwd=made.repository, environment=environment)
        made.configure()
        enrolled = made.launch("curricula", "enroll", SUBJECT, "--curriculum", "template")
        assert enrolled.returncode == 0, enrolled.stderr
        yield made


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
