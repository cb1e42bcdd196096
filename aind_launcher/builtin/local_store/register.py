"""An animal's register on disk: one small file for each ticket, named by its number, whole, and read without a lock."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from aind_launcher.builtin.local_store.history import reading
from aind_launcher.model.register import RegisterEntry, Ticket
from aind_launcher.system.files import create_whole, read_whole, write_whole

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 16
# Entries that are read at most for one that tells something.
_LOOKED_AT = 20


@dataclass(frozen=True)
class Register:
    """The folder of one animal's tickets. Whatever reads it raises `AnimalError` where it cannot be read."""

    folder: Path

    def numbers(self) -> list[int]:
        """All that were given, in their order."""
        with suppress(FileNotFoundError), reading(self.folder):
            names = [path.name for path in self.folder.iterdir() if path.suffix == ".json"]
            return sorted(int(name[:-5]) for name in names if name[:-5].isdecimal())
        return []

    def entry(self, number: int) -> RegisterEntry | None:
        """One entry; None where there is none, or where its launcher was killed while it wrote it."""
        with suppress(FileNotFoundError, ValidationError), reading(self._file(number)):
            return RegisterEntry.model_validate_json(read_whole(self._file(number)))
        return None

    def newest(
        self, count: int, suffice: Callable[[Sequence[RegisterEntry]], bool] | None = None
    ) -> tuple[RegisterEntry, ...]:
        """The newest entries that can be read, oldest first.

        :param suffice: entries before them are added, one by one, until all together do; none is looked for for ever.
        """
        numbers = self.numbers()
        found = self.entries(numbers[-count:])
        for number in reversed(numbers[-_LOOKED_AT:-count]):
            if suffice is None or suffice(found):
                break
            found = (*self.entries([number]), *found)
        return found

    def entries(self, numbers: Sequence[int]) -> tuple[RegisterEntry, ...]:
        """These entries, but for what cannot be read."""
        return tuple(entry for entry in at_once(self.entry, numbers) if entry)

    def next_ticket(self) -> Ticket | None:
        """The one that will be given next; None before the first."""
        numbers = self.numbers()
        last = next(filter(None, map(self.entry, reversed(numbers))), None)
        return Ticket(register_id=last.ticket.register_id, number=numbers[-1] + 1) if last else None

    def allot(self, about: Mapping[str, Any], known: Iterable[Ticket | None] = ()) -> RegisterEntry:
        """A new ticket and its entry, written.

        :param about: the entry, without its ticket.
        :param known: tickets of this animal that its stores and this rig know of. One above all that this register has
            given shows that it is an old copy.
        :raises OSError: it cannot be written.
        """
        numbers = self.numbers()
        last = next(filter(None, map(self.entry, reversed(numbers))), None)
        register_id = last.ticket.register_id if last else uuid.uuid4().hex[:12]
        highest = numbers[-1] if numbers else 0
        if any(ticket and ticket.register_id == register_id and ticket.number > highest for ticket in known):
            register_id = uuid.uuid4().hex[:12]
        number = highest
        while True:
            number += 1
            entry = RegisterEntry(ticket=Ticket(register_id=register_id, number=number), **about)
            try:
                create_whole(self._file(number), _text(entry))
                return entry
            except FileExistsError:
                # Another rig was faster, where the file system has no locks.
                if taken := self.entry(number):
                    register_id = taken.ticket.register_id

    def write(self, entry: RegisterEntry) -> None:
        """Put `entry` into the place of the one of its ticket.

        :raises OSError: it cannot be written.
        """
        write_whole(self._file(entry.number), _text(entry))

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


def at_once(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of each item, in their order, several at a time: a share answers them sooner so."""
    if len(items) < 3:
        return [*map(function, items)]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as readers:
        return list(readers.map(function, items))


def _text(entry: RegisterEntry) -> str:
    return entry.model_dump_json(indent=2, by_alias=True, exclude_none=True)
