"""Small image sets: digits and a Fashion-MNIST sample are embedded, full sets are found or downloaded."""

from . import digits, fashion_mnist, mnist

__all__ = ["digits", "fashion_mnist", "mnist"]
