"""What the page for plugin authors shows is what works."""

import re
from pathlib import Path

import pytest

from aind_launcher.testing import TaskRepositoryForTests

PAGE = Path(__file__).parent.parent / "docs" / "plugin-authors.md"
SECTION = "Asking the person at the rig"


def blocks(section: str) -> list[str]:
    """The Python code of a section of the page."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


@pytest.mark.parametrize("name", ["test_the_weight_is_kept", "test_the_question_waits_for_a_person"])
def test_the_plugin_that_asks_works_as_it_is_shown(task_repository: TaskRepositoryForTests, name: str) -> None:
    plugin, tests = blocks(SECTION)
    task_repository.write("scales.py", plugin)
    namespace: dict[str, object] = {}
    exec(compile(tests, str(PAGE), "exec"), namespace)  # noqa: S102 - our own page
    test = namespace[name]
    assert callable(test)
    test(task_repository)
