"""What is said to people in place of a continuation, in each language.

Home Assistant speaks these aloud, so they are sentences for a living room: the log has the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Answers:
    """The short answers of one language.

    Attributes:
        agreed: to "stop" and "never mind".
        nothing_to_go_on: to "go on" at the beginning of a conversation.
        nothing_to_repeat: to "again" before any reply.
        no_words: to a text without a word.
        no_idea: where the model says nothing.
        failed: where the model, the voice or the program fails.
        busy: where too many texts wait.
    """

    agreed: str
    nothing_to_go_on: str
    nothing_to_repeat: str
    no_words: str
    no_idea: str
    failed: str
    busy: str

    def to_command(self, kind: str) -> str:
        """The answer to a command that begins no reply: "stop", "go on", "again", "never mind"."""
        match kind:
            case "go on":
                return self.nothing_to_go_on
            case "again":
                return self.nothing_to_repeat
        return self.agreed


ANSWERS: Mapping[str, Answers] = MappingProxyType(
    {
        "en": Answers(
            agreed="All right.",
            nothing_to_go_on="There is no story to go on with yet. Tell me how one begins.",
            nothing_to_repeat="I have not told you anything yet.",
            no_words="I did not get any words.",
            no_idea="I can think of nothing to add to that.",
            failed="Sorry, something went wrong. The log of Afterword says what.",
            busy="I am busy right now. Please try again in a moment.",
        ),
        "zh": Answers(
            agreed="好的。",
            nothing_to_go_on="还没有可以继续的内容，请先说一个开头。",
            nothing_to_repeat="我还什么都没有说过。",
            no_words="我没有收到任何词语。",
            no_idea="我想不出怎么往下接。",
            failed="对不起，出了点问题，原因请看日志。",
            busy="我现在正忙，请稍后再试。",
        ),
    }
)
"""The answers by the code of the language."""
