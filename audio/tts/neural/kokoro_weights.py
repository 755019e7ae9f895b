"""Makes Kokoro-82M's int8 graph (kokoro-onnx's `kokoro-v1.0.int8.onnx`) one of float32.

Its integer convolutions are slow in onnxruntime: float32 takes 0.4 of their time, and the other
changes save another tenth. The weights keep their values. They go into a file of their own, which
onnxruntime maps: their pages can be dropped when memory is short.

A graph is a protobuf message; the schema here holds the fields that are used, of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. All others are kept as they are.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

MARGIN_FRAMES = 4  # of 25 ms, that are left before and behind the speech

Array = npt.NDArray[Any]

# Per message its fields: number, type, "*" if repeated.
_SCHEMA = {
    "ModelProto": {"graph": "7 GraphProto"},
    "GraphProto": {
        "node": "1 NodeProto*",
        "initializer": "5 TensorProto*",
        "input": "11 ValueInfoProto*",
        "output": "12 ValueInfoProto*",
        "value_info": "13 ValueInfoProto*",
    },
    "NodeProto": {
        "input": "1 string*",
        "output": "2 string*",
        "name": "3 string",
        "op_type": "4 string",
        "attribute": "5 AttributeProto*",
        "domain": "7 string",
    },
    "AttributeProto": {
        "name": "1 string",
        "f": "2 float",
        "i": "3 int64",
        "ints": "8 int64*",
        "type": "20 int32",
    },
    "TensorProto": {
        "dims": "1 int64*",
        "data_type": "2 int32",
        "float_data": "4 float*",
        "int32_data": "5 int32*",
        "name": "8 string",
        "raw_data": "9 bytes",
        "external_data": "13 StringStringEntryProto*",
        "data_location": "14 int32",
    },
    "StringStringEntryProto": {"key": "1 string", "value": "2 string"},
    "ValueInfoProto": {"name": "1 string", "type": "2 TypeProto"},
    "TypeProto": {"tensor_type": "1 Tensor"},
    "Tensor": {"elem_type": "1 int32", "shape": "2 TensorShapeProto"},
    "TensorShapeProto": {"dim": "1 Dimension*"},
    "Dimension": {"dim_value": "1 int64", "dim_param": "2 string"},
}
_FLOAT_ATTRIBUTE, _INT_ATTRIBUTE, _INTS_ATTRIBUTE = 1, 2, 7  # AttributeProto.AttributeType
_EXTERNAL = 1  # TensorProto.DataLocation
_FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_KINDS: Mapping[int, type[np.generic]] = MappingProxyType(
    {_FLOAT: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, _INT64: np.int64}
)
# What the decoder gets (phonemes, pitch and energy), and the values of it in each frame of 25 ms.
_FRAMES = {
    "/encoder/MatMul_1_output_0": 1,
    "/encoder/Reshape_output_0": 2,
    "/encoder/Reshape_1_output_0": 2,
}
_MANY = 2**31
_MAPPED_BYTES = 4096  # smaller tensors stay in the graph
_PAGE_BYTES = 4096


def convert(source: Path, target: Path) -> None:
    """Write the graph to `target`, and its weights beside it with the suffix .bin.

    The bytes are the same on every machine.

    Args:
        source: kokoro-v1.0.int8.onnx, verified by its SHA-256: no other graph would fit.
        target: the graph. Its inputs are `tokens` and `style` as before, and instead of `speed`
            `frames`, float32 (1), the length of the speech in frames of 25 ms, and `longest`,
            float32 (1, tokens), how many frames of each token, at the voice's own pace, are
            speech at most.
    """
    model = _message_class("ModelProto")()
    model.ParseFromString(source.read_bytes())
    graph = _Graph(model.graph)
    weights = _use_float_operators(graph)
    _fuse_normalizations(graph, weights)
    _replace_fourier_transform(graph)
    _set_durations(graph)
    for name, weight in weights.items():
        graph.add_constant(name, weight)
    graph.write_back()
    _move_weights(model.graph, target.with_suffix(".bin"))
    target.write_bytes(model.SerializeToString(deterministic=True))


def _message_class(name: str) -> Any:
    """A class of `_SCHEMA`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="kokoro.proto", package="kokoro")
    for message, fields in _SCHEMA.items():
        entry = file.message_type.add(name=message)
        for field_name, described in fields.items():
            number, kind = described.rstrip("*").split()
            one = entry.field.add(name=field_name, number=int(number))
            one.label = field.LABEL_REPEATED if described.endswith("*") else field.LABEL_OPTIONAL
            if kind in _SCHEMA:
                one.type, one.type_name = field.TYPE_MESSAGE, f".kokoro.{kind}"
            else:
                one.type = field.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"kokoro.{name}"))


class _Graph:
    """A graph as nodes and constants, by the names of the values between them.

    Attributes:
        maker: the node that makes each value.
        users: the nodes that take each value.
    """

    def __init__(self, proto: Any) -> None:
        self._proto = proto
        self._nodes = list(proto.node)
        self._constants = {tensor.name: tensor for tensor in proto.initializer}
        self.clean()

    def clean(self) -> None:
        """Remove the nodes whose values nobody takes."""
        outputs = {output.name for output in self._proto.output}
        alive, before = self._nodes, -1
        while len(alive) != before:
            before = len(alive)
            taken = outputs.union(*(node.input for node in alive))
            alive = [node for node in alive if not taken.isdisjoint(node.output)]
        self._nodes = alive
        self.maker = {value: node for node in alive for value in node.output}
        self.users: dict[str, list[Any]] = {}
        for node in alive:
            for value in node.input:
                self.users.setdefault(value, []).append(node)

    def nodes(self, operator: str) -> list[Any]:
        """The nodes of an operator."""
        return [node for node in self._nodes if node.op_type == operator]

    def user(self, node: Any, operator: str) -> Any:
        """The only node that takes a node's value; it must be of this operator."""
        (user,) = self.users[node.output[0]]
        if user.op_type != operator:
            raise ValueError(f"{user.name} is {user.op_type}, not {operator}")
        return user

    def constant(self, name: str) -> Array:
        """The values of a constant."""
        tensor = self._constants[name]
        kind = _KINDS[tensor.data_type]
        if tensor.raw_data:
            return np.frombuffer(tensor.raw_data, kind).reshape(tensor.dims)
        return np.array(tensor.float_data or tensor.int32_data, kind).reshape(tensor.dims)

    def constant_input(self, node: Any) -> str:
        """The name of a node's only constant; KeyError if there is none."""
        for name in node.input:
            if name in self._constants:
                return str(name)
        raise KeyError(node.name)

    def add_constant(self, name: str, values: Array) -> str:
        """Add a constant; return its name."""
        tensor = type(next(iter(self._constants.values())))(name=name, dims=values.shape)
        tensor.data_type = next(key for key, kind in _KINDS.items() if kind == values.dtype)
        tensor.raw_data = values.tobytes()
        self._constants[name] = tensor
        return name

    def add_node(self, operator: str, inputs: Iterable[str], outputs: Iterable[str]) -> Any:
        """Add a node; return it."""
        node = type(self._nodes[0])(op_type=operator, input=inputs, output=outputs)
        node.name = node.output[0]
        self._nodes.append(node)
        return node

    def add_value(self, operator: str, *inputs: str, **attributes: int) -> str:
        """Add a node with one output; return the output's name."""
        node = self.add_node(operator, inputs, [f"{operator}_{len(self._nodes)}"])
        for name, value in attributes.items():
            _set_attribute(node, name, value)
        return str(node.output[0])

    def replace_speed(self, per_token: str, whole: str) -> tuple[str, str]:
        """Replace the input `speed` by two: one of the shape of the tokens, and one number."""
        inputs = {one.name: one for one in self._proto.input}
        inputs["speed"].name = whole
        added = self._proto.input.add()
        added.CopyFrom(inputs["tokens"])
        added.name, added.type.tensor_type.elem_type = per_token, _FLOAT
        return per_token, whole

    def write_back(self) -> None:
        """Put nodes, each behind those whose values it takes, and constants into the message."""
        self.clean()
        ready = {*self._constants, *(value.name for value in self._proto.input), ""}
        ordered: list[Any] = []
        while len(ordered) < len(self._nodes):
            for node in self._nodes:
                if ready.isdisjoint(node.output) and ready.issuperset(node.input):
                    ordered.append(node)
                    ready.update(node.output)
        used = [tensor for name, tensor in self._constants.items() if name in self.users]
        inputs, outputs = self._proto.input, self._proto.output
        self._proto.CopyFrom(
            type(self._proto)(node=ordered, initializer=used, input=inputs, output=outputs)
        )


def _change(node: Any, operator: str, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Make a node one of ONNX's standard operators; its attributes stay."""
    node.op_type, node.domain = operator, ""
    node.input[:], node.output[:] = list(inputs), list(outputs)


def _set_attribute(node: Any, name: str, value: float | int | list[int]) -> None:
    if isinstance(value, list):
        node.attribute.add(name=name, ints=value, type=_INTS_ATTRIBUTE)
    elif isinstance(value, int):
        node.attribute.add(name=name, i=value, type=_INT_ATTRIBUTE)
    else:
        node.attribute.add(name=name, f=value, type=_FLOAT_ATTRIBUTE)


def _use_float_operators(graph: _Graph) -> dict[str, Array]:
    """Replace integer operators by float32 ones; return their weights, not yet in the graph."""
    weights: dict[str, Array] = {}
    for node in [*graph.nodes("ConvInteger"), *graph.nodes("MatMulInteger")]:
        _use_float_product(graph, node, weights)
    for node in graph.nodes("DynamicQuantizeLSTM"):
        for position, scale in ((1, 8), (2, 10)):  # all zero points are 0
            name, factors = node.input[position], graph.constant(node.input[scale])
            weight = graph.constant(name).astype(np.float32) * factors[:, None, None]
            node.input[position] = f"{name}_float"
            weights[node.input[position]] = np.ascontiguousarray(weight.transpose(0, 2, 1))
        _change(node, "LSTM", node.input[:7], node.output)
    graph.clean()
    return weights


def _use_float_product(graph: _Graph, node: Any, weights: dict[str, Array]) -> None:
    """Replace a product of integers, from its quantization to the factor behind it.

    DynamicQuantizeLinear -> ConvInteger or MatMulInteger -> [Add bias] -> Cast -> Mul
    """
    quantized, name, _, zero_point = node.input
    inputs = [graph.maker[quantized].input[0], f"{name}_float"]
    last = graph.users[node.output[0]][0]
    if last.op_type == "Add":
        (bias,) = (value for value in last.input if value != node.output[0])
        for _ in ("Reshape", "Cast", "Floor", "Div"):
            bias = graph.maker[bias].input[0]
        inputs.append(bias)
        last = graph.user(last, "Cast")
    product = graph.user(last, "Mul")
    (factor,) = (value for value in product.input if value != last.output[0])
    scale = graph.constant(graph.constant_input(graph.maker[factor]))
    if inputs[1] not in weights:  # the layers of the encoder share theirs
        zero = graph.constant(zero_point).astype(np.float32)
        weights[inputs[1]] = (graph.constant(name).astype(np.float32) - zero) * scale
    operator = node.op_type.removesuffix("Integer")
    _change(product, operator, inputs, product.output)
    product.attribute.extend(node.attribute)


def _fuse_normalizations(graph: _Graph, weights: dict[str, Array]) -> None:
    """Compute gamma * (x - mean) / sqrt(variance + epsilon) + beta in one operator.

    Sub -> Mul -> ReduceMean -> Add -> Sqrt; Sub, Sqrt -> Div -> Mul gamma -> Add beta
    """
    flat = graph.add_constant("one_dimension", np.array([-1], np.int64))
    for quotient in graph.nodes("Div"):
        centred, deviation = (graph.maker.get(value) for value in quotient.input)
        if centred is None or deviation is None:
            continue
        if (centred.op_type, deviation.op_type) != ("Sub", "Sqrt"):
            continue
        epsilon = graph.constant(graph.constant_input(graph.maker[deviation.input[0]])).item()
        for scaled in graph.users[quotient.output[0]]:
            shifted = graph.user(scaled, "Add")
            (gamma,) = (value for value in scaled.input if value != quotient.output[0])
            (beta,) = (value for value in shifted.input if value != scaled.output[0])
            (result,) = shifted.output
            factors = _simplify_snake(graph, result, weights)
            parts = []
            for part, value in (("gamma", gamma), ("beta", beta)):
                if factors:
                    node = graph.add_node("Mul", [value, factors], [f"{result}_{part}_factors"])
                    value = node.output[0]
                node = graph.add_node("Reshape", [value, flat], [f"{result}_{part}"])
                parts.append(node.output[0])
            _change(shifted, "InstanceNormalization", [centred.input[0], *parts], [result])
            _set_attribute(shifted, "epsilon", epsilon)
    graph.clean()


def _simplify_snake(graph: _Graph, value: str, weights: dict[str, Array]) -> str | None:
    """Compute h + sin(h)^2 instead of x + sin(a * x)^2 / a before a convolution; h = a * x.

    The convolution's weights are divided by a, channel by channel; the caller must multiply x.

    Returns:
        The name of a; None if x is followed by something else.
    """
    for product in graph.users[value]:
        if product.op_type == "Mul" and graph.users[product.output[0]][0].op_type == "Sin":
            break
    else:
        return None
    sine = graph.user(product, "Sin")
    square = graph.user(sine, "Pow")
    scaled = graph.user(square, "Mul")
    total = graph.user(scaled, "Add")
    convolution = graph.user(total, "Conv")
    reciprocal = graph.constant(graph.constant_input(scaled))
    weight = convolution.input[1]
    weights[weight] = weights[weight] * reciprocal.reshape(1, -1, 1)
    sine.input[:] = [value]
    total.input[:] = [value, square.output[0]]
    return graph.constant_input(product)


def _replace_fourier_transform(graph: _Graph) -> None:
    """Compute the short-time Fourier transform of the harmonic source as a convolution.

    STFT -> Transpose -> two Gather, the real and the imaginary part (1, bins, frames)
    """
    (transform,) = graph.nodes("STFT")
    signal, step, window, _ = transform.input
    taps = graph.constant(window)
    size = len(taps)
    bins = size // 2 + 1
    angles = 2 * np.pi / size * (np.outer(np.arange(bins), np.arange(size)) % size)
    basis = np.concatenate((np.cos(angles) * taps, -np.sin(angles) * taps))[:, None]
    rounded = np.round(basis, 7).astype(np.float32)  # the same with every library of mathematics
    padded = graph.maker[signal].input[0]
    spectrum = graph.add_node(
        "Conv", [padded, graph.add_constant("fourier_basis", rounded)], ["fourier_spectrum"]
    )
    _set_attribute(spectrum, "strides", [int(graph.constant(step))])
    _set_attribute(spectrum, "kernel_shape", [size])
    outputs = ["", ""]
    for part in graph.users[graph.user(transform, "Transpose").output[0]]:
        outputs[int(graph.constant(part.input[1]))] = part.output[0]
        part.output[0] += "_replaced"
    sizes = graph.add_constant("fourier_bins", np.array([bins, bins], np.int64))
    split = graph.add_node("Split", [spectrum.output[0], sizes], outputs)
    _set_attribute(split, "axis", 1)
    graph.clean()


def _set_durations(graph: _Graph) -> None:
    """Let the speech last as long as `frames` says, and leave out the silence around it.

    Its tokens' own frames -> Div speed -> Round -> Clip. Here they are divided by what makes them
    last `frames` in all, and rounded so that the errors do not add up.

    The decoder gets the frames from MARGIN_FRAMES before the speech to as many behind it, which
    saves the work of 0.6 s. The pitch and the energy, which depend on all frames, are as before;
    and the decoder was trained on sections of sentences.
    """
    (rounded,) = graph.nodes("Round")
    own = graph.maker[rounded.input[0]].input[0]
    durations = graph.user(rounded, "Clip").output[0]
    longest, wished = graph.replace_speed("longest", "frames")
    zero, one, last, end_of_all, margin = (
        graph.add_constant(f"constant_{value}", np.array([value], kind))
        for value, kind in (
            *((0, np.int64), (1, np.int64), (-1, np.int64), (_MANY, np.int64)),
            (MARGIN_FRAMES, np.float32),
        )
    )
    start = graph.add_constant("start", np.zeros((1, 1), np.float32))

    make = graph.add_value
    ratio = make("Div", wished, make("ReduceSum", make("Min", own, longest), one))
    ends = make("Round", make("CumSum", make("Mul", own, ratio), one))
    starts = make("Concat", start, make("Slice", ends, zero, last, one), axis=1)
    _change(rounded, "Sub", [ends, starts], rounded.output)
    silence = make("Relu", make("Sub", durations, make("Mul", longest, ratio)))
    before = make("Slice", silence, zero, one, one)
    behind = make("ReduceSum", make("Slice", silence, one, end_of_all, one), one)
    begin = make("Relu", make("Sub", before, margin))
    cut = make("Relu", make("Sub", behind, margin))
    end = make("Sub", make("ReduceSum", durations, one), cut)
    edges = [make("Cast", make("Reshape", edge, last), to=_INT64) for edge in (begin, end)]
    for value, values_per_frame in _FRAMES.items():
        users = graph.users[value]
        factor = graph.add_constant(f"{value}_per_frame", np.array([values_per_frame], np.int64))
        bounds = [make("Mul", edge, factor) for edge in edges]
        speech = make("Slice", value, *bounds, last)
        for user in users:
            user.input[:] = [speech if name == value else name for name in user.input]


def _move_weights(proto: Any, target: Path) -> None:
    """Move the large constants into a file, each at the start of a page."""
    with target.open("wb") as file:
        for tensor in proto.initializer:
            if len(tensor.raw_data) < _MAPPED_BYTES:
                continue
            file.write(bytes(-file.tell() % _PAGE_BYTES))
            place = {"location": target.name, "offset": file.tell(), "length": len(tensor.raw_data)}
            file.write(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = _EXTERNAL
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
