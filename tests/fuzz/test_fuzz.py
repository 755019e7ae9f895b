"""Fuzzing: every input gives a result or an `AfterwordError`; nothing crashes, hangs or leaks."""

import asyncio
import contextlib
import json
import socket
import struct
import wave
from io import BytesIO
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from audio.input.file import WavFile
from config.errors import AfterwordError, ConfigError, InputError, RefusedError, WeightsError
from config.load import known_keys, load
from daemon.control import protocol
from daemon.control.lock import single_instance_lock
from daemon.control.server import ControlServer
from daemon.wyoming.connection import Connection
from daemon.wyoming.events import LINE_BYTES
from model.checkpoints.training_state import load_state, save_state
from model.checkpoints.weights_file import load_weights, save_weights
from model.text.sentences import SentenceSplitter
from model.text.vocabulary import TextDecoder, Vocabulary
from tests.daemon.wyoming.peers import answers, fake_shared
from tests.daemon.wyoming.test_hearing import HEARING
from tests.model.made import small_weights


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes of a good file with some of them changed, left out, doubled or cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "put", "cut", "insert", "remove"])):
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "put":
                data[place : place + 4] = draw(st.binary(min_size=4, max_size=4))
            case "cut":
                del data[place:]
            case "insert":
                data[place:place] = draw(st.binary(max_size=20))
            case "remove":
                del data[place : place + draw(st.integers(1, 20))]
    return bytes(data)


# --- settings -------------------------------------------------------------------------------------

_SCALARS = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        [
            *("null", "yes", "~", ".nan", "-.inf", "0x1F", "1e400", "2024-01-01", "!!binary x"),
            *("!!python/name:os.system", "&a x", "*a", "|", ">-", "''", '"\u0000"', "<<: *a"),
            *("? x", "{", "[", "---", "...", "%YAML 9.9"),
        ]
    ),
)
_KEYS = st.one_of(
    st.sampled_from([*known_keys(), "voice", "model", "trigger"]), st.text(max_size=9)
)
_LINES = st.tuples(st.sampled_from(["", "  ", "\t", "- "]), _KEYS, _SCALARS).map(
    lambda parts: f"{parts[0]}{parts[1].replace('.', ': {', 1)}: {parts[2]}"
)
_FILES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(_LINES, max_size=8).map(lambda lines: "\n".join(lines).encode("utf-8", "replace")),
)


@given(_FILES)
def test_any_settings_file_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(content)
    problem = ""
    try:
        assert load(path, environment={}).settings.language in ("en", "zh")
    except ConfigError as error:
        problem = str(error)
    assert "\n" not in problem


@given(st.sampled_from(known_keys()), _SCALARS)
def test_any_flag_is_taken_or_refused(key: str, text: str) -> None:
    with contextlib.suppress(ConfigError):
        load(flags=[f"{key}={text}"], environment={})


# --- control --------------------------------------------------------------------------------------

_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
_JSON = st.one_of(
    _LEAVES,
    st.lists(_LEAVES, max_size=3),
    st.dictionaries(st.text(max_size=8), _LEAVES, max_size=3),
)
_REQUESTS = st.one_of(
    st.binary(max_size=300),
    _JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"version": st.sampled_from([1, 1, 1, 2, True, "1", None])},
        optional={"command": st.sampled_from([*protocol.COMMANDS]) | _JSON, "seed": _JSON},
    ).map(lambda value: json.dumps(value).encode()),
)


@given(_REQUESTS)
def test_any_request_is_read_or_refused(line: bytes) -> None:
    with contextlib.suppress(RefusedError):
        request = protocol.read_request(line)
        assert request.command in protocol.COMMANDS
        sent = protocol.request_line(request.command, request.arguments)
        assert protocol.read_request(sent) == request
    with contextlib.suppress(AfterwordError):
        protocol.read_answer(line)


def test_any_request_through_the_socket_is_answered() -> None:
    path = protocol.socket_path()
    with (
        single_instance_lock(path),
        contextlib.closing(ControlServer(path, lambda *_: {"done": "yes"})),
    ):

        @given(_REQUESTS, st.booleans())
        def ask(line: bytes, ends: bool) -> None:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(60)
                client.connect(str(path))
                client.sendall(line + (b"\n" if ends else b""))
                client.shutdown(socket.SHUT_WR)
                answer = client.makefile("rb").readline()
                assert isinstance(json.loads(answer)["ok"], bool)

        ask()


# --- wyoming --------------------------------------------------------------------------------------

_TYPES = st.sampled_from(
    [
        *("describe", "ping", "transcript", "transcript", "synthesize", "synthesize-chunk"),
        *("transcribe", "audio-start", "audio-chunk", "audio-stop"),
    ]
)
_LENGTHS = st.integers(-1, 60) | st.integers() | _JSON
_GOOD_EVENT = b"""{"type": "transcript", "data_length": 32, "payload_length": 3}
{"text": "a fox", "context": {}}abc"""
_EVENTS = st.one_of(
    st.binary(max_size=300),
    damaged(_GOOD_EVENT + b'{"type": "describe"}\n'),
    st.tuples(
        st.fixed_dictionaries(
            {"type": st.one_of(_TYPES, _TYPES, _JSON)},
            optional={
                "data": st.fixed_dictionaries({"text": _JSON}, optional={"context": _JSON}) | _JSON,
                "data_length": _LENGTHS,
                "payload_length": _LENGTHS,
            },
        ).map(lambda header: json.dumps(header).encode()),
        st.binary(max_size=60) | _JSON.map(lambda data: json.dumps(data).encode()),
    ).map(b"\n".join),
)


@given(st.lists(_EVENTS, max_size=4).map(b"".join))
def test_any_wyoming_peer_is_answered_or_disconnected(
    caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async def run() -> list[str]:
        ours, theirs = socket.socketpair()
        shared = fake_shared(offer=HEARING)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_BYTES)
        peer, to_server = await asyncio.open_unix_connection(sock=theirs)
        to_server.write(sent)
        to_server.write_eof()
        serving = asyncio.create_task(Connection(shared, reader, writer, lambda _: None).serve())
        types = [event.type for event in await answers(peer)]
        to_server.close()
        await serving
        assert not shared.generating.locked()
        assert not shared.speaking.locked()
        assert shared.listeners._value == shared.limits.sounds
        return types

    types = asyncio.run(run())
    assert types.count("handled-start") == types.count("handled-stop")
    assert types.count("audio-start") == types.count("audio-stop")
    assert caplog.records == []


# --- sound ----------------------------------------------------------------------------------------


def _wav(rate: int, channels: int, width: int) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((channels, width, rate, 0, "NONE", ""))
        wav.writeframes(bytes(range(256)) * 4 * channels * width)
    return file.getvalue()


_WAVS = [_wav(16_000, 1, 2), _wav(44_100, 2, 2), _wav(8_000, 1, 1), _wav(48_000, 1, 4)]


@given(st.one_of(*(damaged(wav) for wav in _WAVS), st.binary(max_size=100)))
def test_any_wav_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.wav"
    path.write_bytes(content)
    seconds, problem = 0.0, ""
    try:
        with WavFile(path).open() as chunks:
            for chunk in chunks:
                assert chunk.rate == 16_000
                assert len(chunk.pcm) % 2 == 0
                assert chunk.end_seconds > seconds
                seconds = chunk.end_seconds
    except InputError as error:
        problem = str(error)
    assert "\n" not in problem
    assert seconds < 10


# --- weights --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    save_weights(folder / "whole.safetensors", small_weights())
    save_state(folder / "last.pt", {"model": {"w": torch.ones(50)}, "step": 3, "config": {}})
    return folder


def _without_checksum(path: Path) -> bytes:
    """The file without its checksum, as before checksums existed; reaches the code behind it."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = {k: v for k, v in file.metadata().items() if k != "sha256"}
        return save({name: file.get_tensor(name) for name in file.keys()}, metadata)  # noqa: SIM118


def test_any_weights_file_loads_or_is_refused(files: Path) -> None:
    whole = _without_checksum(files / "whole.safetensors")
    (length,) = struct.unpack("<Q", whole[:8])
    header, rest = whole[8 : 8 + length], whole[8 + length :]
    path = files / "fuzz.safetensors"

    @given(st.one_of(damaged(header).map(lambda h: struct.pack("<Q", len(h)) + h + rest),
                     damaged(whole), st.binary(max_size=100)))  # fmt: skip
    def read(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(WeightsError):
            assert load_weights(path).model.config.layers < 9

    read()


def test_any_trainer_state_loads_or_is_refused(files: Path) -> None:
    whole, path = (files / "last.pt").read_bytes(), files / "fuzz.pt"

    @given(damaged(whole) | st.binary(max_size=100))
    def read(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(WeightsError):
            load_state(path)

    read()


# --- tokens to text -------------------------------------------------------------------------------

_VOCABULARY = Vocabulary([7086, 279, 13, 382, 198, 220])  # " named", " the", marks, line ends
_IDS = st.lists(st.integers(0, _VOCABULARY.size - 2), max_size=60)
_TEXTS = st.text(max_size=40).map(_VOCABULARY.encode)


@given(st.one_of(_IDS, _TEXTS))
def test_no_letter_is_lost_from_tokens_to_sentences(ids: list[int]) -> None:
    decoder, splitter = TextDecoder(_VOCABULARY.pieces), SentenceSplitter()
    text, sentences = "", []
    for token in ids:
        piece = decoder.feed(token)
        text += piece
        sentences += splitter.feed(piece)
    whole = _VOCABULARY.decode(ids)
    assert whole.startswith(text)
    assert set(whole[len(text) :]) <= {"\ufffd"}
    sentences += [splitter.rest()] if splitter.rest() else []
    assert all(any(c.isalnum() for c in sentence) for sentence in sentences)
    spoken = "".join("".join(sentences).split())
    letters = [c for c in text if c.isalnum()]
    assert [c for c in spoken if c.isalnum()] == letters  # no letter is lost or changes its place
