"""What a person types to be kept, such as a reason."""

import click


def text(value: str) -> str:
    """`value`, if every file takes it; the type of a command's argument or option.

    :raises click.BadParameter: it has bytes that the terminal's encoding lacks, which come as halves of characters.
    """
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise click.BadParameter(f"{value!r} is not text. Write it in UTF-8, or without special characters.")
    return value
