"""Reads the words of a Vosk model's language model, and which of them are most frequent."""

import struct
from collections.abc import Iterator

_SYMBOL_TABLE_MAGIC = struct.pack("<i", 0x7EB2FB74)  # OpenFst, symbol-table.cc
_HAS_INPUT, _HAS_OUTPUT = 1, 2  # symbol tables; fst.h, FstHeader::Flags


def all_words(graph: bytes) -> list[str]:
    """The words of an OpenFst graph file, in its order; none if it has no symbol table."""
    at = graph.find(_SYMBOL_TABLE_MAGIC)
    return [word for word, _, _ in _symbols(graph, at)] if at >= 0 else []


def most_frequent(graph: bytes, count: int) -> list[str]:
    """The `count` words with the highest unigram probability, most frequent first.

    The layout is that of OpenFst's fst.cc (header and symbol tables) and ngram-fst.h (the rest):
    the arcs of the first state are the unigrams, in the order of their word ids.

    Raises:
        ValueError: the file is no n-gram graph with words.
        struct.error: the file is truncated.
    """
    import numpy as np

    kind, at = _text(graph, 4)
    _, at = _text(graph, at)  # the type of the arcs
    flags, at = struct.unpack_from("<i", graph, at + 4)[0], at + 40
    if kind != b"ngram" or not 0 < flags <= _HAS_INPUT | _HAS_OUTPUT:
        raise ValueError("no n-gram graph with words")
    start = at
    names: dict[int, str] = {}
    for name, number, end in _symbols(graph, at):
        names[number], at = name, end
    if flags == _HAS_INPUT | _HAS_OUTPUT:  # two tables of the same words
        at += at - start
    states, futures, finals = struct.unpack_from("<QQQ", graph, at)
    bits = (2 * states + 1, futures + states + 1, states)  # contexts, futures, finals
    at += 24 + sum((length + 63) // 64 * 8 for length in bits) + 4 * (states + 1)
    ids = np.frombuffer(graph, "<i4", futures, at)
    at += 4 * (futures + states + 1 + finals)
    costs = np.frombuffer(graph, "<f4", futures, at)
    unigrams = int(np.argmax(np.diff(ids) <= 0)) + 1  # ids ascend within a state
    best = ids[np.argsort(costs[:unigrams], kind="stable")]
    return [names[number] for number in best.tolist() if _is_word(names[number])][:count]


def _is_word(name: str) -> bool:
    return name[0] not in "<[#!"  # "<eps>", "[unk]", "#0", "!SIL"


def _symbols(graph: bytes, at: int) -> Iterator[tuple[str, int, int]]:
    """Each word of the symbol table at offset `at`, its id, and the end of its entry."""
    _, at = _text(graph, at + 4)
    (count,) = struct.unpack_from("<q", graph, at + 8)
    at += 16
    for _ in range(count):
        name, at = _text(graph, at)
        (number,) = struct.unpack_from("<q", graph, at)
        at += 8
        yield name.decode(), number, at


def _text(graph: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<i", graph, at)
    return graph[at + 4 : at + 4 + length], at + 4 + length
