"""An animal's register on disk: one small file for each ticket, named by its number, whole, and read without a lock."""

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from pydantic import ValidationError

from aind_launcher.builtin.local_store.reading import reading
from aind_launcher.errors import AnimalError
from aind_launcher.model.register import LOOKED_AT, RegisterEntry, Ticket
from aind_launcher.model.store import AnimalRecord
from aind_launcher.system.files import create_whole, read_whole, write_whole

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 16
# Seconds after which it is looked whether Ctrl-C was pressed.
_PIECE = 0.1
# Seconds for which another rig may be writing its entry, where the file system has no hard links.
_BEING_WRITTEN = 1.0


@dataclass(frozen=True)
class Register:
    """The folder of one animal's tickets. Whatever reads it raises `AnimalError` where the folder cannot be read."""

    folder: Path

    def numbers(self) -> list[int]:
        """All that were given, in their order."""
        with suppress(FileNotFoundError), reading(self.folder):
            names = [path.name for path in self.folder.iterdir() if path.suffix == ".json"]
            return sorted(int(name[:-5]) for name in names if name[:-5].isdecimal())
        return []

    def entry(self, number: int) -> RegisterEntry | None:
        """One entry; None where there is none, or where it cannot be read: one bad file must not stop the animal."""
        try:
            return self.readable(number)
        except AnimalError as error:
            logger.debug("%s It is passed over.", error.message)
            return None

    def readable(self, number: int) -> RegisterEntry | None:
        """One entry; None where there is none, or where its launcher was killed while it wrote it.

        :raises AnimalError: it is there and cannot be read.
        """
        with suppress(FileNotFoundError, ValidationError), reading(self._file(number)):
            return RegisterEntry.model_validate_json(read_whole(self._file(number)))
        return None

    def newest(
        self,
        count: int,
        suffice: Callable[[Sequence[RegisterEntry]], bool] | None = None,
        numbers: Sequence[int] | None = None,
    ) -> tuple[RegisterEntry, ...]:
        """The newest entries that can be read, oldest first.

        :param suffice: entries before them are read, too, until all together do; at most `LOOKED_AT`.
        :param numbers: all that were given, where they were listed already.
        """
        numbers = self.numbers() if numbers is None else numbers
        found = self.entries(numbers[-count:])
        for number in reversed(numbers[-LOOKED_AT:-count]):
            if suffice is None or suffice(found):
                break
            found = (*self.entries([number]), *found)
        return found

    def entries(self, numbers: Sequence[int]) -> tuple[RegisterEntry, ...]:
        """These entries, but for what cannot be read."""
        return tuple(entry for entry in at_once(self.entry, numbers) if entry)

    def next_ticket(self) -> Ticket | None:
        """The one that will be given next; None before the first."""
        register_id, highest = self._last()
        return Ticket(register_id=register_id, number=highest + 1) if register_id else None

    def put_the_animal(self, number: int) -> bool:
        """Whether the animal was put somewhere by what has this number."""
        entry = self.entry(number)
        return entry is not None and entry.put_the_animal

    def allot(self, entry: RegisterEntry, known: Iterable[Ticket | None] = (), *, above: int = 0) -> RegisterEntry:
        """`entry` with a new ticket, written.

        :param known: tickets of this animal that its stores and this rig know of. One above all that this register has
            given shows that it is an old copy.
        :param above: a number that files of the animal have, also where its register is lost.
        :raises OSError: it cannot be written.
        """
        tickets = [ticket for ticket in known if ticket]
        number = max([above, *(ticket.number for ticket in tickets)])
        while True:
            register_id, highest = self._last()
            if any(ticket.register_id == register_id and ticket.number > highest for ticket in tickets):
                register_id = None
            number = max(number, highest) + 1
            ticket = Ticket(register_id=register_id or uuid.uuid4().hex[:12], number=number)
            entry = entry.model_copy(update={"ticket": ticket})
            # Another rig may be faster, where the file system has no locks.
            with suppress(FileExistsError):
                create_whole(self._file(number), _text(entry))
                return entry

    def _last(self) -> tuple[str | None, int]:
        """The id of this register, None before its first entry, and the highest number that was given."""
        deadline = time.monotonic() + _BEING_WRITTEN
        while True:
            numbers = self.numbers()
            last = next(filter(None, map(self.entry, reversed(numbers))), None)
            if last or not numbers or time.monotonic() >= deadline:
                return last.ticket.register_id if last else None, numbers[-1] if numbers else 0
            time.sleep(0.02)

    def write(self, entry: RegisterEntry) -> None:
        """Put `entry` into the place of the one of its ticket.

        :raises OSError: it cannot be written.
        """
        write_whole(self._file(entry.number), _text(entry))

    def unread(self, numbers: Sequence[int], read: AnimalRecord) -> Path | None:
        """The newest entry that is damaged, unless a session that could be read came after it."""
        known = {entry.number for entry in read.entries}
        after = read.last_session.number if read.last_session else 0
        damaged = [number for number in numbers[-LOOKED_AT:] if number > after and number not in known]
        return self._file(damaged[-1]) if damaged else None

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


def at_once(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of each item, in their order, several at a time: a share answers them sooner so.

    Ctrl-C ends it also while a share hangs, and the program after it: no thread is waited for.
    """
    if len(items) < 3:
        return [*map(function, items)]
    left = deque(enumerate(items))
    ended: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()

    def read() -> None:
        while True:
            try:
                number, item = left.popleft()
            except IndexError:
                return
            try:
                ended.put((number, function(item), None))
            except BaseException as problem:  # for whoever called to judge
                ended.put((number, None, problem))

    for _ in range(min(_AT_ONCE, len(items))):
        Thread(target=read, daemon=True).start()
    results: dict[int, Any] = {}
    try:
        while len(results) < len(items):
            # Windows hears Ctrl-C between two waits alone.
            with suppress(Empty):
                number, result, problem = ended.get(timeout=_PIECE)
                if problem:
                    raise problem
                results[number] = result
    finally:
        left.clear()
    return [results[number] for number in range(len(items))]


def _text(entry: RegisterEntry) -> str:
    return entry.model_dump_json(indent=2, by_alias=True, exclude_none=True)
