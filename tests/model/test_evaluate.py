import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

from config.errors import InputError
from model.checkpoints.store import shipped_weights
from model.checkpoints.weights_file import load_weights, save_weights
from model.data.corpus import read_documents
from model.evaluate.command import evaluate as main
from model.evaluate.score import score
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig
from tests.model.made import small_weights, story_text

CPU = torch.device("cpu")
STORIES = Path(__file__).parents[3] / "shared/corpora/tinystories-eval.txt.xz"


def test_a_model_that_knows_nothing_needs_the_logarithm_of_its_vocabulary():
    vocabulary = Vocabulary([])
    model = Transformer(TransformerConfig(vocabulary.size, 16, 1, 1, 4, 4))
    torch.nn.init.zeros_(model.embedding.weight)
    result = score(model, vocabulary, ["abc", "武" * 40], CPU)
    assert (result.tokens, result.size) == (123, 123)
    assert result.bits_per_byte == pytest.approx(math.log2(257))
    assert result.nats_per_token == pytest.approx(math.log(257))


def test_documents_are_scored_apart_and_whole():
    weights = small_weights()
    texts = ["The fox ran.", "The hen sat by the tree."]
    apart = [score(weights.model, weights.vocabulary, [text], CPU).nats for text in texts]
    assert score(weights.model, weights.vocabulary, texts, CPU).nats == pytest.approx(sum(apart))
    ids = torch.tensor([weights.vocabulary.end, *weights.vocabulary.encode(texts[0])])
    expected = F.cross_entropy(weights.model(ids[None, :-1])[0], ids[1:], reduction="sum").item()
    assert apart[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("length", [31, 32, 33, 47, 48, 49, 100])
def test_every_token_of_a_long_document_is_scored_once_with_half_a_context(length: int):
    weights = small_weights()  # its context is 32 tokens
    text = ("abcdefghij" * 10)[:length]
    ids = torch.tensor([weights.vocabulary.end, *weights.vocabulary.encode(text)])
    nats = 0.0
    for at in range(1, len(ids)):
        begin = 0 if at <= 32 else (at - 17) // 16 * 16
        logits = weights.model(ids[None, begin:at])[0, -1]
        nats += F.cross_entropy(logits, ids[at]).item()
    assert score(weights.model, weights.vocabulary, [text], CPU).nats == pytest.approx(
        nats, rel=1e-5
    )


def test_the_command_prints_one_object_for_each_file(tmp_path: Path):
    weights, text = tmp_path / "w.safetensors", tmp_path / "a.txt"
    save_weights(weights, small_weights())
    text.write_text(story_text(5))
    arguments = [
        str(text),
        str(text),
        "--weights",
        str(weights),
        "--json",
        "--limit-documents",
        "2",
    ]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, len(lines)) == (0, 2)
    assert lines[0] == lines[1]
    assert lines[0]["documents"] == 2
    assert lines[0]["bytes"] == sum(len(d.encode()) for d in read_documents(text)[:2])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.txt"], 66, "none.txt is missing"),
        ([__file__, "--weights", "none"], 65, "The weights file none is missing"),
        ([], 2, "FILES"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_weights(tmp_path / "w.safetensors", small_weights())
    if "--weights" not in arguments and "--language" not in arguments:
        arguments = [*arguments, "--weights", str(tmp_path / "w.safetensors")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.output


def test_a_file_that_cannot_be_scored_is_told_and_the_others_are_scored(tmp_path: Path):
    save_weights(tmp_path / "w.safetensors", small_weights())
    (tmp_path / "a.txt").write_text(story_text(1))
    (tmp_path / "blanks.txt").write_text("The fox." + " " * 1_000_000 + "The hen.")
    (tmp_path / "bad.txt").write_bytes(bytes(range(256)) * 9)
    names = ["none.txt", "a.txt", "bad.txt", "blanks.txt"]
    arguments = [*(str(tmp_path / name) for name in names), "--weights"]
    result = CliRunner().invoke(main, [*arguments, str(tmp_path / "w.safetensors")])
    assert result.exit_code == InputError.exit_code, result.output
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        str(tmp_path / "a.txt"),
        str(tmp_path / "blanks.txt"),
    ]
    assert "Left out 2 files:" in result.stderr
    assert "none.txt is missing." in result.stderr
    assert "bad.txt holds binary data, no text." in result.stderr


def test_the_shipped_weights_tell_stories():
    if not STORIES.exists():
        pytest.skip("the evaluation stories (../shared) are not here")
    weights = load_weights(shipped_weights("en"))
    documents = read_documents(STORIES)[:20]
    assert score(weights.model, weights.vocabulary, documents, CPU).bits_per_byte < 0.7
    assert weights.licence == "MIT"
