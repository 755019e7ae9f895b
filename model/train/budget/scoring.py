"""The sample of the held-out texts that a validation scores."""

from collections.abc import Sequence

from model.data.cutting import SENTENCES, WORDS, cut_text
from model.text.vocabulary import Vocabulary

_MOST_TEXTS = 64
_FILLED = 0.9  # of the context, so that few openings need a second window


def openings(texts: Sequence[str], vocabulary: Vocabulary, context: int) -> list[str]:
    """The opening of each text, about a context long; of many texts 64, evenly spread.

    Scoring whole texts takes four times as long: their windows overlap by half, so that each token
    is computed twice.
    """
    chosen = texts[:: -(-len(texts) // _MOST_TEXTS)] if texts else []
    return [_opening(text, vocabulary, context) for text in chosen]


def _opening(text: str, vocabulary: Vocabulary, context: int) -> str:
    characters_per_token = len(text) / max(1, len(vocabulary.encode(text)))
    longest = max(1, int(_FILLED * context * characters_per_token))
    return (cut_text(text, longest, (SENTENCES, WORDS)) or [text])[0]
