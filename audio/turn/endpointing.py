"""Endpointing: how much silence ends a seed, given its words and its pauses.

    [utterance]   [pause]   [utterance]   [silence]   the seed ends
                 a longer pause of the user   │
                 asks for a longer delay      └ from min_delay to max_delay

After PAUSE_SECONDS of the silence, a reply to the words so far is prepared (preemptive generation).
All numbers were found on recorded sentences (docs/lab/hearing.md).
"""

from collections.abc import Sequence

from config.languages import Language

PAUSE_SECONDS = 0.15  # without a voice, after which the words so far may be the whole seed
STABLE_WORDS_SECONDS = 0.2  # for which the words must not have changed, for they come late
NO_WORDS_SECONDS = 1.0  # beyond the delay without new words, where all is a voice to the detector
VOICE_NO_WORDS_SECONDS = 3.0  # likewise, where the detector has told voice from noise

MAX_EXTRA_SECONDS = 0.75  # max_delay above min_delay: where more words are likely, or must come
MASKED_EXTRA_SECONDS = 0.12  # more of both where a premature end could not be mended
HESITANT_PAUSE_SECONDS = 0.5  # a pause of the user from which on the delay grows ...
PAUSE_FACTOR = 1.5  # ... to this multiple of it ...
PAUSE_MARGIN_SECONDS = 0.1  # ... and this much more
# HESITANT_PAUSE_SECONDS and PAUSE_FACTOR where the echo masks the user.
MASKED_HESITANT_PAUSE_SECONDS, MASKED_PAUSE_FACTOR = 0.3, 2.0


def endpoint_delay(
    words: Sequence[str],
    longest_pause: float,
    min_delay: float,
    language: Language,
    *,
    echo_masks_user: bool = False,
) -> float:
    """Seconds of silence that end a seed, from `min_delay` to 0.75 s more (max_delay).

    A user who has paused will pause again, so the delay grows with the longest pause. Few words are
    likely to go on, and some words end no sentence.

    Args:
        words: recognised so far.
        longest_pause: between them, in seconds.
        min_delay: after a whole sentence without a pause, in seconds.
        language: of the words.
        echo_masks_user: a user who resumes over the reply would not be noticed: both limits are
            0.12 s longer, and shorter pauses lengthen the delay, and by more.
    """
    hesitant_pause, factor = HESITANT_PAUSE_SECONDS, PAUSE_FACTOR
    if echo_masks_user:
        hesitant_pause, factor = MASKED_HESITANT_PAUSE_SECONDS, MASKED_PAUSE_FACTOR
        min_delay += MASKED_EXTRA_SECONDS
    max_delay = min_delay + MAX_EXTRA_SECONDS
    if len(words) < language.few_words or (words and words[-1] in language.unfinished_words):
        return max_delay
    if longest_pause < hesitant_pause:
        return min_delay
    return max(min_delay, min(factor * longest_pause + PAUSE_MARGIN_SECONDS, max_delay))
