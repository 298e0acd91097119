import pytest
from torch import nn

from sartor.finetune._learning_rate import LearningRate, usual_rate


def test_it_rises_in_a_line_and_falls_in_half_a_cosine():
    rate = LearningRate(largest=0.4, steps=12, warmup=0.25)
    rising = [rate.at(step) for step in range(4)]
    assert rising == pytest.approx([0.4 / 3, 0.8 / 3, 0.4, 0.4])
    # of the nine steps that fall, a third is behind at step 6 and two thirds at step 9
    assert rate.at(6) == pytest.approx(0.4 * 0.75)
    assert rate.at(9) == pytest.approx(0.4 * 0.25)
    assert rate.at(12) == pytest.approx(0.0)
    assert rate.at(15) == rate.at(12)


def test_a_training_of_one_step_has_the_largest_rate():
    assert LearningRate(largest=0.4, steps=1, warmup=0.0).at(0) == 0.4
    assert LearningRate(largest=0.4, steps=1, warmup=1.0).at(0) == 0.4


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_networks_with_batch_norms_bear_ten_times_the_rate(norm):
    assert usual_rate(nn.Sequential(nn.Linear(2, 2), norm(2))) == 0.02
    assert usual_rate(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))) == 0.002
