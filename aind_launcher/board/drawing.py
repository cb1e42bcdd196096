"""How the card is drawn on a terminal, and written where there is none."""

from collections.abc import Callable
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aind_launcher.board.card import Card

# Columns; what is wider is hard to read.
_WIDEST = 80


def drawn(
    card: Card, now: datetime, width: int, words: Callable[[str], str], *, full: bool = False, boxed: bool = True
) -> RenderableType:
    """The card, without its warnings.

    :param width: of the terminal.
    :param words: what each text becomes before it is shown.
    :param full: as in `Card.facts`.
    :param boxed: with a frame, which is yellow where the card stands out.
    """
    title = Text(words(f"Animal {card.subject}"), style="bold")
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in card.facts(now, full=full).items():
        facts.add_row(name if boxed else f"  {name}", Text(words(text)))
    if not boxed:
        return Group(title, facts)
    style = "yellow" if card.stands_out else "none"
    return Panel(facts, title=title, title_align="left", border_style=style, width=min(width, _WIDEST))
