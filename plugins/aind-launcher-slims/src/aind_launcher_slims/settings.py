"""The plugin's settings, and the credentials that they lead to."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, SecretStr, field_validator

from aind_launcher import LauncherError, SettingsError, SettingsModel


def _variable(name: str) -> Callable[[], str | None]:
    return lambda: os.environ.get(name) or None


class SlimsSettings(SettingsModel):
    """``[tool.aind-launcher.plugin.slims]``"""

    url: str = Field(
        default_factory=lambda: os.environ.get("SLIMS_URL", ""),
        validate_default=True,
        description="Address of SLIMS's REST interface, as in https://slims.example.org/slimsrest/. "
        "Without it: the environment variable SLIMS_URL.",
    )
    username: str | None = Field(
        default_factory=_variable("SLIMS_USERNAME"),
        description="Name of the SLIMS account. Without it: SLIMS_USERNAME, else the one that the keyring has.",
    )
    password: SecretStr | None = Field(
        default_factory=lambda: SecretStr(value) if (value := os.environ.get("SLIMS_PASSWORD")) else None,
        description="Password of the SLIMS account. Better not in a file: use keyring, or SLIMS_PASSWORD.",
    )
    keyring: str | None = Field(
        None,
        description="Name of the service under which the operating system's keyring keeps the account. "
        "Needs the extra aind-launcher-slims[keyring].",
    )
    timeout: PositiveFloat = Field(
        20, description="Seconds that SLIMS may take for one answer, from the start of the request to the last byte."
    )
    instrument: str | None = Field(
        None, description="Name of this rig's instrument in SLIMS. Without it: the rig file's rig_name."
    )
    record_without_suggestion: bool = Field(
        True,
        description="Whether sessions that no curriculum decides over are recorded too. "
        "They never change where the animal stands.",
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        """Nothing of `value` goes into the error: it may hold a password."""
        if not value.strip():
            raise ValueError("it is missing; set it, or the environment variable SLIMS_URL")
        try:
            parts = urlsplit(value.strip())
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise ValueError("it is not an address such as https://slims.example.org/slimsrest/")
        if parts.username is not None or parts.password is not None:
            raise ValueError("it has an account in it; use username and keyring, or SLIMS_USERNAME and SLIMS_PASSWORD")
        return value.strip()


@dataclass(frozen=True)
class Credentials:
    """An account in SLIMS.

    :param source: where it was found, for the error when SLIMS refuses it.
    """

    username: str
    password: SecretStr
    source: str

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """The password, and the account as an Authorization header has it, which a server may quote in an error."""
        password = self.password.get_secret_value()
        sent = encoded(self.username) + b":" + encoded(password)
        accounts = {sent, f"{self.username}:{password}".encode()}
        return (self.password, *(SecretStr(base64.b64encode(account).decode()) for account in accounts))


def encoded(text: str) -> bytes:
    """A user name or password as it is sent: Latin-1 as ever, UTF-8 where it has other letters."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def find_credentials(settings: SlimsSettings) -> Credentials:
    """The account to use: from the settings, else the keyring that they name, else the environment.

    :raises SettingsError: there is none.
    :raises LauncherError: the keyring cannot be read.
    """
    if settings.keyring and "password" not in settings.model_fields_set:
        return _from_keyring(settings.keyring, settings.username)
    if settings.username and settings.password and settings.password.get_secret_value():
        in_settings = "password" in settings.model_fields_set
        source = "the setting plugin.slims.password" if in_settings else "SLIMS_USERNAME and SLIMS_PASSWORD"
        return Credentials(settings.username, settings.password, source)
    missing = "password" if settings.username else "user name"
    raise SettingsError(
        f"There is no {missing} for SLIMS.",
        "Set plugin.slims.keyring, or the environment variables SLIMS_USERNAME and SLIMS_PASSWORD.",
    )


def _from_keyring(service: str, username: str | None) -> Credentials:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise SettingsError(
            "The setting plugin.slims.keyring needs the package keyring.", "pip install aind-launcher-slims[keyring]"
        ) from None
    try:
        found = keyring.get_credential(service, username)
    except KeyringError as error:
        raise LauncherError(
            f"The keyring of this computer cannot be read ({type(error).__name__}).",
            "Unlock it, or use SLIMS_USERNAME and SLIMS_PASSWORD.",
        ) from None
    if found is None or not found.password:
        raise SettingsError(
            f"The keyring has no {'password for the account' if username else 'account'} under {service!r}.",
            f"Add it with `keyring set {service} USERNAME`, and set plugin.slims.username where there are several.",
        )
    return Credentials(found.username, SecretStr(found.password), f"the keyring's {service!r}")
