"""From free water to telling two close tones apart."""

from .curriculum import CURRICULUM, TRAINER

__all__ = ["CURRICULUM", "TRAINER"]
