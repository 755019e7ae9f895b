"""Times of words, reckoned by their letters."""

from audio.output.word_timeline import PlayedText, words_between

SAID = (
    PlayedText("One day a fox said hey computer.", 10.0, 13.6),
    PlayedText("It slept.", 14.0, 15.0),
)


def test_words_that_sound_in_part_count() -> None:
    assert words_between(SAID, 0.0, 20.0) == "One day a fox said hey computer. It slept."
    assert words_between(SAID, 10.0, 10.7) == "One day"
    assert words_between(SAID, 12.9, 14.2) == "computer. It"
    assert words_between(SAID, 13.7, 13.9) == ""
    assert words_between(SAID, 16.0, 17.0) == ""
    assert words_between((), 0.0, 1.0) == ""


def test_a_comma_takes_its_time() -> None:
    plain, marked = PlayedText("aaaa bbbb", 0.0, 1.0), PlayedText("aaaa, bbbb", 0.0, 1.0)
    assert words_between([plain], 0.55, 0.6) == "bbbb"
    assert words_between([marked], 0.55, 0.6) == "aaaa,"


def test_each_chinese_character_is_a_word() -> None:
    assert words_between([PlayedText("你好电脑", 0.0, 4.0)], 1.1, 2.9) == "好 电"
