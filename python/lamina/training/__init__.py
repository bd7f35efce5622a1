"""The training loop: what compile sets up, fit's epochs, callbacks and progress."""

from .callbacks import Callback, CallbackList, History, LambdaCallback, TerminateOnNaN
from .progress import ProgressBar
from .trainer import Trainer

__all__ = ["Callback", "CallbackList", "History", "LambdaCallback", "ProgressBar", "TerminateOnNaN", "Trainer"]
