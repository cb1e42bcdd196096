"""With which Python an environment is made: the one that is asked for, or none."""

import hashlib
import io
import json
import os
import platform
import shlex
import sys
import tarfile
from pathlib import Path

import pytest
from environments import OWN_PYTHON, the_spec
from repositories import commit, run_git, the_source

from aind_launcher.curriculum.environments import ensure_environment
from aind_launcher.errors import EnvironmentBuildError

# The same version as this one, in a form that only uv understands: uv is asked, and finds or fetches it.
SAME_FOR_UV = f"cpython@{OWN_PYTHON}"
# What uv writes into a Python that it has fetched.
SYSCONFIG = b"# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n"
OWN_PROGRAM = shlex.quote(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose uv has no Python and may fetch one, which is a script that starts this one."""
    script = f'#!/bin/sh\nexec {OWN_PROGRAM} "$@"\n'.encode()
    library = f"python/lib/python{OWN_PYTHON}/"
    # Large enough for uv to say that it is being fetched.
    files = {
        "python/bin/python3": script,
        f"python/bin/python{OWN_PYTHON}": script,
        f"{library}_sysconfigdata_.py": SYSCONFIG,
        f"{library}large": os.urandom(2_000_000),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    (tmp_path / "python.tar.gz").write_bytes(packed.getvalue())
    system, libc = ("darwin", "none") if sys.platform == "darwin" else ("linux", "gnu")
    arch = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    major, minor, patch = sys.version_info[:3]
    described = {
        **{"name": "cpython", "arch": {"family": arch, "variant": None}, "os": system, "libc": libc},
        **{"major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": None, "build": "20250101"},
        "url": (tmp_path / "python.tar.gz").as_uri(),
        "sha256": hashlib.sha256(packed.getvalue()).hexdigest(),
    }
    known = {f"cpython-{major}.{minor}.{patch}-{system}-{arch}-{libc}": described}
    (tmp_path / "downloads.json").write_text(json.dumps(known), encoding="utf-8")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", (tmp_path / "downloads.json").as_uri())
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))
    monkeypatch.setenv("UV_PYTHON_PREFERENCE", "only-managed")


@pytest.mark.integration
def test_of_several_lines_only_the_first_counts(task: Path, cache: Path) -> None:
    commit(task / "the curricula", {".python-version": f"3.99\n{OWN_PYTHON}\n"})
    commit(task)

    with pytest.raises(EnvironmentBuildError, match=r"needs Python 3\.99, which is not on this machine") as caught:
        ensure_environment(the_spec(task, cache))

    assert "Run `uv python install \"3.99\"`, or choose another with the setting 'python'" in str(caught.value.hint)


@pytest.mark.integration
@pytest.mark.posix_only("a version manager there is no script")
def test_a_version_manager_that_decides_by_folder_is_asked_in_the_sources_own(
    task: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "shims" / "pythonic"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\n[ -f .gitignore ] && exec {OWN_PROGRAM} "$@"\nexit 127\n', encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=os.pathsep)

    assert ensure_environment(the_spec(task, cache, python="pythonic")).python_version.startswith(OWN_PYTHON)


@pytest.mark.integration
@pytest.mark.posix_only("a Python there is no script")
def test_a_python_that_is_missing_is_fetched_and_that_is_shown(task: Path, cache: Path, downloads: None) -> None:
    told: list[str] = []
    environment = ensure_environment(the_spec(task, cache, python=SAME_FOR_UV), told.append)

    assert environment.python_version.startswith(OWN_PYTHON)
    assert [line for line in told if line.startswith(f"Downloading cpython-{OWN_PYTHON}.")]


@pytest.mark.integration
@pytest.mark.posix_only("a Python there is no script")
def test_settings_of_uv_that_git_ignores_have_no_say(task: Path, cache: Path, downloads: None) -> None:
    source = the_source(task).path
    exclude = source / run_git("rev-parse", "--git-path", "info/exclude", cwd=source)
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("uv.toml\n", encoding="utf-8")
    (source / "uv.toml").write_text('python-downloads = "never"\n', encoding="utf-8")

    environment = ensure_environment(the_spec(task, cache, python=SAME_FOR_UV))

    assert environment.python_version.startswith(OWN_PYTHON)


@pytest.mark.posix_only("a Python there is no script")
def test_a_python_that_cannot_be_fetched_for_want_of_a_connection_is_named_shortly(
    task: Path, cache: Path, downloads: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = (tmp_path / "downloads.json").read_text(encoding="utf-8")
    nowhere = known.replace((tmp_path / "python.tar.gz").as_uri(), "http://127.0.0.1:9/python.tar.gz")
    (tmp_path / "downloads.json").write_text(nowhere, encoding="utf-8")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(EnvironmentBuildError, match=r"\(and what uv would fetch was not reached\)") as caught:
        ensure_environment(the_spec(task, cache, python=SAME_FOR_UV))

    assert "when this machine is connected" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("variable", "value", "reason", "hint"),
    [
        ("UV_PYTHON_DOWNLOADS", "never", "Python downloads are set to 'never'", "Install it, or let uv fetch it"),
        ("UV_PYTHON_DOWNLOADS", "manual", "Python downloads are set to 'manual'", "Run `uv python install"),
        ("UV_OFFLINE", "1", "uv is set to offline mode", "Run `uv python install"),
    ],
)
@pytest.mark.posix_only("a Python there is no script")
def test_a_python_that_uv_may_not_fetch_is_named_with_the_reason(
    task: Path,
    cache: Path,
    downloads: None,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    reason: str,
    hint: str,
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(
        EnvironmentBuildError, match=f"needs Python .*, which is not on this machine .{reason}"
    ) as caught:
        ensure_environment(the_spec(task, cache, python=SAME_FOR_UV))

    assert str(caught.value.hint).startswith(hint)


@pytest.mark.posix_only("a Python there is no script")
def test_a_python_that_is_there_and_does_not_work_is_not_called_missing(
    task: Path, cache: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)

    with pytest.raises(EnvironmentBuildError, match=r"cannot be built: .*out of order"):
        ensure_environment(the_spec(task, cache, python=str(broken)))
