"""The tree of errors in the docstring is the tree of classes."""

import re

from config import errors
from config.errors import AfterwordError


def test_the_tree_lists_every_error_with_its_exit_code() -> None:
    tree = re.findall(r"^(?:[├└]── )?(\w+Error) +(\d+)", errors.__doc__ or "", re.M)
    kinds: list[type[AfterwordError]] = [AfterwordError, *AfterwordError.__subclasses__()]
    assert tree == [(kind.__name__, str(kind.exit_code)) for kind in kinds]
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
