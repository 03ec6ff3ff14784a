"""A config's model as one file that runs without this project: ONNX, TorchScript, torch.export.

Photos as a camera gives them go in, descriptors that can be compared come out; the file is read
back and held against the model before it gets its name.
"""

from fed_plugin.fastreid_adapter.exporting.checking import LIMIT, Difference
from fed_plugin.fastreid_adapter.exporting.export import Exported, export_model
from fed_plugin.fastreid_adapter.exporting.exported_file import ExportedFile
from fed_plugin.fastreid_adapter.exporting.formats import FORMATS, check_format
from fed_plugin.fastreid_adapter.exporting.rank1 import Rank1Cost, measure_rank1

__all__ = [
    "FORMATS",
    "LIMIT",
    "Difference",
    "Exported",
    "ExportedFile",
    "Rank1Cost",
    "check_format",
    "export_model",
    "measure_rank1",
]
