"""onnxruntime as the neural voices use it: one thread that does not spin, and no telemetry."""

import os
from pathlib import Path
from typing import Any

# From 1.29 on, onnxruntime's Linux wheel reports to Microsoft unless this is set before its import.
SILENT = {"ORT_DISABLE_TELEMETRY": "1"}
SEED = 4  # of the noise that some models add: what is said in the same order sounds the same


def open_session(model: Path) -> Any:
    """An onnxruntime session of a model file."""
    os.environ.update(SILENT)
    import onnxruntime

    onnxruntime.set_seed(SEED)
    options = onnxruntime.SessionOptions()
    # More threads gain nothing at these sizes, and the default ones spin between two sentences.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Memory goes back to the system behind each piece, at no cost in time.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
