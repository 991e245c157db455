"""`segmend methods`: what is installed."""

from __future__ import annotations

from dataclasses import asdict

import click

from segmend.cli.words import as_json, say
from segmend.methods import cards


@click.command()
@as_json
def methods(as_json: bool) -> None:
    """List the installed methods: what each is good for, and the prompts that it takes.

    \b
    Example:
      segmend methods --json
    """
    found = cards()
    lines = []
    for card in found:
        dimensions = " and ".join(f"{n}D" for n in card.dimensions)
        lines += [f"{card.id:<16} {card.title} ({dimensions}; weights: {card.weights})"]
        lines += [f"{'':<16} {card.good_for}"] if card.good_for else []
        lines += [f"{'':<16} takes {', '.join(card.prompts)}"]
        lines += [f"{'':<16} --variant {name}: {what}" for name, what in card.variants]
    say([asdict(card) for card in found], lines, as_json=as_json)
