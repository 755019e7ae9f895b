"""How long a training is to be, and what of the texts it reads in that time.

A refresh makes three passes over the texts, or stops when its time is over, whichever comes first.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from model.data.corpus import Corpus
from model.train.options import TrainOptions

MINUTES = 30.0  # unless --minutes or --steps is given
PASSES = 3.0  # of a refresh, over its texts
VALIDATIONS = 8  # of a refresh
_MIN_STEPS = 30  # of so many passes


@dataclass(frozen=True)
class Plan:
    """What a refresh is expected to do here.

    Attributes:
        steps: that make all passes.
        passes: how many these are.
        minutes: after which it stops before these; None for never.
        seconds_per_step: as measured.
        seconds: all steps with their validations would take.
        tokens_per_second: as measured.
        place: what computes, such as "2 threads".
        starter: True if a starter corpus is read along with the texts.
    """

    steps: int
    passes: float
    minutes: float | None
    seconds: float
    tokens_per_second: float
    place: str
    starter: bool


def with_length(options: TrainOptions, state: dict[str, Any] | None) -> TrainOptions:
    """The options with a length: the given one, else that of the state, else the default."""
    if options.steps is not None or options.minutes is not None:
        return options
    length = (state or {}).get("length") or {"minutes": MINUTES}  # absent from older states
    return replace(options, **length)


def tokens_in_pass(corpus: Corpus) -> float:
    """Tokens of a pass over the corpus, on average."""
    return sum(len(source.tokens) * source.share for source in corpus.sources)


def planned_steps(options: TrainOptions, corpus: Corpus, tokens_in_step: int) -> int | None:
    """Steps after which the training ends; None if only its time ends it."""
    if options.steps is not None or options.passes is None:
        return options.steps
    steps = math.ceil(options.passes * tokens_in_pass(corpus) / tokens_in_step)
    return max(_MIN_STEPS, steps)


def told(plan: Plan) -> str:
    """The plan for the user: how long it takes, or what part of it the time is enough for."""
    texts = "your texts" + (" and the starter corpus" if plan.starter else "")
    speed = f"{plan.tokens_per_second:,.0f} tokens a second here on {plan.place}"
    stop = "Ctrl-C stops it at any time; the same command goes on."
    if plan.minutes is None or plan.seconds <= 60 * plan.minutes:
        return (
            f"{plan.steps:,} steps make {plan.passes:.1f} passes over {texts}: "
            f"{duration(plan.seconds)} at {speed}, validations included. {stop}"
        )
    passes = plan.passes * 60 * plan.minutes / plan.seconds
    part = f"{passes:.1f} passes over {texts}"
    offer = f"`--minutes {math.ceil(plan.seconds / 60)}` makes {plan.passes:.1f} passes"
    if passes < 1:
        part = f"about {100 * passes:.0f} % of {texts} once"
        offer += ", and of fewer texts, those most like you, it reads more"
    return (
        f"It stops after {plan.minutes:g} minutes, in which it reads {part}, at {speed}; {offer}. "
        f"{stop}"
    )


def duration(seconds: float) -> str:
    """A duration for the user: "about 7 minutes"."""
    if seconds < 90:
        return "about a minute" if seconds > 45 else "less than a minute"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"
