"""Callbacks, under Keras 3's names."""

from .training.callbacks import Callback, CallbackList, History, LambdaCallback, TerminateOnNaN
from .training.progress import ProgressBar

__all__ = ["Callback", "CallbackList", "History", "LambdaCallback", "ProgressBar", "TerminateOnNaN"]
