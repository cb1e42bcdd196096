"""A known secret is hidden in every form in which servers and libraries write it, and the rest of a text is kept."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from command_line import call, launch
from hypothesis import given
from hypothesis import strategies as st
from task_repositories import laboratory

from aind_launcher.builtin.acquisition import AcquisitionProgram
from aind_launcher.system.redaction import HIDDEN, Redactor
from aind_launcher.testing import TaskRepositoryForTests

# As long as passwords are, and of any characters but those that no header and no address can carry.
WRITABLE = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
SECRETS = st.text(WRITABLE, min_size=5, max_size=40)
# Without the character that stands for a hidden one.
AROUND = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="*"))
ANYTHING = st.binary(max_size=30)
BASE64 = {"standard": base64.b64encode, "of addresses": base64.urlsafe_b64encode}
IN_TEXT: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "quote": lambda text: quote(text, safe=""),
    "quote, in small letters": lambda text: _small(quote(text, safe="")),
    "quote_plus": quote_plus,
    "quote_plus, in small letters": lambda text: _small(quote_plus(text)),
    "encodeURIComponent": lambda text: quote(text, safe="!*'()"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not escaped": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON for HTML": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
}


def _small(text: str) -> str:
    """The escapes of `text` in small letters."""
    head, *escaped = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in escaped)])


def nothing_is_left_but(before: str, after: str, shown: str) -> bool:
    """Whether all that `shown` does not hide belongs to `before` or `after`."""
    first, *between, last = shown.split(HIDDEN) if HIDDEN in shown else (shown, shown)
    return before.startswith(first) and after.endswith(last) and all(x in before or x in after for x in between)


@pytest.mark.parametrize("encode", BASE64.values(), ids=BASE64)
@given(secret=SECRETS, before=ANYTHING, after=ANYTHING)
def test_no_character_of_base64_that_has_a_bit_of_a_secret_is_left(
    encode: Callable[[bytes], bytes], secret: str, before: bytes, after: bytes
) -> None:
    hidden = secret.encode()
    encoded = encode(before + hidden + after).decode()
    # Six bits a character.
    first, last = len(before) * 8 // 6, -(-(len(before) + len(hidden)) * 8 // 6)
    assert nothing_is_left_but(encoded[:first], encoded[last:], Redactor(frozenset({secret}))(encoded))


@pytest.mark.parametrize("write", IN_TEXT.values(), ids=IN_TEXT)
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_no_character_of_a_secret_is_left(write: Callable[[str], str], secret: str, before: str, after: str) -> None:
    shown = Redactor(frozenset({secret}))(write(before + secret + after))
    assert nothing_is_left_but(write(before), write(after), shown)


@given(secrets=st.frozensets(st.sampled_from(["abab", "baba", "bab", "abc", "cab"]), min_size=1), text=st.text("abc"))
def test_secrets_that_overlap_are_hidden_as_a_whole(secrets: frozenset[str], text: str) -> None:
    shown = Redactor(secrets)(text)
    assert not any(secret in part for secret in secrets for part in shown.split(HIDDEN))
    covered = {at + n for x in secrets for at in range(len(text)) if text.startswith(x, at) for n in range(len(x))}
    assert shown.replace("*", "") == "".join(letter for at, letter in enumerate(text) if at not in covered)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Authorization: Basic " + base64.b64encode(b"me:correct-horse").decode(),
            "Authorization: Basic bWU6**********",
        ),
        ("GET /rest?password=correct%2Dhorse&x=1", "GET /rest?password=**********&x=1"),
        ("correct-horse, correct-horse's and incorrect", "**********, **********'s and incorrect"),
        ("the correct horse, Y29ycmVjdA", "the correct horse, Y29ycmVjdA"),
    ],
)
def test_the_rest_of_a_text_is_kept(text: str, shown: str) -> None:
    assert Redactor(frozenset({"correct-horse"}))(text) == shown


def test_the_server_that_got_a_password_in_another_encoding_is_understood() -> None:
    redact = Redactor(frozenset({"wäre-längst"}))
    # As HTTP's Basic was first defined, and as `requests` still writes it.
    assert redact(base64.b64encode("me:wäre-längst".encode("latin-1")).decode()) == "bWU6**********"
    assert redact("w%E4re-l%e4ngst") == HIDDEN


def test_short_secrets_are_hidden_only_as_they_are() -> None:
    # Three or four letters of base64 stand in many words and names of files.
    redact = Redactor(frozenset({"pass"}))
    assert redact("pass: " + base64.b64encode(b"pass").decode()) == "**********: cGFzcw=="


ECHO = """
    import base64, logging, urllib.parse
    from pydantic import BaseModel, SecretStr
    from aind_launcher import Check, hookimpl

    class Echo:
        class Settings(BaseModel):
            password: SecretStr

        def __init__(self, settings):
            password = settings.password.get_secret_value()
            header = base64.b64encode(f"me:{password}".encode()).decode()
            self.said = f"401 for Basic {header} at ?p={urllib.parse.quote(password)}"

        @hookimpl
        def pre_session(self, session):
            return Check(name="echo", outcome="warning", message=self.said)

        @hookimpl
        def post_session(self, session):
            logging.getLogger("echo").error("got %s", self.said)
            raise ConnectionError(self.said)

        @hookimpl
        def transfer_session(self, session):
            return {"answer": self.said}
"""


def test_what_a_server_echoes_reaches_neither_screen_nor_journal_nor_data(tmp_path: Path) -> None:
    password = "correct/horse+battery"
    lab = laboratory(tmp_path, ECHO, names={"echo": "Echo"})
    environment = {"AIND_LAUNCHER_PLUGIN__ECHO__PASSWORD": password}
    ended = launch("run", "--subject", "123456", "--experimenter", "me", cwd=lab.path, environment=environment)
    assert ended.code == 1, ended.err
    kept = [path for folder in (lab.data, lab.state) for path in folder.rglob("*") if path.is_file()]
    assert {"log.jsonl", "session.json", "journal.sqlite"} <= {path.name for path in kept}
    told = {path.name: path.read_bytes() for path in kept}
    told |= {"stdout": ended.out.encode(), "stderr": ended.err.encode()}
    assert "401 for Basic" in ended.out + ended.err
    parts = (base64.b64encode(f"me:{password}".encode())[4:-4], quote(password).encode(), password.encode())
    assert {name for name, text in told.items() if any(part in text for part in parts)} == set()


SECRETIVE = """
from pydantic import BaseModel, SecretStr
from aind_launcher import hookimpl


class Secretive:
    class Settings(BaseModel):
        word: SecretStr

    def __init__(self, settings):
        self.word = settings.word.get_secret_value()

    @hookimpl
    def post_session(self):
        return {"record": 412345, "url": f"https://me:{self.word}@there"}
"""


@pytest.mark.parametrize("word", ["123", 'pä"ss'])
def test_secrets_are_hidden_text_by_text(task_repository: TaskRepositoryForTests, word: str) -> None:
    task_repository.write("mine.py", SECRETIVE)
    section = f"[tool.aind-launcher.plugin.secretive]\nword = {json.dumps(word)}"
    task_repository.configure(section, plugins={"secretive": "mine:Secretive"})
    outcome = task_repository.run()
    result = task_repository.steps(outcome.session.name)["post_session", "secretive"].result
    assert result == {"record": 412345, "url": "https://me:**********@there"}


@pytest.mark.parametrize("word", ["202"])
def test_a_secret_that_may_stand_in_a_date_or_in_a_ticket_leaves_them_whole(
    task_repository: TaskRepositoryForTests, word: str
) -> None:
    task_repository.write("mine.py", SECRETIVE)
    section = f"[tool.aind-launcher.plugin.secretive]\nword = {json.dumps(word)}"
    task_repository.configure(section, plugins={"secretive": "mine:Secretive"})
    session = task_repository.run().session
    assert session.acquisition and session.acquisition.outcome == "completed"
    steps = task_repository.steps(session.name)
    assert session.ticket and steps["begin_session", "local-store"].result == session.ticket.model_dump()


class TestTheAcquisitionsOwnVariables:
    VARIABLES = 'environment = { MY_TASK_display = "training", LAB_API_KEY = "correct-horse" }'

    def laboratory(self, folder: Path) -> TaskRepositoryForTests:
        settings = f'disable = ["isolated-curriculum"]\n[tool.aind-launcher.plugin.acquisition]\n{self.VARIABLES}'
        said = """
            from aind_launcher import hookimpl

            @hookimpl
            def post_session(session):
                return "training with correct-horse"
        """
        lab = laboratory(folder, said)
        lab.configure(settings, {"more": "more"})
        return lab

    @pytest.mark.parametrize("form", [(), ("--json",)])
    def test_are_named_and_not_shown_among_the_settings(self, tmp_path: Path, form: tuple[str, ...]) -> None:
        shown = call("config", "show", *form, cwd=self.laboratory(tmp_path).path).out
        assert "training" not in shown and "correct-horse" not in shown
        for name in ("MY_TASK_display", "LAB_API_KEY"):
            (line,) = [line for line in shown.split("{" if form else "\n") if name in line]
            assert (f"plugin.acquisition.environment.{name}" in line, HIDDEN in line, "pyproject.toml" in line) == (
                True,
                True,
                True,
            )

    def test_are_hidden_elsewhere_where_their_names_are_those_of_credentials(self, tmp_path: Path) -> None:
        # Hiding every value, such as "training" or "D:/data", would leave little of a log or of a step's result.
        lab = self.laboratory(tmp_path)
        name = lab.run().session.name
        assert lab.steps(name)["post_session", "more"].result == "training with **********"

    def test_reach_the_program_as_they_are(self) -> None:
        settings = AcquisitionProgram.Settings(environment={"LAB_API_KEY": "correct-horse"})
        assert AcquisitionProgram(settings).settings.environment == {"LAB_API_KEY": "correct-horse"}


LEAKY = """
    from pydantic import BaseModel, SecretBytes, SecretStr
    from aind_launcher import hookimpl

    class Leaky:
        class Settings(BaseModel):
            password: SecretStr
            key: SecretBytes
            at: str

        def __init__(self, settings):
            self.told = f"{settings.password.get_secret_value()} and {settings.key.get_secret_value().decode()}"
            if settings.at == "start":
                raise ValueError(f"cannot log in with {self.told}")

        @hookimpl
        def pre_session(self, session):
            raise ValueError(f"cannot log in with {self.told}")
"""


@pytest.mark.parametrize("at", ["start", "session"])
def test_an_error_of_a_plugin_is_shown_without_its_secrets(tmp_path: Path, at: str) -> None:
    settings = f"""
        [tool.aind-launcher.plugin.leaky]
        password = "hunter2/Hunter+3"
        key = "key of eight bytes"
        at = "{at}"
    """
    lab = laboratory(tmp_path, LEAKY, settings, {"leaky": "Leaky"})
    ended = launch("run", "--subject", "123456", "-v", cwd=lab.path)
    assert "cannot log in with" in ended.err
    assert not [secret for secret in ("hunter2", "eight bytes") if secret in ended.err + ended.out]


def test_what_nobody_foresaw_is_reported_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = """
        [tool.aind-launcher.plugin.leaky]
        password = "hunter2/Hunter+3"
        key = "key of eight bytes"
        at = "no time"
    """
    lab = laboratory(tmp_path, LEAKY, settings, {"leaky": "Leaky"})

    def fails(*_: object) -> None:
        raise RuntimeError("a library met hunter2/Hunter+3")

    monkeypatch.setattr("aind_launcher.lifecycle.run.run_session", fails)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = call("run", "--subject", "123456", cwd=lab.path)
    assert (ended.code, "a library met" in ended.err) == (1, True)
    (report,) = tmp_path.glob("aind-launch-*.txt")
    assert "hunter2" not in ended.err + report.read_text(encoding="utf-8")


def test_what_an_operator_types_leaves_without_secrets_and_so_does_what_a_store_says_of_a_closed_session(
    tmp_path: Path,
) -> None:
    vault = """
        from pydantic import BaseModel, SecretStr
        from aind_launcher import hookimpl
        from aind_launcher.builtin.local_store.library import Library

        class Store(Library):
            def report(self, status):
                raise RuntimeError("401 for lab:hunter2-secret@db")

        class Vault:
            class Settings(BaseModel):
                password: SecretStr = SecretStr("hunter2-secret")

            def __init__(self, settings):
                self.settings = settings

            @hookimpl(tryfirst=True)
            def animal_store(self, repository, experiment):
                return Store(repository.parent / "library", "climbing")
    """
    lab = laboratory(tmp_path, vault, names={"vault": "Vault"})
    lab.break_curriculum()
    typed = ("--notes", "password hunter2-secret", "--experimenter", "hunter2-secret")
    run = launch("run", "--subject", "123456", "--json", *typed, cwd=lab.path)
    assert (run.code, json.loads(run.out)["card"]["notes"]) == (1, f"password {HIDDEN}")
    closed = launch("sessions", "close", json.loads(run.out)["session"], "--reason", "lost", cwd=lab.path)
    assert (closed.code, "401 for lab:" in closed.err) == (0, True)
    told = {"run": run.out + run.err, "close": closed.out + closed.err}
    told |= {str(path): path.read_text("utf-8", "replace") for path in lab.root.rglob("*.json*")}
    assert [where for where, text in told.items() if "hunter2" in text] == []


@pytest.mark.parametrize("command", [("today",), ("animals", "list"), ("animals", "show", "123456")])
def test_what_a_store_says_to_a_command_is_shown_without_its_secrets(tmp_path: Path, command: tuple[str, ...]) -> None:
    store = """
        from pydantic import BaseModel, SecretStr
        from aind_launcher import LauncherError, hookimpl
        from aind_launcher.builtin.local_store.library import Library

        class Store(Library):
            def overview(self):
                raise LauncherError("The store says: 401 for lab:hunter2-secret@db.", "Ask hunter2-secret.")

            def animals(self):
                return self.overview()

            def read(self, subject):
                return self.overview()

        class Vault:
            class Settings(BaseModel):
                password: SecretStr = SecretStr("hunter2-secret")

            def __init__(self, settings):
                self.settings = settings

            @hookimpl
            def animal_store(self, repository, experiment):
                return Store(repository.parent / "library", "climbing")
    """
    lab = laboratory(tmp_path, store, names={"vault": "Vault"})
    ended = call(*command, cwd=lab.path)
    assert (ended.code, "The store says: 401" in ended.err) == (1, True), ended.err
    assert "hunter2" not in ended.err + ended.out
