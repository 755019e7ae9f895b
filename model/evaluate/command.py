"""`afterword evaluate FILE…`: bits per byte of texts under a model.

Documents are separated by lines `<|endoftext|>`. torch is imported when the command runs, so that
`--help` and completion are quick.
"""

import json
import sys
from pathlib import Path

import click

from config.errors import AfterwordError
from model.command import left_out, printable, report_errors


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--weights", help="Weights file.  [default: those in use]")
@click.option(
    "--language", default="en", show_default=True, help="Language of the default weights."
)
@click.option(
    "--limit-documents", type=click.IntRange(1), help="Score this many documents of each file."
)
@click.option("--device", default="auto", show_default=True, help="As torch names it: cpu, cuda.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: torch's choice]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file.")
@report_errors
def evaluate(
    files: tuple[Path, ...],
    weights: str | None,
    language: str,
    limit_documents: int | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print bits per byte and nats a token of texts under a model."""
    import torch

    from model.checkpoints.adapters import load_adapted
    from model.checkpoints.store import find_weights
    from model.data.corpus import all_unusable, read_documents
    from model.device import choose_device
    from model.evaluate.score import score

    if threads:
        torch.set_num_threads(threads)
    chosen = choose_device(device)
    path = find_weights(language, weights)
    loaded = load_adapted(path)
    errors: list[AfterwordError] = []
    for file in files:
        try:
            documents = read_documents(file)[:limit_documents]
        except AfterwordError as error:
            errors.append(error)
            continue
        result = score(loaded.model.to(chosen), loaded.vocabulary, documents, chosen)
        values = {
            "file": str(file),
            "weights": str(path),
            "documents": len(documents),
            "tokens": result.tokens,
            "bytes": result.size,
            "bits_per_byte": round(result.bits_per_byte, 4),
            "nats_per_token": round(result.nats_per_token, 4),
        }
        if as_json:
            click.echo(json.dumps(values))
        else:
            click.echo(
                f"{printable(file)}: {result.bits_per_byte:.4f} bits/byte, "
                f"{result.nats_per_token:.4f} nats a token, {result.tokens} tokens in "
                f"{len(documents)} documents"
            )
    if len(errors) == len(files):
        raise all_unusable(errors)
    if errors:
        click.echo(left_out(errors), err=True)
        sys.exit(errors[0].exit_code)
