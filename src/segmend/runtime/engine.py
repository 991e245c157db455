"""Run an exported network: named arrays in, named arrays out.

On a CPU OpenVINO runs the ONNX file in the best precision the processor has (bfloat16
where there is hardware for it); where it is not installed, onnxruntime does in float32. On
CUDA or Apple torch runs the same file: the exported network names its architecture and
keeps its parameters under their torch names.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Container, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.errors import ModelError, SettingsError
from segmend.runtime import libraries
from segmend.runtime.budget import MEMORY, resident_bytes

Arrays = Mapping[str, NDArray[np.generic]]

DEVICES = ("auto", "cpu", "cuda", "mps")
# What files of earlier versions call an output, and what it is called now.
RENAMED_OUTPUTS = {"doubt": "error_logits"}
# What files of earlier versions call an architecture, and what it is called now.
RENAMED_ARCHITECTURES = {
    "mender:Reader": "mend:ImageEncoder",
    "mender:Refiner": "mend:PromptDecoder",
    "mender:Namer": "mend:SemanticHead",
}
# What files and checkpoints of earlier versions call a part of a network, and what such a part may be called now.
RENAMED_PARTS = {
    "reader": ("encoder",),
    "refiner": ("decoder",),
    "namer": ("semantic_head",),
    "suspect": ("error_head",),
    "judge": ("quality_head", "discriminator"),
}
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Device:
    """Where networks run and how precisely: "auto" takes the quickest that is there.

    >>> Device("gpu")
    Traceback (most recent call last):
    ...
    segmend.errors.SettingsError: A device needs to be one of auto, cpu, cuda, mps; got 'gpu'.
    """

    name: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.name not in DEVICES:
            raise SettingsError(f"A device needs to be one of {', '.join(DEVICES)}; got {self.name!r}.")
        if self.precision not in PRECISIONS:
            raise SettingsError(f"A precision needs to be one of {', '.join(PRECISIONS)}; got {self.precision!r}.")


AUTO = Device()


class Engine(ABC):
    """A network, ready to run; safe to call from several threads."""

    name: str  # what runs it and how, for people

    @abstractmethod
    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Return the network's outputs by name; what it takes no notice of may be among the inputs."""


def load_network(path: str, *, device: str = "auto", precision: str = "auto") -> Engine:
    """Return the engine for an exported network; ModelError when the file is missing or damaged."""
    Device(device, precision)
    if not Path(path).is_file():
        raise ModelError(
            f"The weights {Path(path).name} are missing; reinstall segmend or train them with 'segmend train'."
        )
    if device == "auto":
        device = _accelerator() or "cpu"
    if device != "cpu":
        _check_torch(device)
        return TorchEngine(path, device, precision)
    if importlib.util.find_spec("openvino") is not None:
        return OpenVinoEngine(path, precision)
    if importlib.util.find_spec("onnxruntime") is not None:
        return OnnxEngine(path)
    raise ModelError("Networks need openvino or onnxruntime to run; install one of them with pip.")


def check_device(device: str) -> None:
    """Raise SettingsError when this machine has no such device, or nothing that could use it."""
    if device in ("auto", "cpu"):
        return
    _check_torch(device)
    import torch

    if not (torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()):
        raise SettingsError(f"This machine has no device {device} that torch can use; choose cpu or auto.")


def _check_torch(device: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise SettingsError(f"The device {device} needs torch; install it with: pip install 'segmend[train]'.")


def _accelerator() -> str | None:
    """Return the accelerator that torch can use, without importing torch where it is not installed."""
    likely = sys.platform == "darwin" or shutil.which("nvidia-smi") is not None
    if not likely or importlib.util.find_spec("torch") is None:
        return None
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def weights_of(method: str, name: str, folder: Path | None = None, device: Device = AUTO) -> Engine:
    """Return the engine for a method's weights: those in the package or, if one is given, in a folder.

    ModelError says in one line how to train a method that has none.
    """
    path = weights_file(name, folder)
    if not path.is_file():
        where = "is not shipped" if folder is None else f"is not in {folder}"
        raise ModelError(f"The file {name} {where}; make it with: segmend train {method} --data DIR --out DIR")
    return load_network(str(path), device=device.name, precision=device.precision)


def weights_file(name: str, folder: Path | None = None) -> Path:
    """Return where a file of weights lies or would lie: in a folder or, without one, in the package.

    >>> weights_file("iunet.onnx", Path("runs")).as_posix()
    'runs/iunet.onnx'
    """
    from importlib.resources import files

    return (Path(str(files("segmend") / "weights")) if folder is None else folder) / name


# Held while OpenVINO is opened, so that no thread uses it before its first inference is over.
_opening = threading.Lock()


def _core() -> Any:
    """Return this process's one door to OpenVINO, kept to its end; safe to call from several threads.

    With the last of them the library is unloaded, while threads of its own may still run in it.
    """
    with _opening:
        return _opened()


@cache
def _opened() -> Any:
    """Return a new core that has run one tiny network.

    The binding sets up tables when it first converts an array. A thread that meets this in another
    thread waits for it while holding Python's global lock, for which the other waits in turn: the process
    would freeze for ever. So the first conversions, there and back, happen here, in one thread.
    """
    openvino = libraries.openvino()
    from openvino import opset13

    core = openvino.Core()
    given = opset13.parameter([1], np.float32, name="given")
    model = openvino.Model([opset13.add(given, opset13.constant(np.ones(1, np.float32)))], [given], "first")
    request = core.compile_model(model, "CPU").create_infer_request()
    for values in (np.zeros(1, np.float32), np.zeros(1, np.float64)):  # as it is given, and converted
        first = request.infer({"given": values}, share_inputs=True).to_tuple()
        assert float(np.array(first[0], np.float32)[0]) == 1.0
    return core


def _current(output: str) -> str:
    """Return what an output is called now, whatever an earlier version called it."""
    return RENAMED_OUTPUTS.get(output, output)


def current_keys(state: Mapping[str, Any], wanted: Container[str]) -> dict[str, Any]:
    """Return a network's parameters by the names that they have now; a name that is still `wanted` stays.

    >>> current_keys({"reader.out.bias": 1, "out.bias": 2}, {"encoder.out.bias", "out.bias"})
    {'encoder.out.bias': 1, 'out.bias': 2}
    """
    return {_current_key(key, wanted): value for key, value in state.items()}


def _current_key(key: str, wanted: Container[str]) -> str:
    names = product(*((part, *RENAMED_PARTS.get(part, ())) for part in key.split(".")))
    return next((name for name in map(".".join, names) if name in wanted), key)


class Running:
    """How many threads run a network at this moment.

    >>> running = Running()
    >>> with running as others, running as more:
    ...     others, more
    (0, 1)
    """

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> int:
        """Return how many others do."""
        with self._lock:
            self._count += 1
            return self._count - 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1


RUNNING = Running()
# Runs of a network on one shape beside others after which it is compiled for half of the processor.
CROWDED = 4
# How many times as many it takes the next time, should that have been dropped.
MORE_CROWDED = 8


@dataclass(eq=False)
class Compiled:
    """A network that is compiled for one shape of input and the whole processor; that for half of it is in `MEMORY`."""

    whole: Any
    activations: int  # bytes that stay between runs, about
    crowded: int = 0  # runs beside others
    worth: int = CROWDED  # of these, from which half is worth compiling
    differs: bool = False  # half of the processor gives other numbers


def release_activations() -> None:
    """Give back the memory of what the layers of all networks hand to each other."""
    for engine in list(_engines):
        engine.release_activations()


def _release_activations(model: Any) -> None:
    with suppress(RuntimeError):  # it runs at this moment, and will be counted again
        model.release_memory()


class OpenVinoEngine(Engine):
    """OpenVINO on the processor; compiles once a shape of input (some 60 ms each).

    One run has all of the processor. Where others run beside it each has half: two threads that wait for each other at
    every layer took a third of the processor's time more than one alone. What a mask is must not depend on who else
    works, so half is given only where it gives the same numbers, bit for bit: not to networks that add up over the
    whole picture, for threads add up parts of it, which rounds in another way.
    """

    def __init__(self, path: str, precision: str = "auto") -> None:
        self._given = path, precision
        self._core = _core()
        from openvino import __version__

        try:
            self._network = self._core.read_model(path)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[0]
            raise ModelError(f"The weights {Path(path).name} could not be read: {first}.") from None
        self._inputs = [port.get_any_name() for port in self._network.inputs]
        self._outputs = [
            _current(port.get_any_name()) for port in self._network.outputs
        ]  # compiling may add names to them
        fast = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = ("bfloat16" if fast else "float32") if precision == "auto" else precision
        self.name = f"OpenVINO {__version__.split('-')[0]}, {self.precision}"
        self._compiled: dict[Hashable, Compiled] = {}  # by the shapes of the inputs
        self._adds_up = any(step.get_type_name().startswith("Reduce") for step in self._network.get_ops())
        self._owner = object()  # of what is kept in `MEMORY`
        weakref.finalize(self, MEMORY.forget_later, self._owner)
        self._lock = threading.Lock()
        _engines.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return OpenVinoEngine, self._given

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        taken = {name: inputs[name] for name in self._inputs}
        with RUNNING as others:
            key = tuple(taken[name].shape for name in sorted(taken))
            model = self._model(key, taken, crowded=others > 0)
            outputs = self._run(model, taken)
            self._count_activations(key, model)
        return outputs

    def release_activations(self) -> None:
        """Give back the memory of what its layers hand to each other; the next run takes it again, in some 10 ms."""
        MEMORY.forget_where(self._owner, lambda key: key in self._compiled)

    def _count_activations(self, key: Hashable, model: Any) -> None:
        """Let what the layers hand to each other, which stays between runs, be part of what is kept in `MEMORY`."""
        compiled = self._compiled[key]
        if model is compiled.whole and MEMORY.get(self._owner, key) is None:
            MEMORY.put(self._owner, key, None, compiled.activations, on_drop=partial(_release_activations, model))

    def _run(self, model: Any, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        values = model.create_infer_request().infer(inputs, share_inputs=True).to_tuple()
        return {name: np.array(value, np.float32) for name, value in zip(self._outputs, values, strict=True)}

    def _model(self, key: Hashable, inputs: Arrays, *, crowded: bool) -> Any:
        """Return the network for inputs of these shapes, for half of the processor where others run."""
        with self._lock:
            compiled = self._compiled.get(key)
            if compiled is None:
                whole = self._compile(inputs)
                before = resident_bytes() or 0
                outputs = self._run(whole, inputs)
                least = sum(value.nbytes for value in (*inputs.values(), *outputs.values()))
                compiled = Compiled(whole, max((resident_bytes() or 0) - before, least))  # about: others work, too
                self._compiled[key] = compiled
            half = self._half(key, compiled, inputs) if crowded and not (self._adds_up or compiled.differs) else None
            return half or compiled.whole

    def _half(self, key: Hashable, compiled: Compiled, inputs: Arrays) -> Any:
        """Return the network for half of the processor, None where it is not worth it or gives other numbers."""
        compiled.crowded += 1
        half = MEMORY.get(self._owner, ("half", key))
        if half is not None or compiled.crowded <= compiled.worth:
            return half
        before = resident_bytes() or 0
        half = self._compile(inputs, NUM_STREAMS=2, ENABLE_CPU_PINNING=False)  # pinned, two might share a core
        wanted, got = self._run(compiled.whole, inputs), self._run(half, inputs)
        compiled.worth *= MORE_CROWDED
        compiled.differs = not all(np.array_equal(wanted[name], got[name], equal_nan=True) for name in wanted)
        if compiled.differs:
            return None
        size = max((resident_bytes() or 0) - before, Path(self._given[0]).stat().st_size)  # about: others work, too
        MEMORY.put(self._owner, ("half", key), half, size)
        return half

    def _compile(self, inputs: Arrays, **more: Any) -> Any:
        model = self._network.clone()
        model.reshape({name: list(value.shape) for name, value in inputs.items()})
        hint = {"bfloat16": "bf16", "float32": "f32"}[self.precision]
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint, **more}
        return self._core.compile_model(model, "CPU", settings)


# Those of this process.
_engines: weakref.WeakSet[OpenVinoEngine] = weakref.WeakSet()


class OnnxEngine(Engine):
    """onnxruntime on the processor, where OpenVINO is not installed; in float32."""

    precision = "float32"

    def __init__(self, path: str) -> None:
        from segmend.runtime.onnx_engine import OnnxSession

        self._path = path
        self._session = OnnxSession(path, Path(path).name)
        self._outputs = [_current(name) for name in self._session.outputs]
        self.name = f"onnxruntime {self._session.version}, float32"

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxEngine, (self._path,)

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return dict(zip(self._outputs, self._session.run(dict(inputs)), strict=True))


class TorchEngine(Engine):
    """Torch on CUDA, Apple or the processor, from the architecture and parameters in the file."""

    def __init__(self, path: str, device: str, precision: str = "auto") -> None:
        import torch

        self._given = path, device, precision
        self._half = precision == "bfloat16"
        network, self._inputs, outputs = torch_network(path)
        self._outputs = [_current(name) for name in outputs]
        check_device(device)
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self.name = f"torch {torch.__version__}, {device}, {'bfloat16' if self._half else 'float32'}"

    def __reduce__(self) -> tuple[Any, ...]:
        return TorchEngine, self._given

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        import torch

        half = torch.autocast(self._device.type, torch.bfloat16, enabled=self._half)
        with torch.inference_mode(), half:
            tensors = [torch.from_numpy(np.array(inputs[name], np.float32)).to(self._device) for name in self._inputs]
            outputs = self._network(*tensors)
        outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
        return {name: value.float().cpu().numpy() for name, value in zip(self._outputs, outputs, strict=True)}


def export_network(
    network: Any,
    path: Path,
    *,
    architecture: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    outputs: Sequence[str] = ("logits",),
) -> None:
    """Write a torch module as ONNX that both engines read.

    `architecture` names a class as "module:Class" under segmend.nets, `settings` its
    arguments, `inputs` an example of each, in the order of `forward`, `outputs` what it returns.
    The batch, and every side of an image, may have another size in use than in the example.
    Parameters are stored as float16: half the size, and finer than bfloat16.
    """
    import io
    import warnings

    import onnx
    import torch

    buffer = io.BytesIO()
    sides = {1: (), 2: (), 3: ("columns",), 4: ("rows", "columns"), 5: ("slices", "rows", "columns")}
    with torch.no_grad():
        answers = network.eval()(*inputs.values())
    answers = (answers,) if isinstance(answers, torch.Tensor) else answers
    axes = {
        name: {0: "batch", **dict(enumerate(sides[value.ndim], start=2))}
        for name, value in (*inputs.items(), *zip(outputs, answers, strict=True))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own successor
        torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            keep_initializers_as_inputs=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _store_parameters_as_float16(model)
    for key, value in {"architecture": architecture, "settings": json.dumps(dict(settings))}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(model.SerializeToString())
    partial.replace(path)


def _store_parameters_as_float16(model: Any) -> None:
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            name = tensor.name
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half")
            tensor.CopyFrom(half)
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def torch_network(path: str) -> tuple[Any, list[str], list[str]]:
    """Return the torch module of an exported network, and its inputs' and outputs' names."""
    import importlib

    import onnx
    import torch
    from onnx import numpy_helper

    try:
        model = onnx.load(path)
        about = {entry.key: entry.value for entry in model.metadata_props}
        architecture = RENAMED_ARCHITECTURES.get(about["architecture"], about["architecture"])
        module, name = architecture.split(":")
        settings = json.loads(about["settings"])
    except Exception as error:
        raise ModelError(f"The weights {Path(path).name} do not say which network they belong to: {error}.") from None
    network = getattr(importlib.import_module(f"segmend.nets.{module}"), name)(**settings)
    tensors = {t.name.removesuffix(".half"): numpy_helper.to_array(t) for t in model.graph.initializer}
    # The exporter stores equal tensors once and names the others' copies by Identity nodes.
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    wanted = {key for key in network.state_dict() if not key.endswith("num_batches_tracked")}
    tensors = current_keys(tensors, wanted)
    if missing := sorted(wanted - tensors.keys()):
        raise ModelError(f"The weights {Path(path).name} lack {missing[0]} and {len(missing) - 1} more tensors.")
    state = {key: torch.from_numpy(tensors[key].astype(np.float32)) for key in wanted}
    network.load_state_dict(state, strict=False)
    return network.eval(), [v.name for v in model.graph.input], [v.name for v in model.graph.output]
