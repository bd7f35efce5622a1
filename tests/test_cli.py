"""The command line."""

import numpy as np
import pytest

import lamina as lm
from lamina import cli


def test_info(capsys):
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    for part in ("version:", lm.__version__, "CPU features:", "instruction set:", "thread backend:", "threads:"):
        assert part in out


def test_train_saves_model_and_says_accuracy(tmp_path, capsys):
    assert cli.main(["train", "lenet", "--epochs", "2", "--out", str(tmp_path / "run"), "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "test accuracy: 0." in out and "Epoch 2/2" in out
    model = lm.models.load_model(tmp_path / "run" / "lenet.safetensors")
    (_, _), (x, y) = lm.datasets.digits.load_data(size=28)
    _, accuracy = model.evaluate(np.float32(x[..., None]) / 255, y, verbose=0)
    assert f"test accuracy: {accuracy:.4f}" in out
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert 'pip install "lamina[viz]"' in out
    else:
        assert (tmp_path / "run" / "curves.png").stat().st_size > 5000
        assert (tmp_path / "run" / "predictions.png").stat().st_size > 5000


def test_train_on_an_npz_file(tmp_path, capsys):
    (x, y), (x_test, y_test) = lm.datasets.fashion_mnist.load_sample()
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    assert (
        cli.main(["train", "lenet", "--data", str(tmp_path / "own.npz"), "--epochs", "1", "--out", str(tmp_path)]) == 0
    )
    assert "1000 training and 200 test images" in capsys.readouterr().out


def test_errors(tmp_path, capsys):
    assert cli.main(["train", "lenet", "--data", str(tmp_path / "absent.npz")]) == 1
    assert "[train] there is no such data" in capsys.readouterr().err
    for wrong in (["train", "lenett"], ["train", "lenet", "--epochs", "0"], []):
        with pytest.raises(SystemExit):
            cli.main(wrong)
        assert "lamina" in capsys.readouterr().err
