"""Trains a character language model on the six novels of Jane Austen, and lets it write.

    python examples/austen.py                      # a small model, about a minute
    python examples/austen.py --width 128 --blocks 4 --context 128 --steps 3000

The loss is in nats a character. One that only knows how often each pair of letters occurs comes to 2.4.
"""

import argparse
import time

import numpy as np

import lamina as lm
from lamina.datasets import austen
from lamina.zoo import gpt


def windows(ids, context, count, rng):
    """Pieces of the text, and the same one character further on: what is to be predicted."""
    starts = rng.integers(0, len(ids) - context, count)
    pieces = ids[starts[:, None] + np.arange(context + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def train(model, ids, context, batch, steps, rng, learning_rate=2e-3):
    schedule = lm.optimizers.schedules.CosineDecay(
        learning_rate / 20, steps, alpha=0.05, warmup_target=learning_rate, warmup_steps=steps // 10
    )
    model.compile(
        lm.optimizers.AdamW(schedule, global_clipnorm=1.0),
        lm.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    every = max(steps // 10, 1)
    start = time.perf_counter()
    for first in range(0, steps, every):
        x, y = windows(ids, context, min(every, steps - first) * batch, rng)
        loss = model.fit(x, y, batch_size=batch, verbose=0).history["loss"][-1]
        print(f"step {min(first + every, steps):5}  loss {loss:.3f}  {time.perf_counter() - start:.0f} s", flush=True)


def sample(model, ids, characters, context, rng, temperature=0.8):
    """Continues a text character by character."""
    ids = list(ids)
    for _ in range(characters):
        x = np.full((1, context), ids[0])
        seen = ids[-context:]
        x[0, : len(seen)] = seen  # what lies behind a step does not reach it
        scores = model.predict_on_batch(x)[0, len(seen) - 1].astype(np.float64) / temperature
        p = np.exp(scores - scores.max())
        ids.append(int(rng.choice(len(p), p=p / p.sum())))
    return ids


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"context": 64, "width": 64, "heads": 4, "blocks": 2, "batch": 32, "steps": 2000}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help="[%(default)s]")
    parser.add_argument("--characters", type=int, default=500, help="length of the sample [%(default)s]")
    parser.add_argument("--prompt", default="It is a truth ", help="its beginning [%(default)r]")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    given = parser.parse_args(argv)
    lm.utils.set_random_seed(given.seed)
    rng = np.random.default_rng(given.seed)

    novels = austen.load_data()
    unheard = novels.pop("Persuasion")
    text = "\n".join(novels.values())
    letters = sorted(set(text + unheard + given.prompt))
    number = {letter: i for i, letter in enumerate(letters)}
    ids, unheard = (np.array([number[letter] for letter in t], np.int32) for t in (text, unheard))

    model = gpt(len(letters), given.context, given.width, given.heads, given.blocks)
    print(f"{len(text)} characters, {len(letters)} different; {model.count_params()} parameters")
    train(model, ids, given.context, given.batch, given.steps, rng)
    loss = model.evaluate(*windows(unheard, given.context, 512, rng), batch_size=32, verbose=0)
    print(f"Persuasion, which it has not read: loss {loss:.3f}\n")
    prompt = [number[letter] for letter in given.prompt]
    print("".join(letters[i] for i in sample(model, prompt, given.characters, given.context, rng)))
    return loss


if __name__ == "__main__":
    main()
