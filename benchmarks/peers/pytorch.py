"""PyTorch eager, NCHW as its users write it.

Variants: eager; channels_last (nets with convolutions: weights and input in NHWC strides); on request compile
(torch.compile of forward and loss, and so of backward), fused (the optimiser's fused kernel) and the sums of them,
"channels_last+compile+fused" say. Kind "fit" is the loop that its users write by hand.
"""

import itertools

import torch
from torch import nn

from benchmarks import workloads
from benchmarks.loop import Loop


def set_threads(threads):
    """Denormals are flushed, as all other sides do: long runs on random data make many, Adam on them is slow."""
    torch.set_flush_denormal(True)  # before the pool is made, whose threads inherit it
    torch.set_num_threads(threads)


def versions():
    return {"torch": torch.__version__, "isa": torch.backends.cpu.get_cpu_capability().lower()}


def variants(case, also):
    names, optional = ["eager"], []
    trains = case["kind"] in ("model", "fit")
    if trains:
        optional = ["compile", "fused", "compile+fused"]
    images = case["kind"] in ("pool", "norm") and len(case["shape"]) == 4
    if case["kind"] == "adam":
        names.append("fused")
    if case["kind"] == "conv" or images or (trains and workloads.has_convolutions(case["name"])):
        names.append("channels_last")
        optional += [f"channels_last+{name}" for name in optional]
    return names + [name for name in optional if name in also]


def forget():
    """Drops compiled code: dynamo compiles one piece of source eight times and then stays eager."""
    torch.compiler.reset()


def dense(width, units, activation):
    return [nn.Linear(width, units)] + ([nn.ReLU()] if activation == "relu" else [])


def convolution(width, filters, kernel, stride=1, padding=0):
    return [nn.Conv2d(width, filters, kernel, stride, padding), nn.ReLU(inplace=True)]


def conv_norm(width, filters, kernel, stride, relu=True):
    product = nn.Conv2d(width, filters, kernel, stride, kernel // 2, bias=False)
    norm = nn.BatchNorm2d(filters, workloads.BATCH_NORM["epsilon"], 1 - workloads.BATCH_NORM["momentum"])
    return [product, norm] + ([nn.ReLU(inplace=True)] if relu else [])


class Residual(nn.Module):
    def __init__(self, width, filters, stride):
        super().__init__()
        branch = conv_norm(width, filters, 3, stride) + conv_norm(filters, filters, 3, 1, relu=False)
        self.branch = nn.Sequential(*branch)
        self.shortcut = nn.Sequential(*(conv_norm(width, filters, 1, stride, relu=False) if stride > 1 else []))

    def forward(self, x):
        return nn.functional.relu(self.branch(x) + self.shortcut(x), inplace=True)


class Recurrent(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, layer, width, units):
        super().__init__()
        self.layer = layer(width, units, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0][:, -1]


class Tokens(nn.Module):
    def __init__(self, steps, ids, width):
        super().__init__()
        self.ids, self.positions = nn.Embedding(ids, width), nn.Embedding(steps, width)

    def forward(self, x):
        return self.ids(x) + self.positions.weight


class Block(nn.Module):
    def __init__(self, width, heads, units, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norms = nn.ModuleList(nn.LayerNorm(width, workloads.LAYER_NORM_EPSILON) for _ in range(2))
        self.projections, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.network = nn.Sequential(nn.Linear(width, units), nn.GELU("tanh"), nn.Linear(units, width))

    def forward(self, x):
        batch, steps, width = x.shape
        heads = self.projections(self.norms[0](x)).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(*heads, is_causal=self.causal)
        x = x + self.output(seen.transpose(1, 2).reshape(batch, steps, width))
        return x + self.network(self.norms[1](x))


class MeanSteps(nn.Module):
    def forward(self, x):
        return x.mean(1)


# kind -> modules(width of the input, *arguments)
KINDS = {
    "dense": dense,
    "conv": convolution,
    "conv_norm": conv_norm,
    "residual": lambda width, *arguments: [Residual(width, *arguments)],
    "lstm": lambda width, units: [Recurrent(nn.LSTM, width, units)],
    "gru": lambda width, units: [Recurrent(nn.GRU, width, units)],
    "tokens": lambda width, ids, units: [Tokens(width, ids, units)],
    "block": lambda width, *arguments: [Block(*arguments)],
    "norm": lambda width: [nn.LayerNorm(width, workloads.LAYER_NORM_EPSILON)],
    "mean_steps": lambda width: [MeanSteps()],
    "head": lambda width, units: [nn.Linear(width, units, bias=False)],
    "pool": lambda width, *arguments: [nn.MaxPool2d(*arguments)],
    "mean": lambda width: [nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    "flatten": lambda width: [nn.Flatten()],
}


def build(name):
    """The net as nn.Sequential; `probe` runs along and tells each layer its input width."""
    net = workloads.NETS[name]
    probe = tensors(*workloads.data(name, batch=1))[0]
    modules = []
    for kind, *arguments in net.layers:
        added = KINDS[kind](probe.shape[1 if probe.ndim != 3 else 2], *arguments)
        modules += added
        probe = nn.Sequential(*added)(probe)
    return nn.Sequential(*modules)


def learner(name, variant="eager", accuracy=False):
    """train_step(x, y) -> (loss, hits) over tensors: forward, loss, backward, optimiser; hits is None or a count."""
    net, options = workloads.NETS[name], variant.split("+")
    torch.manual_seed(0)
    model = build(name)
    if "channels_last" in options:
        model = model.to(memory_format=torch.channels_last)
    loss_function = {"binary": nn.BCEWithLogitsLoss, "sparse": nn.CrossEntropyLoss, "mse": nn.MSELoss}[net.loss]()
    make_optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[net.optimizer]
    fused = {"fused": True} if "fused" in options else {}
    optimizer = make_optimizer(model.parameters(), lr=workloads.learning_rate(net), **fused)

    def forward(x, y):
        logits = model(x)
        hits = None
        if accuracy:
            hits = ((logits > 0) == y if net.loss == "binary" else logits.argmax(-1) == y).sum()
        if logits.ndim == 3:
            logits, y = logits.flatten(0, 1), y.flatten()
        return loss_function(logits, y), hits

    if "compile" in options:
        forward = torch.compile(forward, dynamic=False)

    def train_step(x, y):
        optimizer.zero_grad()
        loss, hits = forward(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach(), hits

    return train_step


def trainer(name, variant="eager"):
    """train_step(x, y) -> loss over tensors: forward, loss, backward, optimiser."""
    train_step = learner(name, variant)
    return lambda x, y: train_step(x, y)[0]


def tensors(x, y, variant="eager"):
    """(x, y) as tensors; images NHWC -> NCHW, contiguous in the variant's memory format."""
    x = torch.from_numpy(x)
    if x.ndim == 4:
        layout = torch.channels_last if "channels_last" in variant.split("+") else torch.contiguous_format
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=layout)
    return x, torch.from_numpy(y)


def model_step(name, variant="eager"):
    """step() of a net on its fixed data."""
    x, y = tensors(*workloads.data(name), variant)
    train_step = trainer(name, variant)
    return lambda: train_step(x, y)


def fit_loop(name, accuracy, variant="eager"):
    """The Loop over tensors in memory: rows of a random permutation, the loss read once an epoch."""
    net = workloads.NETS[name]
    x, y = tensors(*workloads.fit_data(name), variant)
    train_step = learner(name, variant, accuracy)

    def run(epochs, mark):
        for _ in range(epochs):
            order = torch.randperm(len(x))
            total, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
            for start in range(0, len(x), net.batch):
                rows = order[start : start + net.batch]
                loss, hits = train_step(x[rows], y[rows])
                total += loss
                if accuracy:
                    correct += hits
            results = total.item() / net.steps, correct.item() / len(x)
            mark()
        return results[0]

    return Loop(run, net.steps)


def add(size, recorded, calls, variant="eager"):
    a = torch.ones(size, requires_grad=recorded)

    def step():
        for _ in itertools.repeat(None, calls):
            a + a

    return step


def gemm(m, k, n, dtype, variant="eager"):
    a, b = (torch.from_numpy(array).to(getattr(torch, dtype)) for array in workloads.gemm_data(m, k, n))
    return lambda: a @ b


def conv(gradient, variant="eager", **case):
    layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
    x, w, dy = (torch.from_numpy(array) for array in workloads.conv_data(case))
    w = w.permute(3, 2, 0, 1).contiguous(memory_format=layout)
    x, dy = (t.permute(0, 3, 1, 2).contiguous(memory_format=layout) for t in (x, dy))
    sources = [x, w] if workloads.needs_input_gradient(case) else [w]
    for source in sources:
        source.requires_grad_(gradient)

    def forward():
        options = {"stride": case["stride"], "padding": case["padding"], "groups": case.get("groups", 1)}
        return nn.functional.conv2d(x, w, **options)

    return (lambda: torch.autograd.grad(forward(), sources, dy)) if gradient else forward


def attention(gradient, variant="eager", **case):
    """Heads before the length, contiguous: PyTorch's own layout."""
    tensors = (torch.from_numpy(array).transpose(1, 2).contiguous() for array in workloads.attention_data(case))
    *sources, dy = tensors
    for source in sources:
        source.requires_grad_(gradient)

    def forward():
        return nn.functional.scaled_dot_product_attention(*sources)

    return (lambda: torch.autograd.grad(forward(), sources, dy)) if gradient else forward


class DecodeLayer(nn.Module):
    """Self-attention of one token to what `held` has of keys and values, its own in the last place."""

    def __init__(self, held, heads):
        super().__init__()
        width, self.heads = held.shape[-1], heads
        self.projections, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.cache = held.view(*held.shape[:-1], heads, -1).transpose(2, 3).clone(memory_format=torch.contiguous_format)

    def forward(self, x):
        query, *added = self.projections(x).view(3, 1, self.heads, 1, -1)
        for room, new in zip(self.cache, added):
            room[:, :, -1:] = new
        seen = nn.functional.scaled_dot_product_attention(query, *self.cache)
        return self.output(seen.view(1, 1, -1))


def decode(layers, width, heads, places, variant="eager"):
    token, held = map(torch.from_numpy, workloads.decode_data({"width": width, "places": places}))
    chain = nn.Sequential(*(DecodeLayer(held, heads) for _ in range(layers)))

    def step():
        with torch.inference_mode():
            return chain(token)

    return step


FACTORIES = {
    "model": model_step,
    "fit": fit_loop,
    "add": add,
    "gemm": gemm,
    "conv": conv,
    "attention": attention,
    "decode": decode,
}
