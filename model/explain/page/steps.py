"""The ten steps of one token as sections of the page."""

from collections.abc import Iterable
from dataclasses import dataclass

from model.explain.page.markup import Html, element, join, table
from model.explain.page.pictures import bar, heat_map, label, strip
from model.explain.page.words import Words
from model.explain.text import quoted
from model.explain.trace import SHOWN, Candidate, Step, Token, Trace
from model.text.sentences import is_complete

_EMBEDDING_NUMBERS = 4  # of a row; more do not fit on a phone
_IDS_SHOWN = 24  # in the tables and rows of tokens: the newest


@dataclass(frozen=True)
class Scene:
    """One token of a trace, and the words to tell it in."""

    trace: Trace
    step: Step
    words: Words

    @property
    def tokens(self) -> list[Token]:
        """The tokens before this one."""
        return self.trace.tokens_before(self.step)

    @property
    def newest(self) -> list[Token]:
        """Those of them whose numbers are shown, W."""
        return self.tokens[-self.step.inside.embeddings.size(0) :]

    @property
    def greedy(self) -> bool:
        """True at temperature 0."""
        return self.trace.sampling.temperature == 0


def sections(scene: Scene) -> list[Html]:
    """The ten sections of one token, whose ids are `section_id`'s."""
    contents = (
        _ids(scene),
        _crop(scene),
        _embeddings(scene),
        _blocks(scene),
        _logits(scene),
        _last_position(scene),
        _temperature(scene),
        _filters(scene),
        _draw(scene),
        _decoded(scene),
    )
    return [_section(scene, number, *content) for number, content in enumerate(contents, 1)]


def section_id(token: int, step: int) -> str:
    """The id of the section of one step of one token, both from 1."""
    return f"t{token}s{step}"


def title_of(scene: Scene, number: int) -> str:
    """The title of a step, from 1."""
    return _filled(scene, scene.words.steps[number - 1][0])


def _section(scene: Scene, number: int, explanation: str, *content: Html) -> Html:
    name = section_id(scene.step.number, number)
    heading = element("h2", f"{number}. {title_of(scene, number)}", id=f"{name}h", tabindex=-1)
    place = scene.words.place.format(
        token=scene.step.number, tokens=len(scene.trace.steps), step=number
    )
    return element(
        "section",
        element("p", place, class_="place"),
        heading,
        element("p", explanation),
        *content,
        id=name,
        class_="step",
        aria_labelledby=f"{name}h",
    )


def _filled(scene: Scene, template: str, **more: object) -> str:
    """A text with the sizes of the model, the settings and `more` in place of names in braces."""
    trace, config = scene.trace, scene.trace.weights.stored.config
    sampling = trace.sampling
    return template.format(
        size=f"{config.vocabulary_size:,}",
        rows=config.vocabulary_size,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        context=f"{config.context_length:,}",
        tokens=scene.step.tokens,
        read=scene.step.read,
        temperature=f"{sampling.temperature:g}",
        top_k=sampling.top_k,
        top_p=f"{sampling.top_p:g}",
        min_p=f"{sampling.min_p:g}",
        **more,
    )


def _text_of(scene: Scene, number: int, **more: object) -> str:
    return _filled(scene, scene.words.steps[number - 1][1], **more)


def _newest_ids(scene: Scene) -> tuple[list[tuple[int, Token]], str]:
    """The newest tokens with their positions, and how many older ones are not shown."""
    numbered = list(enumerate(scene.tokens, 1))
    older = len(numbered) - _IDS_SHOWN
    note = scene.words.not_shown.format(count=older) if older > 0 else ""
    return numbered[-_IDS_SHOWN:], note


def _ids(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words = scene.words
    shown, note = _newest_ids(scene)
    own = scene.trace.weights.vocabulary.lengths.size
    vocabulary = _filled(scene, words.own_pieces if own else words.kept_ids)
    rows = [
        (str(at), quoted(t), " ".join(map(str, t.cl100k_ids)), str(t.id), t.data.hex(" ") or "–")
        for at, t in shown
    ]
    head = (words.position, words.text, "cl100k_base", words.id, words.bytes)
    seed = element("p", element("q", _tail(scene)), class_="text")
    explanation = _text_of(scene, 1, vocabulary=vocabulary)
    broken = any("\ufffd" in t.data.decode("utf-8", "replace") for _, t in shown)
    opening = scene.trace.opening.strip()
    notes = (
        element("p", words.opening.format(opening=opening) if opening else ""),
        element("p", words.partial if broken else ""),
        element("p", note),
    )
    return explanation, seed, *notes, table(head, rows)


def _tail(scene: Scene) -> str:
    """The text that is continued."""
    earlier = scene.trace.steps[: scene.step.number - 1]
    return earlier[-1].text if earlier else scene.trace.text


def _crop(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, step = scene.words, scene.step
    cropped = step.tokens - step.read
    crop = _filled(scene, words.cropped if cropped else words.all_read, cropped=cropped)
    shown, note = _newest_ids(scene)
    chips = [
        element("li", element("del" if at <= cropped else "span", label(t.text))) for at, t in shown
    ]
    return _text_of(scene, 2, crop=crop), element("p", note), element("ol", *chips, class_="chips")


def _embeddings(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    first = scene.step.inside.embeddings[:, :_EMBEDDING_NUMBERS].tolist()
    rows = [
        (label(token.text), *(f"{number:.2f}" for number in numbers), "…")
        for token, numbers in zip(scene.newest, first, strict=True)
    ]
    head = (scene.words.text, *map(str, range(1, len(first[0]) + 1)), "")
    return _text_of(scene, 3), table(head, rows)


def _blocks(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, inside, config = scene.words, scene.step.inside, scene.trace.weights.stored.config
    mean = inside.attention.mean(dim=1)  # (L, W, W)
    w = mean.size(-1)
    begin = scene.step.tokens - w + 1  # the position of the first column
    names = [f"{at}·{token.text}" for at, token in enumerate(scene.newest, begin)]
    triangle = [row[: at + 1] for at, row in enumerate(mean[0].tolist())]
    last = mean[:, -1].tolist()  # L of W
    blocks = [f"{words.block}\u00a0{number}" for number in range(1, config.layers + 1)]
    shapes = [(s.name, f"[{', '.join(map(str, s.shape))}]") for s in inside.shapes]
    note = words.gathers.format(heads=config.heads, shown=SHOWN)
    return (
        _text_of(scene, 4),
        heat_map(words.first_block, names, w, triangle),
        heat_map(words.last_position, blocks, w, last),
        element("p", note),
        element(
            "details", element("summary", words.shapes), table((words.part, words.shape), shapes)
        ),
    )


def _logits(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, vocabulary = scene.words, scene.trace.weights.vocabulary
    rows = [
        (label(token.text), f"→ {_piece(vocabulary.pieces[guess])}", f"{logit:.2f}")
        for token, (guess, logit) in zip(scene.newest, scene.step.inside.guesses, strict=True)
    ]
    return _text_of(scene, 5), table((words.text, words.guess, words.logit), rows)


def _piece(data: bytes) -> str:
    return label(Token(0, (), data).text)


def _last_position(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, found = scene.words, scene.step.candidates
    highest, lowest = max(c.logit for c in found), min(c.logit for c in found)
    spread = (highest - min(lowest, 0.0)) or 1.0
    rows = [
        (_name(c), str(c.token.id), f"{c.logit:.3f}", bar((c.logit - min(lowest, 0.0)) / spread))
        for c in found
    ]
    return _text_of(scene, 6), table((words.text, words.id, words.logit, ""), rows)


def _name(c: Candidate) -> str:
    """The candidate's text, with the character that it completes."""
    return quoted(c.token) + (f" → {c.completes}" if c.completes else "")


def _temperature(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, found = scene.words, scene.step.candidates
    factor = f"{scene.trace.sampling.repetition_penalty:g}"
    is_penalised = any(c.penalised != c.logit for c in found)
    penalty = words.penalty.format(penalty=factor) if is_penalised else ""
    columns = {words.text: [_name(c) for c in found], words.logit: _three(c.logit for c in found)}
    if is_penalised:
        columns[words.penalised] = _three(c.penalised for c in found)
    if not scene.greedy:
        divided = _three(c.tempered for c in found if c.tempered is not None)
        columns[_filled(scene, "z ÷ {temperature}")] = divided
    template = words.greedy_division if scene.greedy else words.steps[6][1]
    rows = list(zip(*columns.values(), strict=True))
    return _filled(scene, template, penalty=penalty), table(tuple(columns), rows)


def _three(numbers: Iterable[float]) -> list[str]:
    return [f"{number:.3f}" for number in numbers]


def _filters(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, step = scene.words, scene.step
    left = [
        (_filled(scene, words.filters[name]), f"{count:,}") for name, count in step.left.items()
    ]
    found = step.candidates
    columns = {
        words.text: [_name(c) for c in found],
        "softmax(z)": [_percent(c.probability) for c in found],
    }
    if not scene.greedy:  # which divides nothing
        divided = [_percent(c.tempered_probability) for c in found]
        columns[_filled(scene, "softmax(z ÷ {temperature})")] = divided
    columns[words.chance] = [_chance(words, c) for c in found]
    rows = list(zip(*columns.values(), strict=True))
    return (
        _text_of(scene, 8),
        table((words.filter, words.remaining), left, kind="wrap"),
        table(tuple(columns), rows, marked=_drawn_row(scene)),
    )


def _chance(words: Words, c: Candidate) -> str:
    """The chance of a candidate, or what left it out."""
    name = words.reasons.get(c.left_out_by, c.left_out_by)
    return words.out_by.format(name=name) if name else _percent(c.draw_probability)


def _percent(part: float | None) -> str:
    return "" if part is None else f"{100 * part:.2f}%"


def _drawn_row(scene: Scene) -> list[int]:
    return [scene.step.candidates.index(scene.step.drawn_candidate)]


def _draw(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, step = scene.words, scene.step
    explanation = words.steps[8][1]
    share = step.drawn_candidate.cumulative
    if step.random_number is None or share is None:
        row = (_name(step.drawn_candidate), words.certain)
        greedy = words.greedy_draw.format(token=step.drawn.text)
        return greedy, table((words.text, words.chance), [row], marked=[0])
    told = words.draw.format(
        seed=scene.trace.random_seed,
        which=step.number,
        number=_precise(step.random_number),
        begin=_precise(share[0]),
        end=_precise(share[1]),
        token=step.drawn.text,
    )
    kept = [(c, c.cumulative) for c in step.candidates if c.cumulative]
    shares = [cumulative for _, cumulative in kept]
    drawn = shares.index(share)
    rows = [
        (_name(c), _percent(c.draw_probability), f"{begin:.4f} – {end:.4f}")
        for c, (begin, end) in kept
    ]
    picture = strip(words.random_number, shares, drawn, step.random_number)
    head = (words.text, words.chance, words.cumulative)
    return explanation, element("p", told), picture, table(head, rows, marked=[drawn])


def _precise(number: float) -> str:
    return f"{number:.6f}"


def _decoded(scene: Scene) -> tuple[str, *tuple[Html, ...]]:
    words, step = scene.words, scene.step
    data = step.drawn.data
    before = _tail(scene)
    new = step.text.removeprefix(before)
    if not data:
        decoded = words.text_ended
    else:
        decoded = words.bytes_complete.format(text=new) if new else words.bytes_pending
    explanation = _text_of(scene, 10, id=step.drawn.id, bytes=data.hex(" ") or "–", decoded=decoded)
    printed = element("p", element("q", join([before, element("mark", new)])), class_="text")
    complete = not data or is_complete(step.text)
    spoken = element("p", words.sentence_complete if complete else words.sentence_open)
    is_last = step.number == len(scene.trace.steps)
    onward = words.last_shown if is_last else words.again
    return explanation, printed, spoken, element("p", onward if data else "")
