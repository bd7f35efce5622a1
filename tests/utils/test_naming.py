import pytest

from lamina.utils import auto_name, nearest, to_snake_case, unknown_name


@pytest.mark.parametrize(
    "name, expected",
    [
        ("Dense", "dense"),
        ("Conv2D", "conv2d"),
        ("MaxPooling2D", "max_pooling2d"),
        ("BatchNormalization", "batch_normalization"),
        ("ReLU", "re_lu"),
        ("LeNet", "le_net"),
        ("MyModel", "my_model"),
    ],
)
def test_snake_case(name, expected):
    assert to_snake_case(name) == expected


def test_auto_names_count():
    assert [auto_name("test_auto_name") for _ in range(3)] == [
        "test_auto_name",
        "test_auto_name_1",
        "test_auto_name_2",
    ]


def test_nearest():
    assert nearest("adm", ["sgd", "adam"]) == "adam"
    assert nearest("ADAM", ["sgd", "Adam"]) == "Adam"
    assert nearest("zzz", ["sgd", "adam"]) is None
    assert nearest(3, ["sgd"]) is None


def test_unknown_name():
    error = unknown_name("optimizer", "adm", ["sgd", "adam"])
    assert str(error) == (
        "[optimizer] is unknown; expected one of 'adam', 'sgd'. Received: optimizer='adm'. Did you mean 'adam'?"
    )
