"""A continuation never begins inside a word: for all vocabularies, bytes and distributions."""

import functools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.checkpoints.store import shipped_weights
from model.checkpoints.weights_file import load_weights
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions, sample
from model.inference.utf8_mask import FORBIDDEN, Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.text.tokenizer import token_id
from model.text.vocabulary import Vocabulary
from model.text.word_boundary import Boundary, advance, boundary_after
from tests.model.made import ScriptedEngine, small_weights
from tests.model.text.test_vocabulary import unicode_text

SOME = Vocabulary(range(3000))
BYTES = Vocabulary([])
EVERYTHING = SamplingOptions(1.0, 0, 1.0, 1.0)


@functools.cache
def vocabulary(name: str) -> Vocabulary:
    match name:
        case "full":
            return Vocabulary.full()
        case "some":
            return SOME
        case "bytes":
            return BYTES
        case language:
            return load_weights(shipped_weights(language)).vocabulary


@functools.cache
def mask_of(name: str) -> WordBoundaryMask:
    return WordBoundaryMask(vocabulary(name).pieces)


def allowed(mask: WordBoundaryMask) -> set[int]:
    return set(torch.nonzero(mask.mask() == 0).flatten().tolist())


@pytest.mark.parametrize("name", ["en", "zh", "full", "some", "bytes"])
@pytest.mark.parametrize("seed", ["a fish", "chapter 1", "It was.", "“Stop!”", "第1"])
def test_every_id_of_whole_characters_is_judged(name: str, seed: str) -> None:
    mask = mask_of(name)
    mask.reset(seed)
    assert mask.in_force
    ids = allowed(mask)
    for i, piece in enumerate(vocabulary(name).pieces):
        try:
            fits = advance(boundary_after(seed), piece.decode()) is not None
        except UnicodeDecodeError:
            continue
        assert (i in ids) is fits, piece
    assert vocabulary(name).end in ids


@pytest.mark.parametrize("name", ["en", "zh", "full", "some", "bytes"])
@pytest.mark.parametrize("seed", ["", "a fish-", "He said, “", "春", "他说：“好。”", "fish 武"])
def test_everything_may_follow_an_open_end(name: str, seed: str) -> None:
    mask = mask_of(name)
    mask.reset(seed)
    assert not mask.in_force
    assert not mask.mask().any()


@pytest.mark.parametrize(
    ("continuation", "at"),
    [
        ("é", 0),
        ("я", 0),
        ("한", 0),
        ("\u0301", 0),
        ("\ufb03", 1),
        ("’", 2),
        ("‑", 2),
        ("\u200d", 2),
        (".é", 1),
        (".5", 1),
        ('."s', 2),
        ("…s", 3),
    ],
)
def test_bytes_of_a_character_are_forbidden_where_it_would_be_glued(
    continuation: str, at: int
) -> None:
    """`at` is the first byte that is not allowed; those before it may begin other characters."""
    mask = mask_of("bytes")
    mask.reset("caf")
    for place, token in enumerate(BYTES.encode(continuation)[: at + 1]):
        assert mask.in_force
        assert (token in allowed(mask)) is (place < at)
        mask.feed(token)


@pytest.mark.parametrize("name", ["en", "zh", "some", "bytes"])
@pytest.mark.parametrize(
    "continuation",
    ["—he", "武艺", "🦊ha", "” he", "… he", "。He", "さくら", "\u00a0he", "？b"],
)
def test_bytes_of_what_may_follow_are_allowed(name: str, continuation: str) -> None:
    mask, ids = mask_of(name), vocabulary(name)
    mask.reset("caf")
    for token in ids.encode(continuation):
        assert token in allowed(mask)
        mask.feed(token)
    assert not mask.in_force


def test_thai_needs_an_id_of_its_own() -> None:
    """It shares its first byte with the scripts of India, which have blanks between words."""
    for name, fits in (("full", True), ("bytes", False)):
        mask = mask_of(name)
        mask.reset("caf")
        assert (vocabulary(name).encode("ไทย")[0] in allowed(mask)) is fits


def test_the_mask_is_in_force_until_a_word_may_begin() -> None:
    mask = mask_of("some")
    mask.reset("a fish")
    for token, in_force in zip(SOME.encode('."') + SOME.encode(" He"), [True] * 9, strict=False):
        assert mask.in_force is in_force
        mask.feed(token)
    assert not mask.in_force
    assert not mask.mask().any()


@settings(deadline=None, max_examples=50)
@given(seed=unicode_text, random_seed=st.integers(0, 2**32))
def test_what_is_drawn_is_valid_and_not_glued(seed: str, random_seed: int) -> None:
    words, characters = mask_of("some"), Utf8Mask(SOME.pieces)
    words.reset(seed)
    random = torch.Generator().manual_seed(random_seed)
    data = b""
    while len(data) < 12 or data.decode(errors="ignore").encode() != data:
        mask = words.mask() + characters.mask()
        ids = torch.nonzero(mask[: SOME.end] == 0).flatten().tolist()
        odd = [i for i in ids if SOME.pieces[i][-1] >= 0x80] or ids
        token = odd[int(torch.randint(len(odd), (1,), generator=random))]
        data += SOME.pieces[token]
        words.feed(token)
        characters.feed(token)
    assert advance(boundary_after(seed), data.decode()) is not None


@pytest.mark.parametrize(
    ("pieces", "fitting"),
    [
        ([b"a", b"b", b""], {0, 1, 2}),  # nothing but the end would be left
        ([b"a", b"\xc3", b"\xa9", b""], {0, 1, 2, 3}),
        ([b"a", b".", b""], {1, 2}),
        ([b"a", b" a", b""], {1, 2}),
    ],
)
def test_a_vocabulary_without_blanks_is_not_masked(pieces: list[bytes], fitting: set[int]) -> None:
    mask = WordBoundaryMask(pieces)
    mask.reset("fish")
    assert allowed(mask) == fitting


def test_an_incomplete_character_that_cannot_fit_is_not_masked() -> None:
    mask = WordBoundaryMask([b"\xe2", b"\x80\x99", b" ", b""])  # ’ only, of all that begin so
    mask.reset("fish")
    assert 0 in allowed(mask)
    mask.feed(0)
    assert allowed(mask) == {0, 1, 2, 3}
    mask.feed(1)
    assert not mask.in_force


class FixedEngine(ScriptedEngine):
    """An engine that gives the same logits (V,) first, and others at every later step."""

    def __init__(self, first: Tensor, later: Tensor) -> None:
        super().__init__([], len(first))
        self._logits = first, later

    def prefill(self, ids: list[int]) -> Tensor:
        return self._logits[0]

    def step(self, token: int) -> Tensor:
        return self._logits[1]


def drawn(engine: object, ids: Vocabulary, seed: str, draws: int, count: int) -> list[list[int]]:
    """The first `count` ids for each of `draws` random seeds."""
    generator = TextGenerator(engine, ids, GeneratorOptions())  # type: ignore[arg-type]
    return [
        list(
            generator.with_options(GeneratorOptions(EVERYTHING, 99, count, random_seed))._tokens(
                seed
            )
        )
        for random_seed in range(draws)
    ]


def test_first_draws_follow_the_distribution_of_the_allowed_ids() -> None:
    """Chi-square against softmax of the allowed logits alone; forbidden ids are never drawn."""
    names = [b"erman", b"ed", b"'s", b" named", b" who", b".", b",", b" that", b"\n", b"\xe6"]
    ids = Vocabulary([i for i in map(token_id, names) if i is not None])
    tokens = [ids.pieces.index(name) for name in names]
    logits = torch.full((ids.size,), -50.0)
    logits[tokens] = torch.tensor([4.0, 2.0, 3.0, 2.0, 1.5, 1.0, 0.5, 0.0, -1.0, 0.0])
    later = torch.full((ids.size,), -50.0)
    later[tokens[0]] = 50.0
    draws = 3000
    texts = drawn(FixedEngine(logits, later), ids, "there was a fish", draws, 2)
    counts = Counter(first for first, *_ in texts)
    assert not counts.keys() & set(tokens[:3])
    expected = logits[tokens[3:]].softmax(dim=0) * draws
    found = torch.tensor([float(counts[token]) for token in tokens[3:]])
    assert found.sum() == draws
    assert ((found - expected) ** 2 / expected).sum() < 22.5  # 6 degrees of freedom: 1 in 1,000
    for first, *rest in texts:  # a word in progress may go on
        assert not ids.pieces[first].strip().isalpha() or rest == tokens[:1]


def test_logits_of_allowed_ids_are_unchanged_and_others_have_no_probability() -> None:
    weights = small_weights()
    words = WordBoundaryMask(weights.vocabulary.pieces)
    characters = Utf8Mask(weights.vocabulary.pieces)
    words.reset(" a fox")
    logits = weights.model(torch.tensor([[weights.vocabulary.end]]))[0, -1].detach()
    masked = (logits + characters.mask() + words.mask()).softmax(dim=0)
    fits = (words.mask() == 0) & (characters.mask() == 0)
    assert 0 < fits.sum() < fits.numel()
    assert not masked[~fits].any()
    torch.testing.assert_close(masked[fits], logits[fits].softmax(dim=0))
    assert (words.mask()[~fits] <= FORBIDDEN).any()


def test_ids_after_the_first_word_boundary_are_drawn_as_before() -> None:
    weights = small_weights()
    weights_of_seed = [weights.vocabulary.end, *weights.vocabulary.encode(" a fox-")]
    random = torch.Generator().manual_seed(3)
    ids, characters = list(weights_of_seed), Utf8Mask(weights.vocabulary.pieces)
    for _ in range(20):
        logits = weights.model(torch.tensor([ids]))[0, -1].detach() + characters.mask()
        ids.append(sample(logits, ids[len(weights_of_seed) :], EVERYTHING, random))
        characters.feed(ids[-1])
    generator = TextGenerator(
        InferenceEngine(weights.model, "float32"),
        weights.vocabulary,
        GeneratorOptions(EVERYTHING, 99, 20, 3),
    )
    assert list(generator._tokens("a fox-")) == ids[len(weights_of_seed) :]


@pytest.mark.parametrize(
    "seed",
    [
        *("there was a fish", "there was a fish ", "there was a fish\n", "A fish, and a fish"),
        *("the fish swam. it was big.", "chapter 1", "my café", "a 小fish", "the dog", "fish,dog"),
    ],
)
def test_no_continuation_begins_inside_a_word(seed: str) -> None:
    generator = TextGenerator(
        FixedEngine(torch.zeros(SOME.size), torch.zeros(SOME.size)),  # type: ignore[arg-type]
        SOME,
        GeneratorOptions(),
    )
    for random_seed in range(100):
        options = GeneratorOptions(EVERYTHING, 99, 6, random_seed)
        text = SOME.decode(generator.with_options(options)._tokens(seed))
        assert advance(Boundary.MARK, text) is not None, text
        assert not text[:1].isascii() or not text[:1].isalnum()


def test_options_do_not_make_the_masks_again() -> None:
    made = TextGenerator(ScriptedEngine([], SOME.size), SOME, GeneratorOptions())  # type: ignore[arg-type]
    other = made.with_options(GeneratorOptions(max_sentences=1))
    assert other._word_boundary_mask is made._word_boundary_mask
    assert other._utf8_mask is made._utf8_mask
    assert other._random is not made._random
    assert made._options.max_sentences == 5
