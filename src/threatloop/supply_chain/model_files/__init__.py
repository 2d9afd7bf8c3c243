"""Model files: pickles, safetensors, GGUF, Keras, TensorFlow, ONNX, NumPy and archives; read, never loaded."""

from threatloop.supply_chain.model_files.kinds import SUFFIXES
from threatloop.supply_chain.model_files.limits import Limits
from threatloop.supply_chain.model_files.scan import scan_model_file, scan_model_files

__all__ = ["SUFFIXES", "Limits", "scan_model_file", "scan_model_files"]
