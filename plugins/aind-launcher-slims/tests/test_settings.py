"""The address of SLIMS, and the places where its account may be kept."""

from collections.abc import Iterator
from typing import Any

import keyring
import keyring.backend
import keyring.credentials
import keyring.errors
import pytest
from pydantic import SecretStr, ValidationError

from aind_launcher import LauncherError, SettingsError
from aind_launcher_slims.settings import SlimsSettings, find_credentials

SECRET = "only-for-tests"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "missing"),
        ("slims.example.org", "not an address"),
        ("ftp://slims.example.org/", "not an address"),
        ("https://", "not an address"),
        ("https://[::1/", "not an address"),
        ("https://slims.example.org/slimsrest/?a=1", "not an address"),
        (f"https://me:{SECRET}@slims.example.org/", "has an account in it"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as raised:
        SlimsSettings(url=url)
    messages = [error["msg"] for error in raised.value.errors(include_input=False)]
    assert SECRET not in "".join(messages)


class FakeKeyring(keyring.backend.KeyringBackend):
    """A keyring of this computer that holds one account, or is locked."""

    priority = 1
    locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked
        return SECRET if (service, username) == ("slims", "launcher") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise keyring.errors.PasswordSetError

    def get_credential(self, service: str, username: str | None) -> keyring.credentials.Credential | None:
        password = self.get_password(service, username or "launcher")
        return keyring.credentials.SimpleCredential(username or "launcher", password) if password else None


@pytest.fixture
def fake_keyring() -> Iterator[FakeKeyring]:
    before, fake = keyring.get_keyring(), FakeKeyring()  # type: ignore[no-untyped-call]
    keyring.set_keyring(fake)
    yield fake
    keyring.set_keyring(before)


def account(**settings: Any) -> tuple[str, str]:
    found = find_credentials(SlimsSettings.model_validate({"url": "https://slims.example.org/"} | settings))
    assert SECRET not in repr(found)
    return found.username, found.password.get_secret_value()


def test_credentials_come_from_the_keyring(fake_keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    assert account(keyring="slims") == ("launcher", SECRET)
    assert account(keyring="slims", username="launcher") == ("launcher", SECRET)
    monkeypatch.setenv("SLIMS_PASSWORD", "of the environment")
    assert account(keyring="slims") == ("launcher", SECRET), "what is configured comes before the environment"
    assert account(keyring="slims", username="me", password="set") == ("me", "set")


def test_a_keyring_that_cannot_help_says_so(fake_keyring: FakeKeyring) -> None:
    with pytest.raises(SettingsError, match="no account under 'other'"):
        account(keyring="other")
    fake_keyring.locked = True
    with pytest.raises(LauncherError, match="cannot be read") as raised:
        account(keyring="slims")
    assert "KeyringLocked" in raised.value.message


def test_credentials_come_from_the_environment_where_no_setting_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="no user name for SLIMS"):
        account()
    monkeypatch.setenv("SLIMS_USERNAME", "launcher")
    with pytest.raises(SettingsError, match="no password for SLIMS"):
        account()
    monkeypatch.setenv("SLIMS_PASSWORD", SECRET)
    assert account() == ("launcher", SECRET)
    assert SlimsSettings(url="https://slims.example.org/").password == SecretStr(SECRET), "so that it is redacted"
