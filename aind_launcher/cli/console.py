"""What is drawn with rich, for people: no text in it steers the terminal that shows it."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from aind_launcher.cli.plain import plain


class Screen(Console):
    """A console that shows texts of curricula, tasks and plugins as texts, whatever they are drawn in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, Text):
            # Before it is wrapped or cut, which counts its characters.
            renderable = renderable.copy()
            renderable.plain = plain(renderable.plain)
        return super().render(renderable, options)
