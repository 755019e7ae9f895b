from pathlib import Path

import pytest

from model.data.other_language import looks_like, other_languages
from model.data.user_texts import UserText

NOTES = """Mon 3rd. Rain. Bought milk, eggs, bread. Called mum, she's better. Work till six, meeting
dull. Read Woolf before bed. Tues 4th. Up late. Missed bus. Lunch with Ana, talked jobs. Gym. Slept
badly. Wed 5th. Sunny at last. Walked to river, saw heron. Dinner: pasta. Film boring, left early.
"""
TALE = """There was once a sweet little maid, much beloved by everybody, but most of all by her
grandmother, who never knew how to make enough of her. Once she sent her a little riding hood of red
velvet, and as it was very becoming to her, and she never wore anything else, people called her so.
"""
FRENCH = """Il était une fois une petite fille de village, la plus jolie qu'on eût su voir ; sa mère
en était folle, et sa mère-grand plus folle encore. Cette bonne femme lui fit faire un petit
chaperon rouge, qui lui seyait si bien que partout on l'appelait le petit Chaperon rouge.
"""
GERMAN = """Es war einmal eine kleine süße Dirne, die hatte jedermann lieb, der sie nur ansah, am
allerliebsten aber ihre Großmutter, die wusste gar nicht, was sie alles dem Kinde geben sollte.
Einmal schenkte sie ihm ein Käppchen von rotem Samt, und weil ihm das so wohl stand, war es froh.
"""
DUTCH = """Er was eens een klein meisje dat in het bos woonde met haar moeder en haar vader, en ze
was zo lief dat iedereen van haar hield. Op een dag zei haar moeder: ga naar grootmoeder, want ze is
ziek, en breng haar deze koek en de wijn. Het meisje ging op weg in de richting van het huis.
"""
RUSSIAN = "Жила-была в одной деревне маленькая девочка, красивая, что нельзя сказать. " * 5
CHINESE = "很久以前有一只小狐狸住在海边。它每天看着大海，想着远方 (far away)。" * 20
JAPANESE = (
    "昔々あるところに、おじいさんとおばあさんが住んでいました。おじいさんは山へ行きました。" * 9
)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (TALE, ["en"]),
        (NOTES, ["en"]),
        (TALE + FRENCH, ["en"]),
        (FRENCH, []),
        (GERMAN, []),
        (DUTCH, []),
        (RUSSIAN, []),
        (CHINESE, ["zh"]),
        (JAPANESE, []),
        ("春眠不觉晓", ["en", "zh"]),  # too short to tell
    ],
)
def test_a_text_is_recognised_by_letters_and_small_words(text: str, fits: list[str]):
    assert [language for language in ("en", "zh") if looks_like(text, language)] == fits


def test_what_is_said_names_the_texts():
    texts = [UserText(Path(f"/corpus/{name}.txt"), FRENCH) for name in "abcde"]
    texts += [UserText(Path("/corpus/tale.txt"), TALE), UserText(Path("/corpus/shi.txt"), CHINESE)]
    chinese, strange = other_languages(texts, "en")
    assert chinese.startswith("shi.txt is in Chinese")
    assert "`afterword train --language zh`" in chinese
    assert strange.startswith("a.txt, b.txt, c.txt and 2 more are not in the language")
    (others,) = other_languages(texts, "zh")
    assert others.startswith("a.txt, b.txt, c.txt and 3 more are not")
    assert other_languages(texts[5:6], "en") == []
