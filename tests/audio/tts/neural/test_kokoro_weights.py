"""Each change to Kokoro's graph, on a small graph of the same form: the results stay."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from audio.tts.neural import kokoro_weights
from audio.tts.neural.onnx import open_session

Array = npt.NDArray[Any]
FLOAT, UINT8, INT8, INT64 = 1, 2, 3, 7
KINDS = {np.dtype(np.float32): FLOAT, np.dtype(np.uint8): UINT8, np.dtype(np.int8): INT8}
KINDS |= {np.dtype(np.int64): INT64, np.dtype(np.int32): 6}
RANDOM = np.random.default_rng(0)


class Model:
    """A graph to change and to run."""

    def __init__(self) -> None:
        self.proto = kokoro_weights._message_class("ModelProto")()
        self.graph = self.proto.graph

    def node(self, operator: str, inputs: str, outputs: str, **attributes: int | float) -> None:
        node = self.graph.node.add(op_type=operator, name=outputs)
        node.input.extend(inputs.split())
        node.output.extend(outputs.split())
        if operator == "DynamicQuantizeLSTM":
            node.domain = "com.microsoft"
        for name, value in attributes.items():
            if name == "direction":
                node.attribute.add(name=name, s=b"bidirectional", type=3)
            else:
                kokoro_weights._set_attribute(node, name, value)

    def constants(self, **values: Array) -> None:
        for name, value in values.items():
            tensor = self.graph.initializer.add(name=name, data_type=KINDS[value.dtype])
            tensor.dims.extend(value.shape)
            tensor.raw_data = value.tobytes()

    def interface(self, inputs: dict[str, tuple[int | str, ...]], *outputs: str) -> None:
        for name, shape in inputs.items():
            value = self.graph.input.add(name=name)
            value.type.tensor_type.elem_type = INT64 if name == "tokens" else FLOAT
            for size in shape:
                is_name = isinstance(size, str)
                dim = value.type.tensor_type.shape.dim.add()
                if is_name:
                    dim.dim_param = size
                else:
                    dim.dim_value = size
        for name in outputs:
            self.graph.output.add(name=name).type.tensor_type.elem_type = FLOAT

    def run(self, folder: Path, **inputs: Array) -> list[Array]:
        file = folder / "model.onnx"
        # IR version 8, and operators of version 20 and of Microsoft's.
        head = b"\x08\x08" + b"\x42\x02\x10\x14" + b"\x42\x11\x0a\x0dcom.microsoft\x10\x01"
        file.write_bytes(head + self.proto.SerializeToString())
        results: list[Array] = open_session(file).run(None, inputs)
        return results

    def change(self, weights: bool = False) -> dict[str, Array]:
        """Make operators of integers ones of float32, and the others as Kokoro's."""
        graph = kokoro_weights._Graph(self.graph)
        new = kokoro_weights._use_float_operators(graph)
        kokoro_weights._fuse_normalizations(graph, new)
        for name, weight in new.items():
            graph.add_constant(name, weight)
        graph.write_back()
        return new


def operators(model: Model) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("bias", [False, True])
def test_a_convolution_of_integers_becomes_one_of_floats(tmp_path: Path, bias: bool) -> None:
    model = Model()
    model.interface({"x": (1, 4, 20)}, "y")
    weight = RANDOM.integers(0, 255, (6, 4, 3)).astype(np.uint8)
    model.constants(w=weight, wz=np.array(120, np.uint8), ws=np.array(0.01, np.float32))
    model.node("DynamicQuantizeLinear", "x", "q qs qz")
    model.node("ConvInteger", "q w qz wz", "c", pads=[1, 1], kernel_shape=[3])  # type: ignore[arg-type]
    last = "c"
    if bias:
        model.constants(b=RANDOM.normal(size=6).astype(np.float32))
        model.constants(shape=np.array([1, 6, 1], np.int64))
        model.node("Mul", "qs ws", "bs")
        for operator, inputs, output in (
            ("Div", "b bs", "b1"),
            ("Floor", "b1", "b2"),
            ("Cast", "b2", "b3"),
            ("Reshape", "b3 shape", "b4"),
            ("Add", "c b4", "d"),
        ):
            model.node(operator, inputs, output, **({"to": 6} if operator == "Cast" else {}))
        last = "d"
    model.node("Cast", last, "e", to=FLOAT)
    model.node("Mul", "qs ws", "s")
    model.node("Mul", "e s", "y")
    x = RANDOM.normal(size=(1, 4, 20)).astype(np.float32)
    before = model.run(tmp_path, x=x)[0]
    model.change()
    assert operators(model) == ["Conv"]
    after = model.run(tmp_path, x=x)[0]
    assert np.abs(after - before).max() < 0.02 * np.abs(before).max()  # x was in 8 bits before


def test_the_activation_is_folded_into_norm_and_convolution(tmp_path: Path) -> None:
    model = Model()
    model.interface({"x": (1, 4, 50), "gamma": (1, 4, 1), "beta": (1, 4, 1)}, "y")
    alpha = RANDOM.uniform(0.2, 3, (1, 4, 1)).astype(np.float32)
    model.constants(
        axes=np.array([2], np.int64),
        eps=np.array(1e-5, np.float32),
        two=np.array(2, np.float32),
        alpha=alpha,
        inverse=1 / alpha,
        w=RANDOM.integers(0, 255, (6, 4, 3)).astype(np.uint8),
        wz=np.array(120, np.uint8),
        ws=np.array(0.01, np.float32),
    )
    for operator, inputs, output in (
        ("ReduceMean", "x axes", "mean"),
        ("Sub", "x mean", "centred"),
        ("Mul", "centred centred", "squares"),
        ("ReduceMean", "squares axes", "variance"),
        ("Add", "variance eps", "positive"),
        ("Sqrt", "positive", "deviation"),
        ("Div", "centred deviation", "normal"),
        ("Mul", "gamma normal", "scaled"),
        ("Add", "scaled beta", "h"),
        ("Mul", "alpha h", "ah"),
        ("Sin", "ah", "sine"),
        ("Pow", "sine two", "square"),
        ("Mul", "inverse square", "part"),
        ("Add", "h part", "snake"),
        ("DynamicQuantizeLinear", "snake", "q qs qz"),
        ("ConvInteger", "q w qz wz", "c"),
        ("Mul", "qs ws", "s"),
    ):
        model.node(operator, inputs, output)
    model.node("Cast", "c", "e", to=FLOAT)
    model.node("Mul", "e s", "y")
    inputs = {
        "x": RANDOM.normal(2, 3, (1, 4, 50)).astype(np.float32),
        "gamma": RANDOM.normal(1, 1, (1, 4, 1)).astype(np.float32),
        "beta": RANDOM.normal(0, 1, (1, 4, 1)).astype(np.float32),
    }
    before = model.run(tmp_path, **inputs)[0]
    model.change()
    assert "InstanceNormalization" in operators(model)
    assert operators(model).count("Mul") == 2  # of gamma and beta, which have one value a channel
    after = model.run(tmp_path, **inputs)[0]
    assert np.abs(after - before).max() < 0.02 * np.abs(before).max()


def test_an_lstm_of_integers_becomes_one_of_floats(tmp_path: Path) -> None:
    model = Model()
    model.interface({"x": (5, 1, 4)}, "y")
    model.constants(
        w=RANDOM.integers(-90, 90, (2, 4, 12)).astype(np.int8),
        r=RANDOM.integers(-90, 90, (2, 3, 12)).astype(np.int8),
        b=RANDOM.normal(size=(2, 24)).astype(np.float32),
        h=np.zeros((2, 1, 3), np.float32),
        scale=np.array([0.01, 0.02], np.float32),
        zero=np.zeros(2, np.int8),
    )
    node = model.graph.node.add(op_type="DynamicQuantizeLSTM", domain="com.microsoft", name="y")
    node.input.extend(["x", "w", "r", "b", "", "h", "h", "", "scale", "zero", "scale", "zero"])
    node.output.append("y")
    node.attribute.add(name="hidden_size", i=3, type=2)
    direction = node.attribute.add(name="direction", type=3)
    direction.MergeFromString(b"\x22\x0dbidirectional")  # the field `s`, which is not in the schema
    x = RANDOM.normal(size=(5, 1, 4)).astype(np.float32)
    before = model.run(tmp_path, x=x)[0]
    model.change()
    assert operators(model) == ["LSTM"]
    assert np.abs(model.run(tmp_path, x=x)[0] - before).max() < 0.03


def test_the_fourier_transform_becomes_a_convolution(tmp_path: Path) -> None:
    model = Model()
    model.interface({"x": (1, 1, 100)}, "real", "imaginary")
    model.constants(
        shape=np.array([1, 100], np.int64),
        step=np.array(5, np.int64),
        window=np.hanning(20).astype(np.float32),
        size=np.array(20, np.int64),
        first=np.array(0, np.int64),
        second=np.array(1, np.int64),
    )
    model.node("Reshape", "x shape", "signal")
    model.node("STFT", "signal step window size", "stft", onesided=1)
    model.node("Transpose", "stft", "turned", perm=[0, 2, 1, 3])  # type: ignore[arg-type]
    model.node("Gather", "turned second", "imaginary", axis=3)
    model.node("Gather", "turned first", "real", axis=3)
    x = RANDOM.normal(size=(1, 1, 100)).astype(np.float32)
    before = model.run(tmp_path, x=x)
    graph = kokoro_weights._Graph(model.graph)
    kokoro_weights._replace_fourier_transform(graph)
    graph.write_back()
    assert "STFT" not in operators(model)
    for old, new in zip(before, model.run(tmp_path, x=x), strict=True):
        assert np.abs(old - new).max() < 1e-4


def test_large_weights_are_in_a_file_of_their_own(tmp_path: Path) -> None:
    model = Model()
    model.interface({"x": (1, 2000)}, "y")
    weight = RANDOM.normal(size=(2000, 3)).astype(np.float32)
    model.constants(w=weight)
    model.node("MatMul", "x w", "y")
    kokoro_weights._move_weights(model.graph, tmp_path / "model.bin")
    assert (tmp_path / "model.bin").stat().st_size == weight.nbytes
    x = RANDOM.normal(size=(1, 2000)).astype(np.float32)
    assert np.allclose(model.run(tmp_path, x=x)[0], x @ weight, atol=1e-3)
