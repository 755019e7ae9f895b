"""How long espeak-ng takes for a text, told from the phonemes that Kokoro and hibari take.

A sum over kinds of phonemes, fitted to what espeak-ng's en-us takes for English sentences, without
the silence around them. scripts/measure-pace makes the table and tells how well it fits.
"""

from bisect import bisect_left
from collections import Counter

# Kinds of phonemes of misaki's alphabet. The first two are the sentence as such, and a word.
KINDS = (
    *("", "", ".!?…", ",;:", "—"),
    *("AIOQWY", "iuɑɒɔɜ", "aæɛɪʊʌ", "əᵻɐᵊ", "ˈ", "ˌ"),
    *("ptkʧ", "bdɡʤT", "fsθʃh", "vzðʒ", "mnŋ", "lɹwj"),
)
# Milliseconds of each kind, at a rate in words a minute.
MILLISECONDS = {
    80: (221, 76, 1292, 721, 133, 130, 60, 59, -2, 199, 21, 109, 146, 154, 109, 131, 91),
    110: (176, 55, 918, 522, 98, 92, 45, 43, -1, 140, 18, 101, 118, 123, 94, 100, 73),
    150: (143, 38, 589, 347, 82, 57, 26, 28, -1, 89, 13, 90, 94, 99, 81, 77, 58),
    200: (119, 27, 367, 229, 67, 39, 20, 24, 1, 52, 8, 73, 75, 78, 70, 59, 48),
    250: (99, 19, 239, 156, 38, 31, 18, 21, 4, 28, 6, 63, 64, 65, 65, 52, 44),
    300: (73, 12, 152, 97, 12, 30, 23, 23, 10, 10, 6, 56, 56, 58, 58, 47, 39),
    370: (34, 6, 59, 28, 11, 34, 30, 27, 13, 3, 5, 45, 47, 44, 48, 41, 33),
    450: (62, 13, 85, 59, 15, 23, 14, 16, 9, 19, 3, 31, 31, 34, 34, 27, 22),
}
SILENT = ' “”"()'  # at the ends


def espeak_seconds(phonemes: str, rate_wpm: int) -> float:
    """The seconds of espeak-ng's speech at a rate of 80 to 450 words a minute."""
    counts = count_kinds(phonemes)
    rates = list(MILLISECONDS)
    upper = min(max(bisect_left(rates, rate_wpm), 1), len(rates) - 1)
    slow, fast = rates[upper - 1], rates[upper]
    begin, end = (
        sum(n * each for n, each in zip(counts, MILLISECONDS[rate], strict=True)) / 1000
        for rate in (slow, fast)
    )
    # Speech takes about the inverse of the rate.
    part = (1 / slow - 1 / rate_wpm) / (1 / slow - 1 / fast)
    return begin + (end - begin) * part


def count_kinds(phonemes: str) -> list[int]:
    """How many of each of KINDS are in a sentence; the mark that ends it does not count."""
    inside = phonemes.strip(SILENT + "".join(KINDS[2:5]))
    counts = Counter(inside)
    words = len(inside.split())
    return [min(words, 1), words, *(sum(counts[one] for one in kind) for kind in KINDS[2:])]
