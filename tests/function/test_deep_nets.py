"""ResNet-18 and AlexNet of benchmarks/: captured steps have the bits of eager ones, and the nets' known sizes."""

import hashlib

import pytest

import lamina as lm
from benchmarks import models, workloads


def trained(name, capture, steps=2):
    """(losses, hash of all weights and moving statistics, model) after steps on two samples."""
    lm.utils.set_random_seed(3)
    model, loss_function, optimizer = models.parts(name)
    x, y = models.tensors(*workloads.data(name, batch=2))

    def step(x, y):
        with lm.GradientTape() as tape:
            loss = loss_function(y, model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    step = lm.function(step) if capture else step
    losses = [float(step(x, y)) for _ in range(steps)]
    digest = hashlib.sha256()
    for variable in model.variables:
        digest.update(variable.numpy().data)
    return losses, digest.hexdigest(), model


# Parameters as torchvision counts those of its AlexNet; of ResNet-18 with a 3 x 3 stem and ten classes.
@pytest.mark.parametrize("name, parameters", [("resnet18", 11_173_962), ("alexnet", 61_100_840)])
def test_captured_steps_have_the_bits_of_eager_ones(name, parameters):
    losses, weights, model = trained(name, capture=False)
    assert sum(v.numpy().size for v in model.trainable_variables) == parameters
    del model
    assert trained(name, capture=True)[:2] == (losses, weights)
    assert losses[-1] < losses[0]
