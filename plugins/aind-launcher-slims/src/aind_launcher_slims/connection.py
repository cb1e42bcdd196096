"""What the plugin asks of SLIMS: animals, their behaviour sessions, and the attachments of these."""

from collections.abc import Sequence

from aind_slims_api.models import (
    SlimsAttachment,
    SlimsBehaviorSession,
    SlimsInstrument,
    SlimsMouseContent,
    SlimsUser,
)
from slims.criteria import disjunction, equals_ignore_case

from aind_launcher import AnimalError, TransientError
from aind_launcher_slims.client import Client, NotThere
from aind_launcher_slims.settings import SlimsSettings, find_credentials


class UnknownAnimal(AnimalError):
    """No animal in SLIMS has that barcode."""


class Connection:
    """One account in one SLIMS. Nothing is sent before it is asked something.

    Every method raises `TransientError` where a second try may help and `LauncherError` where it will not.
    """

    def __init__(self, settings: SlimsSettings) -> None:
        self.url = settings.url
        self._client = Client(settings.url, find_credentials(settings), settings.timeout)

    def animal(self, subject: str) -> int:
        """The key of the animal with that barcode.

        :raises UnknownAnimal: there is none.
        :raises AnimalError: there are several.
        """
        with self._client.talking():
            found = self._client.fetch_models(SlimsMouseContent, barcode=subject)
        if not found:
            raise UnknownAnimal(
                f"SLIMS at {self.url} has no animal {subject}.", "Check the number, or register the animal in SLIMS."
            )
        if len(found) > 1:
            keys = " and ".join(str(animal.pk) for animal in found)
            raise AnimalError(
                f"SLIMS has {len(found)} animals with the barcode {subject} (records {keys}).",
                "Correct the barcode of the wrong one in SLIMS.",
            )
        return int(found[0].pk)

    def sessions(self, animal: int) -> list[SlimsBehaviorSession]:
        """All behaviour sessions of an animal, in no particular order."""
        with self._client.talking():
            return list(self._client.fetch_models(SlimsBehaviorSession, mouse_pk=animal))

    def add(self, session: SlimsBehaviorSession) -> SlimsBehaviorSession:
        with self._client.talking():
            return self._client.add_model(session)

    def update(self, session: SlimsBehaviorSession, fields: Sequence[str]) -> SlimsBehaviorSession:
        """Write these fields of a session; what others changed in the rest stays."""
        with self._client.talking():
            return self._client.update_model(session, *fields)

    def attachments(self, session: SlimsBehaviorSession) -> list[SlimsAttachment]:
        """The attachments of a session, newest first."""
        with self._client.talking():
            found = self._client.fetch_attachments(session)
        return sorted(found, key=lambda attachment: int(attachment.pk), reverse=True)

    def attach(self, session: SlimsBehaviorSession, name: str, text: str) -> None:
        with self._client.talking():
            self._client.add_attachment_content(session, name, text)

    def content(self, attachment: SlimsAttachment) -> str:
        """The text of an attachment, as it was stored.

        :raises TransientError: SLIMS lists an attachment some time before it gives its content.
        """
        try:
            with self._client.talking():
                content: bytes = self._client.fetch_attachment_content(attachment).content
        except NotThere:
            content = b""
        if not content:
            raise TransientError(
                f"SLIMS does not give the content of attachment {attachment.pk} ({attachment.name}) yet.",
                "Try again in a minute.",
            )
        return content.decode("utf-8", "backslashreplace")

    def instruments(self, name: str) -> list[int]:
        """The keys of the instruments of that name, the newest first."""
        with self._client.talking():
            found = self._client.fetch_models(SlimsInstrument, name=name)
        # SLIMS numbers its records as they are written.
        return sorted((int(instrument.pk) for instrument in found), reverse=True)

    def trainers(self, names: Sequence[str]) -> dict[str, int]:
        """The keys of those of these users that SLIMS knows, by the name they were asked for."""
        if not names:
            return {}
        anyone = disjunction()
        for name in names:
            anyone.add(equals_ignore_case("username", name))
        with self._client.talking():
            users = {user.username.casefold(): int(user.pk) for user in self._client.fetch_models(SlimsUser, anyone)}
        return {name: users[name.casefold()] for name in names if name.casefold() in users}
