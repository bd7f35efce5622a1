"""An iterator that a thread runs ahead of its consumer."""

import collections
import os
import threading
from collections.abc import Iterator
from typing import Any


def prefetched(source: Iterator[Any], size: int) -> Iterator[Any]:
    """Yields what `source` yields, in order, while a thread makes up to `size` items ahead.

    The thread starts at the first item and ends with the source, with an error (raised here, after the items
    before it), or when this iterator is closed or dropped. One thread runs `source`, so the items do not
    depend on timing.
    """
    ahead = _Ahead(source, size)
    thread = threading.Thread(target=ahead.produce, name="lamina-prefetch", daemon=True)
    thread.start()
    process = os.getpid()
    try:
        while True:
            if os.getpid() != process:
                raise RuntimeError(
                    "[Dataset.prefetch] the iterator was started before a fork and its thread stayed in the "
                    "parent; "
                    f"expected one process. Received: started in {process}, used in {os.getpid()}. "
                    "Call iter(dataset) again in the child."
                )
            item, done, error = ahead.next()
            if error is not None:
                raise error
            if done:
                return
            yield item
    finally:
        if os.getpid() == process:
            ahead.stop()
            if thread is not threading.current_thread():  # the garbage collector may close us in any thread
                thread.join(timeout=1.0)


class _Ahead:
    """The items between the thread and its consumer."""

    def __init__(self, source: Iterator[Any], size: int):
        self.source, self.size = source, size
        self.items: collections.deque[Any] = collections.deque()
        self.changed = threading.Condition()
        self.done = self.stopped = False
        self.error: BaseException | None = None

    def produce(self) -> None:
        error: BaseException | None = None
        try:
            for item in self.source:
                with self.changed:
                    self.changed.wait_for(lambda: self.stopped or len(self.items) < self.size)
                    if self.stopped:
                        break
                    self.items.append(item)
                    self.changed.notify_all()
        except BaseException as caught:  # handed to the consumer, whatever it is
            error = caught
        finally:
            close = getattr(self.source, "close", None)
            if close is not None:
                close()
            with self.changed:
                self.error, self.done = error, True
                self.changed.notify_all()

    def next(self) -> tuple[Any, bool, BaseException | None]:
        """Returns (item, no more items, error), waiting for one of them."""
        with self.changed:
            self.changed.wait_for(lambda: self.items or self.done)
            if self.items:
                item = self.items.popleft()
                self.changed.notify_all()
                return item, False, None
            return None, True, self.error

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.items.clear()
            self.changed.notify_all()
