"""A password that no setting has is hidden like one that a setting has, and so is what a request makes of it."""

import base64

import keyring
import pytest
from conftest import MONDAY, plugin_for, session_of
from keyring.backend import KeyringBackend

from aind_launcher import LauncherError
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.settings import SlimsSettings
from aind_launcher_slims.wire_double import SlimsDouble


class OneEntry(KeyringBackend):
    priority = 1.0

    def get_password(self, service: str, username: str) -> str:
        return f"word-of-{service}-{username}"

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is written into a keyring")


def values(plugin: Slims) -> list[str]:
    return [secret.get_secret_value() for secret in plugin.secrets()]


def test_the_launcher_is_told_a_password_of_the_keyring() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(OneEntry())  # type: ignore[no-untyped-call]
    try:
        plugin = Slims(SlimsSettings(url="http://127.0.0.1/slimsrest", username="me", keyring="slims"))
        assert "word-of-slims-me" in values(plugin)
    finally:
        keyring.set_keyring(before)


def test_without_credentials_there_is_nothing_to_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIMS_USERNAME", raising=False)
    monkeypatch.delenv("SLIMS_PASSWORD", raising=False)
    assert Slims(SlimsSettings(url="http://127.0.0.1/slimsrest")).secrets() == ()


@pytest.mark.parametrize(
    ("username", "password"),
    [("launcher", "only-for-tests"), ("Müller", "größe"), ("Müller", "пароль"), ("me", "a" * 150)],
)
def test_what_an_authorization_header_has_is_secret_too(
    slims: SlimsDouble, caplog: pytest.LogCaptureFixture, username: str, password: str
) -> None:
    slims.fault(echoes=True)
    plugin = plugin_for(slims, username=username, password=password)
    with pytest.raises(LauncherError, match=r"\(400\): Invalid request. Authorization: Basic \S+") as raised:
        plugin.post_session(session_of(MONDAY), None)
    sent = slims.exchanges[0].authorization
    assert sent is not None and sent.removeprefix("Basic ") in values(plugin)
    assert base64.b64encode(f"{username}:{password}".encode()).decode() in values(plugin)
    said = str(raised.value) + caplog.text
    assert not any(secret[:20] in said for secret in values(plugin)), "not even a part of it"
