"""What is reported of networks is scored once."""

import dataclasses

import sartor
from sartor.scoring import ImageScorer

OPTIONS = sartor.SearchOptions(
    episodes=4,
    finalists=2,
    baselines=("uniform",),
    reward_images=64,
    timed=False,
    repair="fit",
    compress=sartor.CompressOptions(images=16, final_images=32),
)


def test_no_network_is_scored_twice_on_the_same_images(model, data, monkeypatch):
    scored = []
    score = ImageScorer.score

    def counted(scorer, network, rival=None):
        # Both are held, so that no later ones can take their places in memory.
        scored.append((scorer, network))
        return score(scorer, network, rival)

    monkeypatch.setattr(ImageScorer, "score", counted)
    sartor.compress(model, data, budget="macs<=60%", options=OPTIONS)
    pairs = [(id(scorer), id(network)) for scorer, network in scored]
    assert len(pairs) == len(set(pairs)) >= 8


def test_the_original_meets_the_test_images_only_after_the_search(model, data, monkeypatch):
    images = []
    score = ImageScorer.score

    def noted(scorer, network, rival=None):
        images.append(scorer._images)
        return score(scorer, network, rival)

    monkeypatch.setattr(ImageScorer, "score", noted)
    options = dataclasses.replace(OPTIONS, finalists=1, baselines=())
    sartor.compress(model, data, budget="macs<=60%", options=options)
    first = next(place for place, some in enumerate(images) if some is data.test)
    assert first >= options.episodes
