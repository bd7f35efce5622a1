"""Every op's test rows. Each family has its own file of rows; this is the list of them."""

from . import rows_elementwise, rows_indexing, rows_linalg, rows_reduce

ROWS = [
    *rows_elementwise.ROWS,
    *rows_linalg.ROWS,
    *rows_reduce.ROWS,
    *rows_indexing.ROWS,
]
