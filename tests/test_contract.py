"""The contract with a curriculum: its command lines, and the answers of real ones."""

import copy
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aind_launcher.curriculum.contract import Commands, SourceSettings, parse_list, read_suggestion, read_trainer_state
from aind_launcher.errors import AnimalError, CurriculumError, NoAnswer, UsageError
from aind_launcher.model.suggestion import CurriculumSuggestion

REAL = sorted(Path(__file__).with_name("data").joinpath("suggestions").glob("*.json"))

PYTHON = Path("env/bin/python")
SCRIPTS = Path("env/bin")
CLONE = Path("env/source")
DATA = Path("/data/a mouse_2026")
STATE = DATA / "behavior" / "trainer_state.json"


def commands_of(
    scripts: Path = SCRIPTS, platform: str = "linux", clone: Path = CLONE, inside: str = "", **settings_of_a_source: Any
) -> Commands:
    return Commands(SourceSettings(**settings_of_a_source), PYTHON, scripts, clone, inside, platform)


class TestTheCommandLine:
    def test_of_published_curricula(self) -> None:
        commands = commands_of(options={"window": 3, "shift": -0.5, "fast": True, "slow": False})
        program = str(SCRIPTS / "curriculum")
        asked = ["--data-directory", str(DATA), "--input-trainer-state", str(STATE)]
        assert commands.run(DATA, STATE, "A") == [program, "run", *asked, "--window", "3", "--shift=-0.5", "--fast"]
        assert commands.ask("list") == [program, "list"]
        assert commands.init("template") == [program, "init", "--curriculum", "template"]
        assert commands.init("template", "stage a") == [
            *(program, "init", "--curriculum", "template"),
            *("--stage", "stage a"),
        ]

    def test_of_the_older_form_has_no_other_verbs(self) -> None:
        commands = commands_of(contract="path", options={"window": 3, "fast": True})
        assert commands.run(DATA, STATE, "A") == [
            *(str(SCRIPTS / "curriculum"), "-run", f"--path={DATA}"),
            *("--window=3", "--fast"),
        ]
        assert (commands.ask("list"), commands.ask("version"), commands.init("a")) == (None,) * 3

    def test_names_the_executable_as_windows_does(self) -> None:
        assert commands_of(platform="win32").ask("version") == [str(SCRIPTS / "curriculum.exe"), "version"]

    def test_may_start_a_module_instead(self) -> None:
        commands = commands_of(module="my_curricula.cli")
        assert commands.ask("list") == [str(PYTHON), "-m", "my_curricula.cli", "list"]
        assert commands.run(DATA, STATE, "A")[:4] == [str(PYTHON), "-m", "my_curricula.cli", "run"]

    def test_may_be_any_other_with_placeholders(self) -> None:
        form = ["python", "decide.py", "{data_directory}", "--state={trainer_state}", "{curriculum}", "{}", "a;b $HOME"]
        commands = commands_of(contract=form)
        odd = Path("/data/{trainer_state} {0}")
        assert commands.run(odd, STATE, "{curriculum}") == [
            *(str(PYTHON), "decide.py", str(odd), f"--state={STATE}", "{curriculum}", "{}", "a;b $HOME"),
        ]
        assert commands.ask("list") is None

    def test_takes_what_its_contract_lacks_from_the_settings(self, tmp_path: Path) -> None:
        own = {
            "list": ["python", "decide.py", "--list"],
            "init": ["python", "decide.py", "--first", "{curriculum}", "--stage={stage}"],
            "version": ["decide-version"],
        }
        (tmp_path / "decide-version").touch()
        for contract in (["python", "decide.py", "{data_directory}"], "path", "default"):
            commands = commands_of(tmp_path, contract=contract, commands=own)
            assert commands.ask("list") == [str(PYTHON), "decide.py", "--list"]
            assert commands.ask("version") == [str(tmp_path / "decide-version")]
            assert commands.init("a b", "late {curriculum}") == [
                *(str(PYTHON), "decide.py", "--first", "a b", "--stage=late {curriculum}"),
            ]
            # The first stage is asked for by not naming one.
            assert commands.init("a") == [str(PYTHON), "decide.py", "--first", "a"]
            assert (commands.ask("dsl-version") is None) == (contract != "default")

    def test_without_a_place_for_a_stage_starts_at_the_first_alone(self) -> None:
        commands = commands_of(commands={"init": ["python", "first.py"]})
        assert commands.init("a") == [str(PYTHON), "first.py"]
        with pytest.raises(UsageError, match=r"'init' of this curriculum source takes no stage"):
            commands.init("a", "late")

    def test_starts_a_program_of_the_environment_or_of_the_clone(self, tmp_path: Path) -> None:
        scripts, clone = tmp_path / "bin", tmp_path / "clone"
        for path in (scripts / "decide", clone / "tools" / "decide.exe", clone / "mine" / "decide.exe"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o700)
        for program, place in (
            ("decide", scripts / "decide"),
            ("./decide.exe", clone / "mine" / "decide.exe"),
            ("../tools/decide.exe", clone / "tools" / "decide.exe"),
        ):
            commands = commands_of(scripts, clone=clone, inside="mine", contract=[program, "{data_directory}"])
            started, data = commands.run(DATA, STATE, "A")
            assert (Path(started).resolve(), data) == (place.resolve(), str(DATA))

    @pytest.mark.parametrize("program", ["other", "../other", "{outside}/other", "./link", "folder", "./not-there"])
    def test_starts_no_program_of_the_rig(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
        outside, clone = tmp_path / "outside", tmp_path / "outside" / "clone"
        (clone / "folder").mkdir(parents=True)
        (outside / "other").touch(mode=0o700)
        (clone / "link").symlink_to(outside / "other")
        monkeypatch.setenv("PATH", str(outside), prepend=os.pathsep)
        written = program.format(outside=outside)
        own = {"list": [written], "init": [written], "version": [written]}
        commands = commands_of(clone / "bin", clone=clone, contract=[written], commands=own)
        asked = (lambda: commands.run(DATA, STATE, "A"), lambda: commands.ask("version"), lambda: commands.init("a"))
        for ask in asked:
            with pytest.raises(CurriculumError, match=f"program {re.escape(written)} .*nor in its pinned source"):
                ask()

    @pytest.mark.parametrize("name", ["", "-rf", "--mute-suggestion", "a\nb", "a\0b"])
    def test_takes_no_name_for_an_option(self, name: str) -> None:
        commands = commands_of()
        with pytest.raises(UsageError, match="not a valid name of a curriculum"):
            commands.init(name)
        with pytest.raises(UsageError, match="not a valid name of a stage"):
            commands.init("template", name)


@pytest.mark.parametrize(
    ("settings_of_a_source", "what"),
    [
        ({"contract": ["x", "{session}"]}, r"\{session\}.*\{data_directory\}, \{trainer_state\}, \{curriculum\}"),
        ({"contract": []}, "is empty"),
        ({"contract": ["x"], "options": {"a": 1}}, "neither 'module' nor 'options'"),
        ({"commands": {"list": []}}, "is empty"),
        ({"commands": {"list": ["x", "{curriculum}"]}}, r"unknown placeholder \{curriculum\}. It takes none"),
        ({"commands": {"init": ["x", "{data_directory}"]}}, r"\{data_directory\}. Use \{curriculum\}, \{stage\}"),
        ({"commands": {"init": ["x", "--stage", "{stage}"]}}, r"Write '--stage=\{stage\}' as one argument"),
        ({"module": "my-module"}, "not the name of a Python module"),
        ({"module": "-c"}, "not the name of a Python module"),
        ({"options": {"--window": 3}}, "without leading dashes"),
        ({"options": {"data_directory": "/"}}, "is set by the launcher"),
        ({"options": {"a": "\0"}}, "NUL"),
    ],
)
def test_a_contract_that_cannot_work_is_refused(settings_of_a_source: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        SourceSettings(**settings_of_a_source)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("Available curricula:\n - depletion\n - template\n", ("depletion", "template")),
        ("WARNING: old\r\n* a_b: the first\r\n* c.d (default)\r\n- two words\r\n", ("a_b", "c.d")),
        ('loading\n["one", "two", "one"]\ndone', ("one", "two")),
        ('[\n  "one",\n  "two"\n]\n', ("one", "two")),
        ("[1, 2]\n[INFO] hello\none\ntwo\n", ("one", "two")),
        ("\ufeffone\n", ("one",)),
        ("nothing is available", ()),
        ("", ()),
    ],
)
def test_the_curricula_of_a_source_are_read_from(output: str, names: tuple[str, ...]) -> None:
    assert parse_list(output) == names


@pytest.fixture
def stdout(tmp_path: Path) -> Path:
    return tmp_path / "curriculum.stdout.txt"


def answer(stdout: Path, content: str | bytes) -> CurriculumSuggestion:
    stdout.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_suggestion(stdout)


@pytest.mark.parametrize("real", REAL, ids=lambda path: path.stem)
class TestARealAnswer:
    def test_is_kept_byte_for_byte(self, real: Path, stdout: Path) -> None:
        raw = real.read_bytes()
        suggestion = answer(stdout, b"\xef\xbb\xbfloading {\r\n" + raw + b'\r\n{"level": "info"}')
        assert suggestion.text.encode() == raw.strip()
        assert suggestion.trainer_state.text in suggestion.text
        assert json.loads(suggestion.trainer_state.text) == json.loads(raw)["trainer_state"]
        again = CurriculumSuggestion.model_validate_json(suggestion.model_dump_json())
        assert (again.text, again.trainer_state.text) == (suggestion.text, suggestion.trainer_state.text)

    def test_is_read_as_every_consumer_needs(self, real: Path) -> None:
        suggestion, document = read_suggestion(real), json.loads(real.read_bytes())
        state = suggestion.trainer_state
        assert (suggestion.version, suggestion.dsl_version) == (document["version"], document["dsl_version"])
        assert suggestion.metrics == document["metrics"]
        assert state.curriculum == "TemplateCurriculum"
        assert state.curriculum_version == document["version"]
        assert state.package == "aind_behavior_vr_foraging_curricula.template"
        assert state.stage == document["trainer_state"]["stage"]["name"]
        assert state.task == document["trainer_state"]["stage"]["task"]
        assert state.is_on_curriculum

    def test_is_the_dsls_own_model_on_demand(self, real: Path) -> None:
        state = read_suggestion(real).trainer_state
        typed = state.typed()
        assert typed.stage is not None and typed.curriculum is not None
        assert (typed.stage.name, typed.curriculum.name) == (state.stage, state.curriculum)
        # The graph's keys are integers again.
        assert all(isinstance(key, int) for key in typed.curriculum.graph.nodes)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from objects(item)


PLACES = [(real, index) for real in REAL for index in range(len(list(objects(json.loads(real.read_bytes())))))]


@settings(max_examples=150)
@given(st.sampled_from(PLACES), st.sampled_from([None, 1, "x", [], {"a": [{"b": 1}]}]), st.sampled_from([None, 2]))
def test_a_field_that_a_newer_dsl_adds_anywhere_is_kept(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Path, int], value: Any, indent: int | None
) -> None:
    real, index = place
    before = read_suggestion(real)
    document = copy.deepcopy(before.document)
    list(objects(document))[index]["field_of_tomorrow"] = value
    text = json.dumps(document, indent=indent)
    suggestion = answer(tmp_path_factory.mktemp("newer") / "stdout.txt", text + "\n")
    assert suggestion.text == text
    assert json.loads(suggestion.trainer_state.text) == document["trainer_state"]
    for field in ("curriculum", "curriculum_version", "package", "stage", "is_on_curriculum"):
        assert getattr(suggestion.trainer_state, field) == getattr(before.trainer_state, field)
    assert (suggestion.version, suggestion.dsl_version) == (before.version, before.dsl_version)


@pytest.mark.parametrize("real", REAL, ids=lambda path: path.stem)
@pytest.mark.parametrize("place", [(), ("curriculum",), ("curriculum", "graph"), ("stage",)], ids=".".join)
def test_a_state_of_a_newer_dsl_says_so_where_the_model_is_asked_for(
    real: Path, place: tuple[str, ...], stdout: Path
) -> None:
    document = json.loads(real.read_bytes())
    target = document["trainer_state"]
    for part in place:
        target = target[part]
    target["field_of_tomorrow"] = 1
    state = answer(stdout, json.dumps(document)).trainer_state
    with pytest.raises(AnimalError, match=r"TemplateCurriculum .* aind-behavior-curriculum \d.*field_of_tomorrow"):
        state.typed()


class TestAnAnswer:
    def test_is_the_last_of_two(self, stdout: Path) -> None:
        texts = [json.dumps({"trainer_state": {"curriculum": None, "stage": None}, "metrics": n}) for n in (1, 2)]
        assert answer(stdout, "\n".join(texts)).metrics == 2

    def test_keeps_the_text_of_its_trainer_state(self, stdout: Path) -> None:
        state = '{"curriculum" :\r\n null,"stage":  null, "x": [1.50, 1E2, NaN, "\\u00e9", {"trainer_state": 0}]}'
        text = f'{{ "trainer_state": 1,\r\n "metrics": {{"trainer_state": 2}} , "trainer_state" :  {state} }}'
        suggestion = answer(stdout, text)
        assert suggestion.text == text
        assert suggestion.trainer_state.text == state
        assert not suggestion.trainer_state.is_on_curriculum

    @pytest.mark.parametrize(
        ("output", "what"),
        [
            ("", r"printed nothing.*curriculum\.stdout\.txt.*mute"),
            ("all went well\n", r"no JSON object with 'trainer_state' and 'metrics'.*curriculum\.stdout\.txt"),
            ('{"metrics": {}}', "no JSON object with"),
            ('{"trainer_state": {"curriculum": ', "in no whole JSON object"),
            (b'{"trainer_state": {"curriculum": "\xff", "stage": 1}, "metrics": {}}', "in no whole JSON object"),
            ('{"trainer_state": null, "metrics": {}}', "cannot be used.*not a trainer state"),
            ('{"trainer_state": {"stage": 1}, "metrics": {}}', "needs the fields 'curriculum' and 'stage'"),
            (f'{{"trainer_state": {{"curriculum": 1, "stage": 1}}, "metrics": {"9" * 5000}}}', "in no whole"),
            ('{"trainer_state": {"curriculum": 1, "stage": 1}, "metrics": "\\ud800"}', "cannot be used"),
        ],
    )
    def test_that_is_none_says_what_it_lacks(self, output: str | bytes, what: str, stdout: Path) -> None:
        with pytest.raises(NoAnswer, match=what):
            answer(stdout, output)

    def test_that_vanished_says_so(self, stdout: Path) -> None:
        with pytest.raises(NoAnswer, match="cannot be read"):
            read_suggestion(stdout)


def test_the_first_trainer_state_of_an_animal_is_read_as_it_was_printed() -> None:
    state = json.dumps(json.loads(REAL[0].read_bytes())["trainer_state"], indent=1)
    assert read_trainer_state(f"loading {{\n{state}\ndone").text == state
    assert read_trainer_state('noise \udcff {"curriculum": null, "stage": null}').stage is None
    with pytest.raises(NoAnswer, match="printed no trainer state"):
        read_trainer_state("nothing")
