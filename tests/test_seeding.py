"""Seeds drawn for whoever gives none."""

from lamina import seeding


def test_seeds_follow_the_default_seed():
    seeding.set_default_seed(1)
    first = [seeding.next_seed() for _ in range(3)]
    seeding.set_default_seed(1)
    assert [seeding.next_seed() for _ in range(3)] == first
    assert len(set(first)) == 3
    seeding.set_default_seed(-1)
    assert seeding.next_seed() not in first


def test_without_a_default_seed_the_system_gives_one(monkeypatch):
    drawn = set()
    for _ in range(2):
        monkeypatch.setattr(seeding, "_default", None)
        drawn.add(seeding.next_seed())
    assert len(drawn) == 2
