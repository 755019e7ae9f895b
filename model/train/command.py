"""`afterword train --corpus FILE… --out FOLDER`: train a model on texts, or resume.

Without files and folder it refreshes the weights in use from the user's own texts
(model.train.refresh). `torchrun --nproc_per_node=N -m model.train …` trains in N processes.
torch is imported when a training begins, so that `--help` and completion are quick.
"""

import os
from pathlib import Path
from typing import Any

import click

from config.languages import LANGUAGES
from model.checkpoints.store import LARGEST_CONTEXT
from model.command import report_errors
from model.train.options import PRESETS, TrainOptions
from model.train.style.amount import DEFAULT as DEFAULT_STYLE

_SPOKEN_OPENINGS = "; ".join(f"{code}: {x.spoken_openings:g}" for code, x in LANGUAGES.items())


def _minimum(_c: click.Context, _p: click.Parameter, value: str) -> int | None:
    if value == "full":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter("give a number from 1 on, or full")
    return int(value)


@click.command(context_settings={"show_default": True})
@click.argument("more_corpus", nargs=-1, metavar="[FILE[@SHARE]]...")
@click.option(
    "--corpus",
    "corpus",
    multiple=True,
    metavar="FILE[@SHARE]",
    help="Text (.txt, .md, .txt.xz), documents separated by lines <|endoftext|>, HTML or an e-book "
    "(.epub); with @0.2 each pass draws a fifth of the documents. More files may follow: "
    "--corpus *.txt.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.")
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    help="Start from these weights: .safetensors, or a llama2.c model with its tokenizer.",
)
@click.option(
    "--weights",
    metavar="NAME",
    help="Weights to train: small, or fetched ones such as large, of which an adapter is "
    "trained.  [default: those in use]",
)
@click.option(
    "--full",
    is_flag=True,
    help="Of fetched weights, train all parameters instead of an adapter; needs a GPU with much "
    "memory.",
)
@click.option(
    "--style",
    type=click.FloatRange(0, 1),
    help="How much of your texts is heard, where there is no --corpus: 0 is plain language, 1 your "
    f"texts alone.  [default: {DEFAULT_STYLE:g}]",
)
@click.option("--resume", is_flag=True, help="Resume the training in --out.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Training time in minutes, at most; without --corpus it may end before, after three "
    "passes over your texts.  [default: 30]",
)
@click.option("--steps", type=click.IntRange(1), help="Optimizer steps, instead of --minutes.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="Model size.  [default: small, or that of --init-from]",
)
@click.option(
    "--context",
    type=click.IntRange(8, LARGEST_CONTEXT),
    default=256,
    help="Context length in tokens.",
)
@click.option(
    "--language",
    type=click.Choice(list(LANGUAGES)),
    help="Language of the texts.  [default: en; for a refresh, the configured one]",
)
@click.option(
    "--licence", default="unknown", help="Licence of the weights, written into their file."
)
@click.option("--provenance", default="", help="Origin of the weights, written into their file.")
@click.option(
    "--vocabulary-min-count",
    "vocabulary_minimum",
    default="8",
    callback=_minimum,
    help="Keep tokens that occur this often in the corpus; full keeps all 100,257.",
)
@click.option(
    "--vocabulary-size",
    type=click.IntRange(1),
    help="Keep at least this many tokens, the commonest; useful if --init-from knows them.",
)
@click.option(
    "--spoken-openings",
    type=click.FloatRange(0, 1),
    help="Share of the documents whose opening is written like a spoken seed."
    f"  [default: {_SPOKEN_OPENINGS}]",
)
@click.option("--batch", type=click.IntRange(1), default=16, help="Sequences in a batch.")
@click.option(
    "--accumulate",
    type=click.IntRange(1),
    default=1,
    help="Batches in a step (gradient accumulation).",
)
@click.option(
    "--optimizer",
    type=click.Choice(["auto", "adamw", "muon"]),
    default="auto",
    help="auto: muon from scratch, adamw with --init-from.",
)
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), help="Peak learning rate."
)
@click.option(
    "--validate-every", type=click.IntRange(1), default=100, help="Steps between validations."
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop early after this many validations without a better one.  [default: never; without "
    "--corpus 2]",
)
@click.option("--tensorboard", is_flag=True, help="Also write curves for TensorBoard into --out.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    help="Number format of the computation.",
)
@click.option("--device", default="auto", help="Device, as torch names it: cpu, cuda.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads.  [default: one or all, whichever is faster here]",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="Random seed.")
@report_errors
def train(
    corpus: tuple[str, ...],
    more_corpus: tuple[str, ...],
    **given: Any,
) -> None:
    """Train a model on texts, or resume a training.

    Without --corpus and --out: refresh the weights in use from the texts in
    $XDG_DATA_HOME/afterword/corpus. Those that were fetched stay as they are and get an adapter,
    or with --full weights of their own are made of them.

    `python -m model.train` is the same command; torchrun starts it in several processes.
    """
    import torch

    from model.data.corpus import parse_corpus_file
    from model.memory import keep_freed_memory
    from model.train.refresh import refresh
    from model.train.run import run

    if given["weights"] and given["init_from"]:
        raise click.UsageError("Give --weights or --init-from, not both.")
    if given["steps"] is not None and given["minutes"] is not None:
        raise click.UsageError("Give --steps or --minutes, not both.")
    keep_freed_memory()
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    files = tuple(parse_corpus_file(argument) for argument in (*corpus, *more_corpus))
    if not files and given["out"] is None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise click.UsageError("In several processes, give --corpus and --out.")
        refresh(given)
        return
    if not corpus or given["out"] is None:
        raise click.UsageError("Give both --corpus and --out, or none of them.")
    if given.pop("style") is not None:
        raise click.UsageError("--style goes without --corpus; there, give FILE@SHARE.")
    given["language"] = given["language"] or "en"
    name, full = given.pop("weights"), given.pop("full")
    if full and not name:
        raise click.UsageError("--full goes with --weights and the name of fetched weights.")
    if name:
        given |= _of_fetched(name, full, given)
    if given["spoken_openings"] is None:
        given["spoken_openings"] = LANGUAGES[given["language"]].spoken_openings
    run(TrainOptions(corpus=files, **given))


def _of_fetched(name: str, full: bool, given: dict[str, Any]) -> dict[str, Any]:
    """Options of a training of an adapter for the fetched weights of this name, or of all of them.

    These are trained in their own context.
    """
    from model.checkpoints.fetched import find_fetched, is_known
    from model.checkpoints.weights_file import load_weights
    from model.train.adapters.low_rank import RANK
    from model.train.full.memory import require_memory

    if not is_known(name):
        raise click.UsageError("--weights with --corpus takes the name of fetched weights.")
    path, spoken = find_fetched(given["language"], name), given["spoken_openings"]
    if full:
        require_memory(load_weights(path).stored.config, given["batch"], given["device"])
    return {
        "init_from": path,
        "rank": 0 if full else RANK,
        "spoken_openings": 0.0 if spoken is None else spoken,
    }
