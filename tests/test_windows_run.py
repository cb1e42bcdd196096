"""What `python3 noxfile.py windows` makes of the results that pytest leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pathlib
import pytest

class TestPaths:
    @pytest.mark.parametrize("name", ["a.b", "c d"])
    def test_of_wine(self, name):
        mark = pathlib.Path(name + ".was-here")
        if not mark.exists():
            mark.touch()
            raise OSError("[WinError 1359] Internal error")

def test_of_ours():
    assert False, "a defect"

@pytest.mark.skip(reason="not_in_wine: no links")
def test_of_links():
    pass

def test_that_passes():
    pass
"""


@pytest.mark.posix_only("the run is for Linux")
@pytest.mark.integration
def test_wines_own_error_is_met_by_a_second_try_and_a_defect_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "windows")
    import run

    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_all.py").write_text(SUITE, encoding="utf-8")
    report = run.Report()

    def tried(*names: str) -> None:
        command = (sys.executable, "-m", "pytest", "-q", "--junitxml=x.xml", "-o", "junit_family=xunit1", *names)
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        report.add(tmp_path / "x.xml")

    tried("tests")
    assert (len(report.failed), report.passed) == (3, 1)
    tried(*(name for name, text in report.failed.items() if run.INTERNAL_ERROR.search(text)))
    assert list(report.failed) == ["tests/test_all.py::test_of_ours"]
    assert report.skipped == {"tests/test_all.py::test_of_links": "not_in_wine: no links"}
    assert report.passed == 3
