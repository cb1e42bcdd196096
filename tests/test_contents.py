"""What is in an environment is what its packages contain, whatever other environments did to uv's cache."""

import base64
import hashlib
import time
import uuid
import zipfile
from pathlib import Path

import pytest
from repositories import curriculum_files, make_task_with_submodule

from aind_launcher.curriculum.contents import packages_unlike_their_record
from aind_launcher.curriculum.environments import Environment, alteration, ensure_environment, specify
from aind_launcher.curriculum.sources import find_sources, pin

REVIEWED = "def threshold(): return 0.8\n"


def make_wheel(folder: Path, name: str, *, recorded: str = REVIEWED) -> Path:
    """The wheel of a package with one module, `REVIEWED`.

    :param recorded: the text whose hash its RECORD has.
    """
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": REVIEWED,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [(path, hashlib.sha256((files | {f"{name}.py": recorded})[path].encode())) for path in files]
    hashes = [(path, base64.urlsafe_b64encode(row.digest()).decode().rstrip("=")) for path, row in rows]
    record = "".join(f"{path},sha256={hashed},\n" for path, hashed in hashes)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, text in (*files.items(), (f"{info}/RECORD", f"{record}{info}/RECORD,,\n")):
            wheel.writestr(inside, text)
    return path


@pytest.fixture
def package() -> str:
    """A name of its own, for uv's cache is that of this account."""
    return f"thresholds_{uuid.uuid4().hex[:8]}"


def build(folder: Path, name: str, wheel: Path) -> tuple[Environment, list[str]]:
    """Build the environment of a new curriculum that depends on `wheel`, and return what was said."""
    dependency = f"{wheel.name.partition('-')[0]} @ {wheel.as_uri()}"
    task = make_task_with_submodule(folder / name, curriculum_files(dependencies=[dependency]))
    (source,) = find_sources(task)
    said: list[str] = []
    return ensure_environment(specify(source, pin(source), folder / name / "cache"), said.append), said


def module_of(environment: Environment, package: str) -> Path:
    return next((environment.folder / "venv").rglob(f"{package}.py"))


def test_what_was_edited_in_another_environment_is_fetched_anew(tmp_path: Path, package: str) -> None:
    wheel = make_wheel(tmp_path, package)
    first, _ = build(tmp_path, "first", wheel)
    edited = module_of(first, package)
    linked = edited.stat().st_nlink > 1
    with edited.open("a", encoding="utf-8") as file:
        file.write("# tried something\n")
    assert packages_unlike_their_record(first.folder / "venv", time.time()) == (package,)

    second, said = build(tmp_path, "second", wheel)

    assert module_of(second, package).read_text("utf-8") == REVIEWED
    assert [line for line in said if "changed in uv's cache" in line] == (
        # Where uv copies files instead of linking them, its cache is as it was.
        [f"Fetching anew what was changed in uv's cache: {package}"] if linked else []
    )
    assert alteration(second) is None
    assert alteration(first) is not None


def test_a_package_whose_own_record_is_wrong_can_be_installed(tmp_path: Path, package: str) -> None:
    wheel = make_wheel(tmp_path, package, recorded="something else")
    for name in ("first", "second"):
        environment, _ = build(tmp_path, name, wheel)
        assert module_of(environment, package).read_text("utf-8") == REVIEWED
        assert packages_unlike_their_record(environment.folder / "venv", time.time()) == (package,)


def test_a_file_that_two_packages_have_belongs_to_the_last(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    for name, text in (("one", "1"), ("two", "2")):
        with zipfile.ZipFile(make_wheel(tmp_path, name, recorded=text)) as wheel:
            wheel.extractall(site)
        record = site / f"{name}-1.0.dist-info" / "RECORD"
        record.write_text(record.read_text("utf-8").replace(f"{name}.py", "shared.py"), encoding="utf-8")
    (site / "shared.py").write_text("2", encoding="utf-8")
    assert packages_unlike_their_record(tmp_path, 0) == ()


@pytest.mark.parametrize(
    ("row", "doubtful"),
    [
        ("", False),
        ("lonely", False),
        ("module.py,,", False),
        ("module.py,rot13=abc,1", False),
        ("module.py,sha256=abc,1", True),
        ("module.pyd,sha256=abc,1", False),
        ("a path that is too long for Windows,sha256=abc,1", False),
    ],
)
def test_a_package_is_doubted_for_what_its_record_says_of_its_code(tmp_path: Path, row: str, doubtful: bool) -> None:
    info = tmp_path / "Lib" / "site-packages" / "odd-1.0.dist-info"
    info.mkdir(parents=True)
    for name in ("module.py", "module.pyd"):
        (info.parent / name).touch()
    (info / "RECORD").write_text(f"{row}\n", encoding="utf-8")
    assert packages_unlike_their_record(tmp_path, 0) == (("odd",) if doubtful else ())
