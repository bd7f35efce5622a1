"""Every op's test rows. Each family has its own file of rows; this is the list of them."""

from . import rows_elementwise

ROWS = [
    *rows_elementwise.ROWS,
]
