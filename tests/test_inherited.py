"""What programs inherit: curricula a short list, the acquisition no credential, git and uv only their own."""

import ast
import json
import sys
from pathlib import Path

import pytest
from command_line import done
from repositories import run_git
from task_repositories import laboratory

import aind_launcher
from aind_launcher.curriculum.build import _environment
from aind_launcher.system.git import git
from aind_launcher.system.inherited import acquisition_environment, curriculum_environment
from aind_launcher.system.redaction import Redactor

NOTHING = Redactor()
LINUX = {
    **{"PATH": "/env/bin:/usr/bin", "HOME": "/home/a", "LANG": "C.UTF-8", "LC_ALL": "C", "TZ": "UTC", "TMPDIR": "/t"},
    **{"Path": "/odd", "VIRTUAL_ENV": "/env", "PYTHONPATH": "/x", "PYTHONHASHSEED": "7", "MUTE_SUGGESTION": "1"},
    **{"AIND_LAUNCHER_LIBRARY": "/lib", "SLIMS_PASSWORD": "x", "AWS_SECRET_ACCESS_KEY": "x", "BONSAI": "1"},
}
WINDOWS = {
    **{"Path": r"C:\Env\Scripts;C:\Windows", "SystemRoot": r"C:\Windows", "ProgramFiles(x86)": "C:\\P", "Temp": "T"},
    **{"Virtual_Env": "c:\\env", "PythonPath": "x", "Slims_Url": "x", "My_Api_Key": "x", "UserProfile": r"C:\Users\a"},
}
OWN = {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}


STORE = """
    from pydantic import BaseModel, SecretStr
    from aind_launcher import hookimpl

    class Store:
        class Settings(BaseModel):
            password: SecretStr

        def __init__(self, settings):
            pass

        @hookimpl
        def post_session(self):
            pass
"""
TASK = f"""
disable = ["isolated-curriculum", "instant-rig"]

[tool.aind-launcher.plugin.acquisition]
command = [{json.dumps(sys.executable)}, "-c", "import os; [print('='.join(x)) for x in os.environ.items()]"]
"""


class TestACurriculum:
    def test_inherits_what_is_on_a_short_list(self) -> None:
        assert curriculum_environment(LINUX, "linux") == OWN | {
            **{"PATH": "/usr/bin", "HOME": "/home/a", "LANG": "C.UTF-8", "LC_ALL": "C", "TZ": "UTC", "TMPDIR": "/t"},
        }

    def test_inherits_the_same_on_windows_where_names_have_no_case(self) -> None:
        assert curriculum_environment(WINDOWS, "win32") == OWN | {
            **{"Path": r"C:\Windows", "SystemRoot": r"C:\Windows", "ProgramFiles(x86)": "C:\\P", "Temp": "T"},
            **{"UserProfile": r"C:\Users\a"},
        }


class TestTheAcquisition:
    def test_inherits_all_but_what_is_called_like_a_credential(self) -> None:
        gone = {"AIND_LAUNCHER_LIBRARY", "SLIMS_PASSWORD", "AWS_SECRET_ACCESS_KEY"}
        assert acquisition_environment(LINUX, NOTHING).keys() == LINUX.keys() - gone
        assert acquisition_environment(WINDOWS, NOTHING).keys() == WINDOWS.keys() - {"Slims_Url", "My_Api_Key"}
        assert acquisition_environment({"PYTHONHOME": "x", "github_token": "x", "PYTHONPATH": "p"}, NOTHING) == {
            "PYTHONPATH": "p"
        }

    def test_inherits_no_secret_under_another_name(self) -> None:
        given = {"LIMS": "horse", "DSN": "me:horse@there", "AUTH": "bWU6Y29ycmVjdC1ob3JzZQ==", "PORT": "80"}
        redact = Redactor(frozenset({"horse", "correct-horse"}))
        assert acquisition_environment(given, redact) == {"PORT": "80"}

    def test_inherits_what_every_program_needs_whatever_it_says(self) -> None:
        given = {"PATH": "/home/operator/bin", "UserProfile": r"C:\Users\operator"}
        assert acquisition_environment(given, Redactor(frozenset({"operator"}))) == given

    def test_gets_no_plugins_secret_in_a_session(self, tmp_path: Path) -> None:
        lab = laboratory(tmp_path, STORE, names={"store": "Store"}, settings=TASK)
        names = {"DATABASE": "postgres://me:correct-horse@there", "RIG_COLOUR": "red", "SLIMS_PASSWORD": "battery"}
        secret = {"AIND_LAUNCHER_PLUGIN__STORE__PASSWORD": "correct-horse"}
        done("run", "--subject", "123456", "--experimenter", "me", cwd=lab.path, environment=names | secret)
        (told,) = lab.data.rglob("acquisition.stdout.txt")
        seen = told.read_text(encoding="utf-8")
        assert "RIG_COLOUR=red" in seen
        assert "correct-horse" not in seen and "battery" not in seen


class TestGit:
    @pytest.mark.not_in_wine("git has no shell there")
    def test_and_what_it_starts_get_only_credentials_of_their_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_git("init", "--quiet", cwd=tmp_path)
        theirs = {"GH_TOKEN": "a", "GIT_ASKPASS": "b", "SSH_AUTH_SOCK": "c", "GCM_CREDENTIAL_STORE": "d"}
        others = {"SLIMS_PASSWORD": "e", "AIND_LAUNCHER_PLUGIN__X__URL": "f", "UV_INDEX_LAB_PASSWORD": "g"}
        for name, value in (theirs | others).items():
            monkeypatch.setenv(name, value)
        # An alias is a program that git starts, as are its hooks and credential helpers.
        seen = git("-c", "alias.environment=!env", "environment", cwd=tmp_path).splitlines()
        assert {f"{name}={value}" for name, value in theirs.items()} <= set(seen)
        assert not [line for line in seen if line.partition("=")[0] in others]


class TestUv:
    def test_gets_the_credentials_of_its_indexes_beside_those_of_git(self) -> None:
        given = {"UV_INDEX_LAB_PASSWORD": "a", "Uv_Index_Lab_Username": "b", "GH_TOKEN": "c", "UV_DEFAULT_INDEX": "d"}
        others = {"SLIMS_PASSWORD": "e", "UV_PUBLISH_TOKEN": "f", "MY_SECRET": "g"}
        kept = _environment(given | others)
        assert given.items() <= kept.items()
        assert not others.keys() & kept.keys()


def test_no_program_is_started_with_all_of_the_launchers_environment() -> None:
    package = Path(aind_launcher.__file__).parent
    # The fixtures for plugin authors are no part of a session.
    files = [path for path in package.rglob("*.py") if path.name != "testing.py"]
    calls = [
        (path.name, node.lineno, {keyword.arg for keyword in node.keywords})
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen")
    ]
    assert calls
    assert [(name, line) for name, line, keywords in calls if "env" not in keywords] == []
