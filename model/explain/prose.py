"""Says of prose, which Chinese verse cannot continue, what is drawn instead."""

from pathlib import Path

from config.settings import Settings
from model.inference.loading import join, load_file
from model.inference.verse.prose_answers import ProseAnswers


def describe_answer(settings: Settings, file: Path, seed: str) -> tuple[str, str] | None:
    """What the reply to prose is, in a few lines, and the words with which its poem begins.

    None where the weights continue the seed.

    Raises:
        WeightsError: the weights are missing, damaged or of another language.
    """
    if settings.language != "zh":
        return None
    generator, _ = join(settings, [load_file(settings, file)])
    plan = generator.plan(seed) if isinstance(generator, ProseAnswers) else None
    if plan is None:
        return None
    images = plan.images(plan.poem)
    beginning = "".join(f"{couplet}\n" for couplet in plan.poem) + "".join(images[:1])
    leads_in = f" led in by {plan.lead}" if plan.lead else ""
    words = f"with “{images[0]}”" if images else "with words of its own"
    note = (
        f"The seed “{seed}” is prose, which these weights of verse cannot continue. The reply is a "
        f"poem{leads_in}, and each couplet is the best of several that are drawn. "
        f"One begins {words}, as follows.\n"
    )
    return note, beginning
