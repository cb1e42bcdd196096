"""A password that no setting has is hidden like one that a setting has."""

import keyring
import pytest
from keyring.backend import KeyringBackend

from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.settings import SlimsSettings


class OneEntry(KeyringBackend):
    priority = 1.0

    def get_password(self, service: str, username: str) -> str:
        return f"word-of-{service}-{username}"

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is written into a keyring")


def test_the_launcher_is_told_a_password_of_the_keyring() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(OneEntry())  # type: ignore[no-untyped-call]
    try:
        plugin = Slims(SlimsSettings(url="http://127.0.0.1/slimsrest", username="me", keyring="slims"))
        assert [secret.get_secret_value() for secret in plugin.secrets()] == ["word-of-slims-me"]
    finally:
        keyring.set_keyring(before)


def test_without_credentials_there_is_nothing_to_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIMS_USERNAME", raising=False)
    monkeypatch.delenv("SLIMS_PASSWORD", raising=False)
    assert Slims(SlimsSettings(url="http://127.0.0.1/slimsrest")).secrets() == ()
