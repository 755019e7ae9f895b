"""Traces one continuation, token by token, for `afterword explain`.

The logits come from the engine that answers, the random numbers from a generator with the same
seed: what is drawn is what the text generator draws for its first sentence, unless a check refuses
it. Of each further sentence, that one takes the best of several drawings.
The numbers inside come from model.transformer, which reads the whole context for every token as
textbooks do, in float32. Letters in shapes: T tokens read, V vocabulary.
"""

import codecs
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from model.checkpoints.weights_file import Weights
from model.explain.candidates import Choice, candidates_of, make_token
from model.explain.inside import look_inside
from model.explain.trace import Step, TemperatureRow, Trace
from model.inference.engine import InferenceEngine
from model.inference.generator import model_input
from model.inference.manner_mask import MannerMask
from model.inference.sampler import SamplingOptions, random_number, sample
from model.inference.utf8_mask import Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.text.manner import Manner
from model.text.orthography.names import names_in
from model.text.spoken_form import prepare_seed
from model.text.vocabulary import Vocabulary

_TEMPERATURE_ROWS = 6
_EXAMPLE_TEMPERATURE = 0.65  # instead of 0 and 1, which show nothing


def make_trace(
    weights: Weights,
    engine: InferenceEngine,
    seed: str,
    sampling: SamplingOptions,
    random_seed: int,
    count: int,
    top: int,
) -> Trace:
    """Draw `count` tokens, or until the text ends, with the `top` likeliest candidates of each.

    `engine` has these weights.

    Raises:
        GenerationError: the model computed numbers that are not finite.
    """
    vocabulary, manner = weights.vocabulary, Manner.from_table(weights.manner)
    sampling = sampling.cooled(manner.temperature_factor)
    names = names_in(vocabulary.pieces) if manner.capitals else ()
    prepared = prepare_seed(seed, manner, names)
    ids = model_input(prepared, manner, vocabulary)
    steps = list(islice(_steps(weights, engine, prepared, sampling, random_seed, top), count))
    instructive = sampling.temperature not in (0, 1)
    temperature = sampling.temperature if instructive else _EXAMPLE_TEMPERATURE
    rows, distributions = _temperature_rows(
        steps[0].logits, temperature, vocabulary, min(top, _TEMPERATURE_ROWS)
    )
    return Trace(
        seed=seed,
        opening=manner.opening(prepared),
        text=manner.opening(prepared) + prepared,
        weights=weights,
        sampling=sampling,
        random_seed=random_seed,
        tokens=[make_token(vocabulary, i) for i in ids],
        steps=steps,
        temperature=temperature,
        temperature_rows=rows,
        distributions=distributions,
    )


def _steps(
    weights: Weights,
    engine: InferenceEngine,
    prepared: str,
    sampling: SamplingOptions,
    random_seed: int,
    top: int,
) -> Iterator[Step]:
    """Continue a prepared seed, one step for each token; the last one is `<|endoftext|>`."""
    model, vocabulary = weights.model, weights.vocabulary
    manner = Manner.from_table(weights.manner)
    random = torch.Generator().manual_seed(random_seed)
    ids = model_input(prepared, manner, vocabulary)
    begin = len(ids)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = "".join(decoder.decode(vocabulary.pieces[i]) for i in ids)
    whole_characters = Utf8Mask(vocabulary.pieces)
    new_word = WordBoundaryMask(vocabulary.pieces)
    never = MannerMask(vocabulary.pieces, vocabulary.end, manner)
    new_word.reset(prepared)
    engine.forget()  # logits of 4 bits depend a little on how a seed was read
    while ids[-1] != vocabulary.end or len(ids) == begin:
        logits = (engine.prefill(ids) if len(ids) == begin else engine.step(ids[-1])).cpu()  # (V,)
        context = torch.tensor([ids[-model.config.context_length :]], device=engine.device)
        choice = Choice(
            logits.clone(),  # a step may write into the same memory
            {
                "whole characters": whole_characters.mask(),
                "new word": new_word.mask(),
                "manner": never.mask(),
            },
            ids[begin:],
            decoder.getstate()[0],
        )
        number = _next_number(random) if sampling.temperature else None
        drawn = sample(choice.masked, choice.recent, sampling, random)
        for mask in (whole_characters, new_word, never):
            mask.feed(drawn)
        ids.append(drawn)
        text += decoder.decode(vocabulary.pieces[drawn])
        candidates, left = candidates_of(choice, sampling, drawn, vocabulary, top)
        yield Step(
            number=len(ids) - begin,
            tokens=len(ids) - 1,
            read=context.size(1),
            inside=look_inside(model, context),
            logits=choice.logits,
            candidates=candidates,
            left=left,
            random_number=number,
            drawn=make_token(vocabulary, drawn),
            text=text,
        )


def _next_number(random: torch.Generator) -> float:
    """The random number that a generator gives next; it still gives it afterwards."""
    twin = torch.Generator()
    twin.set_state(random.get_state())
    return random_number(twin)


def _temperature_rows(
    logits: Tensor, temperature: float, vocabulary: Vocabulary, top: int
) -> tuple[list[TemperatureRow], dict[str, Tensor]]:
    """The likeliest ids by logits (V,) under each way to apply a temperature; the distributions.

    softmax(z / temperature) is proportional to exp(z)^(1 / temperature), so dividing logits takes
    powers of probabilities: ratios between them grow (below 1) or shrink (above 1). Dividing the
    probabilities themselves leaves their ratios as they are.
    """
    p = logits.double().softmax(dim=-1)  # (V,)
    power = (p.log() / temperature).softmax(dim=-1)  # (V,) p ** (1 / temperature), made to sum to 1
    distributions = {  # (V,) each
        "probability": p,
        "logits_divided": (logits.double() / temperature).softmax(dim=-1),
        "power": power,
        "probabilities_divided": (p / temperature) / (p / temperature).sum(),
        "softmax_twice": (p / temperature).softmax(dim=-1),
    }
    rows = p.topk(min(top, p.numel())).indices.tolist()
    table = [
        TemperatureRow(
            make_token(vocabulary, row),
            **{name: float(values[row]) for name, values in distributions.items()},
        )
        for row in rows
    ]
    return table, distributions
