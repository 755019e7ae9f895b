import gzip
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from config.errors import WeightsError
from model.text import tokenizer

ROOT = Path(__file__).parents[3]


def test_needs_no_network_no_home_and_no_environment():
    program = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from model.text.tokenizer import load_encoding\n"
        "print(load_encoding().encode_ordinary('hello world'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={}, capture_output=True, text=True
    )
    assert (result.stdout, result.stderr) == ("[15339, 1917]\n", "")


def test_special_tokens_have_their_known_ids():
    encoding = tokenizer.load_encoding()
    assert encoding.encode("<|endoftext|>", allowed_special="all") == [tokenizer.END_OF_TEXT]
    assert encoding.n_vocab == tokenizer.ENCODING_SIZE


def test_byte_strings_have_their_known_ids():
    assert tokenizer.token_id(b" world") == 1917
    assert tokenizer.token_id(b"\xff") == tokenizer.merge_ranks()[b"\xff"]
    assert tokenizer.token_id(b" worldwide web") is None
    assert tokenizer.token_id(b"<|endoftext|>") is None


@pytest.mark.parametrize("content", [gzip.compress(b"IQ== 0\n", mtime=0), b"", b"no gzip"])
def test_a_damaged_rank_file_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cl100k_base.tiktoken.gz").write_bytes(content)
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="install afterword again"):
        tokenizer.merge_ranks()


@pytest.mark.parametrize(
    "text",
    [
        "The fox ran, and  ran.\n\n那只狐狸。'twas 12345 \u00e9\n",
        "狐狸走过雪地，" * 5_000,
        "fox!" * 10_000 + " hen",
        " " * 9_000 + "fox",
        "",
    ],
)
def test_texts_get_the_ids_of_tiktoken(text: str):
    encoding = tokenizer.load_encoding()
    assert tokenizer.encode(encoding, text) == encoding.encode_ordinary(text)


@pytest.mark.parametrize(
    "part", [" ", "\n", "\u00a0", "\t ", "a", "狐", "1", ".", "aB3/+9xQ", "\u0301", "<|endoftext|>"]
)
def test_a_million_of_anything_has_ids(part: str):
    encoding = tokenizer.load_encoding()
    for end in ("", "fox", " fox"):
        text = f"The hen.{part * (1_000_000 // len(part))}{end}"
        assert encoding.decode(tokenizer.encode(encoding, text)) == text
