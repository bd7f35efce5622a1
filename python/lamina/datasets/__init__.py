"""Small data sets: digits and a Fashion-MNIST sample are embedded, the others are found or downloaded."""

from . import austen, digits, fashion_mnist, mnist

__all__ = ["austen", "digits", "fashion_mnist", "mnist"]
