"""Each reader, held against what the library itself would do with the recorded configuration."""

import enum
import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sartor import models
from sartor.data import Preprocessing
from sartor.errors import UsageError, WeightsError
from sartor.models import InputOptions, known_preprocessing, metadata_of, read_preprocessing

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def _numbers(preprocessing):
    return (
        preprocessing.resize,
        preprocessing.interpolation,
        preprocessing.crop,
        preprocessing.mean,
        preprocessing.std,
    )


#: As timm 1.0 has it for resnet18.a1_in1k.
_TIMM = {
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "test_input_size": (3, 288, 288),
    "pool_size": (7, 7),
    "crop_pct": 0.95,
    "crop_mode": "center",
    "interpolation": "bicubic",
    "mean": _MEAN,
    "std": _STD,
    "fixed_input_size": False,
}


def test_timm_resizes_by_the_share_that_is_cut_out():
    found = read_preprocessing(_TIMM)
    # 224 / 0.95 is 235.8.
    assert _numbers(found) == (235, "bicubic", 224, _MEAN, _STD)
    assert found.origin == "from timm's pretrained_cfg"


def test_timm_squashes_and_pads():
    squashed = {**_TIMM, "input_size": (3, 256, 320), "crop_pct": 1.0, "crop_mode": "squash"}
    assert read_preprocessing(squashed).resize == (256, 320)
    assert read_preprocessing(squashed).crop == (256, 320)
    with pytest.raises(UsageError, match=r"crop_mode 'border' .* give resize and crop"):
        read_preprocessing({**_TIMM, "crop_mode": "border"})


def test_timm_networks_of_one_channel_take_the_mean_over_channels():
    found = read_preprocessing({**_TIMM, "input_size": (1, 28, 28), "mean": (0.1, 0.2, 0.3)})
    assert found.mean == pytest.approx((0.2,))
    assert found.channels == 1


def test_a_network_of_timm_carries_its_configuration():
    class Net(nn.Module):
        pretrained_cfg = _TIMM

    assert known_preprocessing(Net(), pretrained=True).crop == 224


class _Filter(enum.Enum):
    BILINEAR = "bilinear"


#: As torchvision's ImageClassification of ResNet18_Weights.IMAGENET1K_V1 is.
_PRESET = SimpleNamespace(
    crop_size=[224],
    resize_size=[256],
    mean=list(_MEAN),
    std=list(_STD),
    interpolation=_Filter.BILINEAR,
    antialias=True,
)


def test_torchvision_presets_and_the_weights_that_have_one():
    weights = SimpleNamespace(transforms=lambda: _PRESET, url="https://…", meta={})
    for value in (_PRESET, weights):
        assert _numbers(read_preprocessing(value)) == (256, "bilinear", 224, _MEAN, _STD)


def test_torchvision_segmentation_is_not_cropped():
    preset = SimpleNamespace(
        resize_size=[520], mean=_MEAN, std=_STD, interpolation=_Filter.BILINEAR
    )
    assert _numbers(read_preprocessing(preset)) == (520, "bilinear", None, _MEAN, _STD)


def _step(name, **attributes):
    return type(name, (), attributes)()


def test_a_compose_is_read_step_by_step():
    steps = [
        _step("Resize", size=(40, 30), interpolation=SimpleNamespace(value="bicubic")),
        _step("CenterCrop", size=[28, 28]),
        _step("ToTensor"),
        _step("Normalize", mean=torch.full((3, 1, 1), 0.5), std=[0.25, 0.25, 0.25]),
    ]
    found = read_preprocessing(SimpleNamespace(transforms=steps))
    assert found.resize == (40, 30)
    assert found.crop == (28, 28)
    assert (found.mean, found.std) == ((0.5,) * 3, (0.25,) * 3)
    with pytest.raises(UsageError, match="the transform RandomHorizontalFlip cannot be followed"):
        read_preprocessing(SimpleNamespace(transforms=[_step("RandomHorizontalFlip")]))


#: As google/vit-base-patch16-224 has it.
_VIT = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 224},
}
_HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ((224, 224), "bilinear", None, _HALF, _HALF)),
        # CLIP.
        (
            {
                "size": {"shortest_edge": 224},
                "resample": 3,
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            (224, "bicubic", 224, _HALF, _HALF),
        ),
        # As files of former versions have it: one number is a square, but for some families.
        (
            {"size": 224, "image_processor_type": "ViTFeatureExtractor"},
            ((224, 224), "bilinear", None, _HALF, _HALF),
        ),
        (
            {
                "size": 224,
                "feature_extractor_type": "CLIPFeatureExtractor",
                "image_processor_type": None,
            },
            (224, "bilinear", None, _HALF, _HALF),
        ),
        # ConvNeXt resizes to 256 first, or not at all from 384 on.
        (
            {"size": {"shortest_edge": 224}, "image_processor_type": "ConvNextImageProcessor"},
            (256, "bilinear", 224, _HALF, _HALF),
        ),
        (
            {"size": {"shortest_edge": 384}, "image_processor_type": "ConvNextImageProcessor"},
            ((384, 384), "bilinear", None, _HALF, _HALF),
        ),
        ({"do_resize": False}, (None, "bilinear", None, _HALF, _HALF)),
        # Inputs are levels: 0 to 255.
        (
            {"do_rescale": False, "do_normalize": False},
            ((224, 224), "bilinear", None, (0.0,) * 3, (round(1 / 255, 9),) * 3),
        ),
        # EfficientNet divides twice; and may have levels from −1 to 1 before the mean.
        ({"include_top": True}, ((224, 224), "bilinear", None, _HALF, (0.25,) * 3)),
        (
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            ((224, 224), "bilinear", None, _HALF, _HALF),
        ),
    ],
)
def test_hugging_face_processors(changes, expected, tmp_path):
    config = {**_VIT, **changes}
    found = read_preprocessing(SimpleNamespace(**config))
    assert _numbers(found) == expected
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    assert _numbers(read_preprocessing(tmp_path)) == expected


def test_what_a_processor_does_beyond_that_is_refused():
    with pytest.raises(UsageError, match=r"reads blue first \(do_flip_channel_order\)"):
        read_preprocessing({**_VIT, "do_flip_channel_order": True})
    with pytest.raises(UsageError, match=r"size is \{'longest_edge': 800.*give resize and crop"):
        read_preprocessing({**_VIT, "size": {"longest_edge": 800, "shortest_edge": 600}})


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match="preprocessing is a int"):
        read_preprocessing(5)
    with pytest.raises(UsageError, match=r"there is no preprocessor_config\.json in this folder"):
        read_preprocessing(tmp_path)
    with pytest.raises(UsageError, match="'nowhere' is neither a folder"):
        read_preprocessing("nowhere")


def test_the_metadata_of_weights_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "a.safetensors"
    for written in (
        Preprocessing(resize=256, crop=(224, 192), interpolation="lanczos", mean=_MEAN, std=_STD),
        Preprocessing(mean=(0.5,), std=(0.25,)),
        Preprocessing(crop=28),
    ):
        models.save_weights(path, {"a": torch.zeros(1)}, metadata_of(written))
        found = known_preprocessing("resnet20", path)
        assert _numbers(found) == _numbers(written)
        assert found.origin == "from the weights' metadata"


def test_wrong_metadata_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    models.save_weights(path, {"a": torch.zeros(1)}, {"mean": "0.5", "std": "wide"})
    with pytest.raises(WeightsError, match=r"a\.safetensors': the metadata is wrong: .*'wide'"):
        known_preprocessing("resnet20", path)


def test_networks_that_are_not_pretrained_take_no_size_from_their_library():
    net = nn.Identity()
    net.pretrained_cfg = _TIMM
    found = known_preprocessing(net)
    assert _numbers(found) == (None, "bicubic", None, _MEAN, _STD)
    assert found.origin == "from timm's pretrained_cfg, but for the size"


def test_what_is_given_wins_and_both_origins_are_said():
    known = read_preprocessing(_TIMM)
    found = InputOptions(resize=(256,), interpolation="bilinear").over(known)
    assert _numbers(found) == (256, "bilinear", 224, _MEAN, _STD)
    assert found.origin == "resize and interpolation given, else from timm's pretrained_cfg"
    assert InputOptions(mean=(0.5,), std=(0.5,)).over(Preprocessing()).origin == "given"
    assert InputOptions().over(known) is known


def test_options_of_a_preprocessing_say_all_of_it():
    given = Preprocessing(resize=(30, 40), crop=28, mean=_MEAN, std=_STD, interpolation="box")
    assert _numbers(InputOptions.of(given).over(Preprocessing())) == _numbers(given)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mean": (0.5,)}, "--mean is given without --std"),
        ({"std": (0.5,)}, "--std is given without --mean"),
        ({"crop": (1, 2, 3)}, "--crop is 1,2,3"),
        ({"resize": (0,)}, "--resize is 0"),
    ],
)
def test_wrong_options_are_named(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        InputOptions(**options).require_valid()
