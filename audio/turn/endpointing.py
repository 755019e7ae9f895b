"""When has a speaker finished? How much silence it takes depends on what was said, and how."""

from collections.abc import Sequence

FEW_WORDS = 5  # with fewer the speaker is still making it up; in Chinese, of two or more
_FEW_CHINESE = 2
UNFINISHED_SECONDS = 0.75  # more silence where more words must come, or are likely
_CARE_SECONDS = 0.12  # more silence where a mistake cannot be mended

# Words that end no sentence.
_UNFINISHED_WORDS = """
a an the and or but nor of to in on at by for from with into upon about over under through than as
if that because when while who which what where is are was were his my your our their its these
those had has have do does did will would shall should could can may might must any some every
each said
和 跟 与 在 把 被 从 对 给 向 往 是 但 但是 因为 如果 而 而且 或 或者 一个 这个 那个 很
就 也 都
"""
_UNFINISHED = frozenset(_UNFINISHED_WORDS.split())


def needed_silence(
    words: Sequence[str],
    longest_pause: float,
    shortest: float,
    *,
    chinese: bool = False,
    careful: bool = False,
) -> float:
    """Seconds of silence that end a seed. Who has paused will pause again.

    The numbers were found on recorded sentences (docs/hearing.md).

    Args:
        words: what was heard so far.
        longest_pause: the longest one between them, in seconds.
        shortest: where a whole sentence was said without one.
        chinese: whether the words are.
        careful: whether a speaker who goes on after that would go unheard.
    """
    few = _FEW_CHINESE if chinese else FEW_WORDS
    pause, factor = (0.3, 2.0) if careful else (0.5, 1.5)
    shortest += _CARE_SECONDS * careful
    longest = shortest + UNFINISHED_SECONDS
    if len(words) < few or (words and words[-1] in _UNFINISHED):
        return longest
    if longest_pause < pause:
        return shortest
    return max(shortest, min(factor * longest_pause + 0.1, longest))
