"""Tables in a pipe."""

import pytest

from aind_launcher.cli.printing import print_table


def test_columns_of_a_table_in_a_pipe_stand_below_each_other_in_any_script(capsys: pytest.CaptureFixture[str]) -> None:
    # Two cells each for the first, one for both characters of the second.
    for name, cells in (("小鼠", 4), ("e\u0301", 1), ("mouse", 5)):
        print_table(("", ""), [(name, "first"), ("a longer name", "second")], empty="")
        first, second = capsys.readouterr().out.splitlines()
        padding = " " * (len("a longer name") + 2 - cells)
        assert first == f"{name}{padding}first"
        assert second == "a longer name  second"
