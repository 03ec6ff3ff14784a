"""Somebody's own images as a data set: a folder of folders, Market-1501's names, or a table.

:func:`read_own_data` reads what lies at a path, divides it where it is not divided, and explains in
sentences what it did. ``records`` says what is known of an image, ``folders`` and ``csv_table``
read it, ``division`` and ``splitting`` divide it, ``spellings`` and ``wording`` hold the words.
"""

from fed_plugin.datasets.own.reading import OwnData, read_own_data
from fed_plugin.datasets.own.splitting import SplitRule

__all__ = ["OwnData", "SplitRule", "read_own_data"]
