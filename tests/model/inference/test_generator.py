from collections.abc import Callable

import pytest
import torch

from config.errors import ConfigError, GenerationError, WeightsError
from model.checkpoints.weights_file import save_weights
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator, load_generator
from model.inference.sampler import SamplingOptions
from model.inference.utf8_mask import Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.text.vocabulary import Vocabulary
from tests.model.made import ScriptedEngine, small_weights

BYTES = Vocabulary([])
NEVER = lambda: False  # noqa: E731
GREEDY = SamplingOptions(0.0, 0, 1.0, 1.0)
ANY = "a-"  # a seed that any id may follow


def scripted(text: str, end: bool = True, **options: int) -> TextGenerator:
    """A generator that says this text byte by byte, then ends it or goes on with "x"."""
    script = BYTES.encode(text) + ([BYTES.end] if end else BYTES.encode("x") * 500)
    return TextGenerator(
        ScriptedEngine(script, BYTES.size), BYTES, GeneratorOptions(GREEDY, **options)
    )


def calls_of(generator: TextGenerator) -> int:
    """How often a scripted generator's engine was called."""
    engine: object = generator._engine
    assert isinstance(engine, ScriptedEngine)
    return engine.calls


def small_generator(options: GeneratorOptions) -> TextGenerator:
    weights = small_weights()
    return TextGenerator(InferenceEngine(weights.model, "float32"), weights.vocabulary, options)


def test_the_first_sentence_carries_on_the_seed():
    generator = scripted(" who lived in a wood. He sang. The end.")
    said = list(generator.continue_text("there was a fox", NEVER))
    assert said == ["who lived in a wood.", "He sang.", "The end."]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('He said, "One. Two. Three." Four. Five.', ['He said, "One.', "Two.", 'Three."']),
        ('He said, "One. Two. Three. Four. Five.', ['He said, "One.', "Two.", "Three.", 'Four."']),
    ],
)
def test_an_open_quotation_at_the_last_sentence_may_end(text: str, said: list[str]):
    assert list(scripted(text, max_sentences=2).continue_text(ANY, NEVER)) == said


def test_stops_at_the_last_allowed_sentence():
    generator = scripted("One. Two. Three. Four.", max_sentences=2)
    assert list(generator.continue_text(ANY, NEVER)) == ["One.", "Two."]


def test_end_of_text_ends_an_unfinished_sentence():
    assert list(scripted("One. Two").continue_text(ANY, NEVER)) == ["One.", "Two"]


def test_nothing_comes_of_an_empty_continuation():
    assert list(scripted("").continue_text(ANY, NEVER)) == []
    assert list(scripted(" \n . \n").continue_text(ANY, NEVER)) == []


@pytest.mark.parametrize(
    ("text", "limit", "said"),
    [
        ("One. Two thr", 12, ["One."]),
        ("One. Two.", 9, ["One.", "Two."]),
        ("one two thr", 11, ["one two"]),
        ("武武", 5, ["武"]),
    ],
)
def test_what_comes_at_the_limit_of_tokens(text: str, limit: int, said: list[str]):
    generator = scripted(text, end=False, max_new_tokens=limit)
    assert list(generator.continue_text(ANY, NEVER)) == said


def test_only_whole_characters_leave_though_tokens_are_bytes():
    generator = scripted("他見武士。武士笑🦊。")
    assert list(generator.continue_text("武", NEVER)) == ["他見武士。", "武士笑🦊。"]


def after(calls: int) -> Callable[[], bool]:
    """Cancelled from the given question on."""
    answers = iter([False] * (calls - 1))
    return lambda: next(answers, True)


@pytest.mark.parametrize(
    ("calls", "said"), [(1, []), (6, []), (7, ["One."]), (12, ["One.", "Two."])]
)
def test_cancelling_is_noticed_at_the_next_token(calls: int, said: list[str]):
    generator = scripted("One. Two. Three.")
    assert list(generator.continue_text(ANY, after(calls))) == said
    assert calls_of(generator) <= calls


def test_a_sentence_comes_before_the_next_one_is_made():
    generator = scripted("One. Two. Three.")
    sentences = generator.continue_text(ANY, NEVER)
    assert next(sentences) == "One."
    assert calls_of(generator) == len("One. T")


def greedy_tokens(seed: str, count: int) -> list[int]:
    options = GeneratorOptions(GREEDY, max_new_tokens=count)
    return list(small_generator(options)._tokens(seed))


def test_with_the_cache_the_likeliest_ids_are_those_without_it():
    weights = small_weights()
    ids = [weights.vocabulary.end, *weights.vocabulary.encode(" a fox")]
    characters = Utf8Mask(weights.vocabulary.pieces)
    words = WordBoundaryMask(weights.vocabulary.pieces)
    words.reset("a fox")
    for token in greedy_tokens("a fox", 20):
        logits = weights.model(torch.tensor([ids]))[:, -1]
        assert token == (logits + characters.mask() + words.mask()).argmax()
        characters.feed(token)
        words.feed(token)
        ids.append(token)


def test_bytes_that_form_no_character_are_never_said():
    options = GeneratorOptions(SamplingOptions(temperature=5.0, top_k=0, top_p=1.0), 99, 300, 1)
    said = " ".join(small_generator(options).continue_text("a fox", NEVER))
    assert len(said) > 50
    assert "\ufffd" not in said


def test_a_long_seed_is_cropped_to_its_end():
    long = "the fox and the hen went out to see the sea and the moon and the stars"
    assert greedy_tokens(long, 5) == greedy_tokens(long[10:], 5)


@pytest.mark.parametrize("seed", ["", "a", "武", "🦊" * 50, "\x00", "a\n\n\nb", "é" * 200])
def test_any_seed_gives_sentences_with_words(seed: str):
    options = GeneratorOptions(SamplingOptions(), 3, 60, random_seed=1)
    sentences = list(small_generator(options).continue_text(seed, NEVER))
    assert all(any(c.isalnum() for c in sentence) for sentence in sentences)


def test_random_seeds_decide_what_is_drawn():
    def drawn(random_seed: int | None) -> tuple[int, ...]:
        """The ids: of many random texts no sentence remains, so that these would be alike."""
        options = GeneratorOptions(SamplingOptions(top_k=0), 99, 60, random_seed)
        return tuple(small_generator(options)._tokens("a fox"))

    assert drawn(5) == drawn(5)
    assert len({drawn(random_seed) for random_seed in (5, 6, None, None)}) == 4


def test_equal_random_seeds_read_the_whole_seed_whatever_was_read_before():
    for random_seed, forgotten in ((None, 0), (1, 1)):
        engine = ScriptedEngine([*BYTES.encode(" One."), BYTES.end], BYTES.size)
        generator = TextGenerator(engine, BYTES, GeneratorOptions(GREEDY, random_seed=random_seed))
        assert list(generator.continue_text(ANY, NEVER)) == ["One."]
        assert engine.forgotten == forgotten


def test_bad_numbers_are_an_error_and_not_a_word():
    weights = small_weights()
    with torch.no_grad():
        weights.model.norm.weight.fill_(float("nan"))
    engine = InferenceEngine(weights.model)
    generator = TextGenerator(engine, weights.vocabulary, GeneratorOptions())
    with pytest.raises(GenerationError, match="not finite"):
        list(generator.continue_text(ANY, NEVER))


def test_load_generator_reads_a_file(tmp_path):
    path = tmp_path / "en.safetensors"
    save_weights(path, small_weights())
    options = GeneratorOptions(max_new_tokens=20, random_seed=1)
    first, second = (
        list(load_generator(path, options, "cpu").continue_text(ANY, NEVER)) for _ in range(2)
    )
    assert first == second
    assert torch.get_num_threads() == 1
    with pytest.raises(ConfigError, match='"quantum"'):
        load_generator(path, options, "quantum")
    with pytest.raises(WeightsError, match="missing"):
        load_generator(tmp_path / "none", options)
