"""``nn.Xxx`` and ``nn.functional.xxx``: the atlas of all pairs, and the same models both ways."""

from speccore.foundations.functional_pairs.atlas import (
    NEW,
    Atlas,
    Overhead,
    Report,
    build,
    differences,
    discover,
    examine,
    function_of,
    observe,
    overhead,
    public_functions,
    public_modules,
    tensors_of,
)
from speccore.foundations.functional_pairs.models import (
    ConvClassifier,
    TransformerBlock,
    conv_classifier,
    plain_state,
    transformer_block,
)
from speccore.foundations.functional_pairs.pairs import PAIRS, Pair
from speccore.foundations.functional_pairs.table import Row, html_table, rows

__all__ = [
    "NEW",
    "PAIRS",
    "Atlas",
    "ConvClassifier",
    "Overhead",
    "Pair",
    "Report",
    "Row",
    "TransformerBlock",
    "build",
    "conv_classifier",
    "differences",
    "discover",
    "examine",
    "function_of",
    "html_table",
    "observe",
    "overhead",
    "plain_state",
    "public_functions",
    "public_modules",
    "rows",
    "tensors_of",
    "transformer_block",
]
