"""Hashes of results and gradients on sizes that split over tiles, blocks and threads: python -m tests.large_bits

Prints `op digest` of each for one thread, and fails where 2, 3, 4 or 7 threads give another.
"""

import hashlib
import zlib

import numpy as np

import lamina as lm
from lamina import ops

# name, call, shapes of its inputs: with AMX the products and convolutions take the paths of bfloat16 tiles.
CASES = [
    ("matmul", ops.matmul, (300, 700), (700, 130)),
    ("matmul, long sums", ops.matmul, (128, 3200), (3200, 64)),
    ("matmul, few sums", ops.matmul, (1030, 33), (33, 515)),
    ("matmul, batches", ops.matmul, (5, 150, 200), (5, 200, 140)),
    ("matmul of bfloat16", lambda a, b: half_product(a, b), (260, 512), (512, 300)),
    ("conv 3 x 3", lambda x, w: ops.conv(x, w, padding="same"), (4, 14, 14, 128), (3, 3, 128, 96)),
    ("conv 3 x 3, stride 2", lambda x, w: ops.conv(x, w, 2, "same"), (2, 28, 28, 64), (3, 3, 64, 128)),
    ("conv 1 x 1", lambda x, w: ops.conv(x, w), (4, 14, 14, 256), (1, 1, 256, 128)),
    ("conv 7 x 7 of images", lambda x, w: ops.conv(x, w, 2), (2, 56, 56, 3), (7, 7, 3, 64)),
    ("conv of sequences", lambda x, w: ops.conv(x, w, padding="same"), (8, 200, 64), (5, 64, 96)),
    ("conv of volumes", lambda x, w: ops.conv(x, w, padding="same"), (2, 6, 12, 12, 32), (3, 3, 3, 32, 64)),
    ("conv_transpose", lambda x, w: ops.conv_transpose(x, w, 2), (4, 14, 14, 128), (3, 3, 64, 128)),
    ("depthwise_conv", lambda x, w: ops.depthwise_conv(x, w, padding="same"), (8, 28, 28, 96), (3, 3, 96, 1)),
    ("max_pool", lambda x: ops.max_pool(x, 3, 2), (8, 55, 55, 32)),
    ("average_pool", lambda x: ops.average_pool(x, 3, 2, "same"), (8, 55, 55, 32)),
    ("lstm", lambda x, w, h, c: ops.recurrent.lstm(x, w, h, c)[0], (10, 40, 512), (128, 512), (40, 128), (40, 128)),
    ("gru", lambda x, w, h: ops.recurrent.gru(x, w, None, h)[0], (4, 40, 1536), (512, 1536), (40, 512)),
    ("layer_normalization", ops.layer_normalization, (2000, 256)),
    ("batch_norm", lambda x: ops.batch_norm(x, None, None)[0], (16, 28, 28, 64)),
    ("softmax", ops.softmax, (512, 1000)),
    ("gelu", ops.gelu, (500_003,)),
    ("sum", lambda x: ops.sum(x, 0), (5000, 130)),
    ("cumsum", lambda x: ops.cumsum(x, 1), (300, 1000)),
    ("sort", lambda x: ops.sort(x, 0), (3000, 70)),
    ("transpose", lambda x: ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1,)), (16, 28, 28, 65)),
    ("take", lambda x: ops.take(x, np.arange(4000) * 37 % 500, 0), (500, 256)),
]


def half_product(a, b):
    return ops.cast(ops.matmul(ops.cast(a, "bfloat16"), ops.cast(b, "bfloat16")), "float32")


def digest(name, call, shapes):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    inputs = [lm.Variable(rng.standard_normal(s).astype("float32") / np.sqrt(s[-1])) for s in shapes]
    with lm.GradientTape() as tape:
        y = call(*inputs)
    dy = rng.standard_normal(y.shape).astype("float32")
    hashed = hashlib.sha256()
    for t in (y, *tape.gradient(y, inputs, dy)):
        hashed.update(np.ascontiguousarray(t.numpy()).tobytes())
    return hashed.hexdigest()[:16]


def main():
    for name, call, *shapes in CASES:
        found = {}
        for threads in (1, 2, 3, 4, 7):
            lm.set_num_threads(threads)
            found[threads] = digest(name, call, shapes)
        assert len(set(found.values())) == 1, f"{name}: {found}"
        print(name, found[1], sep="\t")


if __name__ == "__main__":
    main()
