"""How much of the user's texts is heard after a training: `--style`, 0 to 1.

Measured in docs/lab/training.md, "Style".
"""

from dataclasses import dataclass

DEFAULT = 0.8

_MOST_STARTER = 0.25  # of the documents that are trained on
_LEAST_KEPT = 0.5  # of what the training changes


@dataclass(frozen=True)
class Style:
    """How the user's texts and plain language are weighed.

    Attributes:
        value: 0 for plain language, 1 for the user's texts alone.
        new_form: True if the texts are of another form than the weights have learnt: prose, where
            these write verse. They must learn anew, and nothing between the two is of any form.
    """

    value: float = DEFAULT
    new_form: bool = False

    @property
    def starter_share(self) -> float:
        """Share of the starter corpus in the documents that are trained on."""
        return 0.0 if self.new_form else _MOST_STARTER * (1 - self.value)

    @property
    def kept(self) -> float:
        """Share of what the training changes in the weights that is kept; see `average`."""
        return 1.0 if self.new_form else _LEAST_KEPT + (1 - _LEAST_KEPT) * self.value
