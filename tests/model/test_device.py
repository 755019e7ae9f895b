import pytest
import torch

from config.errors import ConfigError
from model.device import choose_device


def test_auto_is_the_gpu_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "quantum", "meta", ""])
def test_absent_devices_are_refused_by_name(name: str):
    with pytest.raises(ConfigError, match=f'The device "{name}"'):
        choose_device(name)
