"""Every op's test rows. Each family has its own file of rows; this is the list of them."""

from . import (
    rows_attention,
    rows_conv,
    rows_convolution_nd,
    rows_elementwise,
    rows_indexing,
    rows_linalg,
    rows_normalization,
    rows_pooling,
    rows_random,
    rows_recurrent,
    rows_reduce,
    rows_sorting,
)

ROWS = [
    *rows_elementwise.ROWS,
    *rows_linalg.ROWS,
    *rows_conv.ROWS,
    *rows_convolution_nd.ROWS,
    *rows_reduce.ROWS,
    *rows_sorting.ROWS,
    *rows_indexing.ROWS,
    *rows_normalization.ROWS,
    *rows_pooling.ROWS,
    *rows_random.ROWS,
    *rows_recurrent.ROWS,
    *rows_attention.ROWS,
]
