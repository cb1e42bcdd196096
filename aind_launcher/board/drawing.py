"""How the card is drawn on a terminal, and written where there is none; in both without its warnings."""

from collections.abc import Callable, Iterator
from datetime import datetime

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aind_launcher.board.card import Card

# Columns; what is wider is hard to read.
_WIDEST = 80


def drawn(card: Card, now: datetime, width: int, words: Callable[[str], str], *, full: bool = False) -> Panel:
    """The card in a frame, which is yellow where the card stands out.

    :param width: of the terminal.
    :param words: what each text becomes before it is shown.
    :param full: as in `Card.facts`.
    """
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in card.facts(now, full=full).items():
        facts.add_row(name, Text(words(text)))
    title = Text(words(_title(card)), style="bold")
    style = "yellow" if card.stands_out else "none"
    return Panel(facts, title=title, title_align="left", border_style=style, width=min(width, _WIDEST))


def written(card: Card, now: datetime, *, full: bool = False) -> Iterator[str]:
    """The lines of the card, of any length.

    :param full: as in `Card.facts`.
    """
    yield _title(card)
    facts = card.facts(now, full=full)
    widest = max(map(len, facts), default=0)
    for name, text in facts.items():
        first, *others = text.splitlines()
        yield f"  {name:<{widest}}  {first}"
        yield from (f"  {'':<{widest}}  {line}" for line in others)


def _title(card: Card) -> str:
    return f"Animal {card.subject}"
