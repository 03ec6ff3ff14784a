"""FED for fast-reid: occluded person re-identification, added to a stock toolbox by config files.

Importing this package imports nothing else; ``fed_plugin.fastreid_adapter`` is the one room that
needs fast-reid, ``fed_plugin.modeling`` needs PyTorch alone.
"""

__version__ = "0.1.0"
