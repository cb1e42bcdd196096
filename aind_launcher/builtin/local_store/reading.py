"""How files and folders of the library are read: what is missing is told from what cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aind_launcher.errors import AnimalError


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A file or folder of the library is read, which may be missing.

    :raises FileNotFoundError: it is.
    :raises AnimalError: it is there and cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AnimalError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Check that the library is connected and that this login may read it.",
        ) from None
