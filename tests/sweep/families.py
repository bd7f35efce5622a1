"""The families by name, and the configuration of a seed."""

import zlib

import numpy as np

from . import linear, pointwise, rowwise, rules, sequences

FAMILIES = {
    "matmul": linear.matmul,
    "dense": linear.dense,
    "conv": linear.conv,
    "depthwise": linear.depthwise,
    "conv_transpose": linear.conv_transpose,
    "pool": rowwise.pool,
    "norm": rowwise.norm,
    "softmax": rowwise.softmax,
    "reduce": rowwise.reduce,
    "order": rowwise.order,
    "recurrent": sequences.recurrent,
    "embedding": sequences.embedding,
    "ctc": sequences.ctc,
    "attention": sequences.attention,
    "unary": pointwise.unary,
    "binary": pointwise.binary,
    "move": pointwise.move,
    "optimizer": rules.optimizer,
}


def configuration(family, seed):
    """(the case, the generator for what else its check draws) of one seed."""
    rng = np.random.default_rng([zlib.crc32(family.encode()), seed])
    return FAMILIES[family](rng), rng
