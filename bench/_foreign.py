"""Networks that nobody here wrote, by name, with random weights and an example of their inputs.

No command of its own: networks.py runs them. They come from torchvision, timm, transformers and
ultralytics, where these are installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

#: A network with an example of each input, the batch first.
Example = tuple[nn.Module, tuple[Tensor, ...]]

#: Side of images for networks that take any; all strides of the families divide it.
_PIXELS = 128
_TOKENS = 24

FAMILIES: dict[str, str] = {
    "torchvision": """
        alexnet convnext_tiny deeplabv3_mobilenet_v3_large densenet121 efficientnet_b0
        efficientnet_v2_s fcn_resnet50 googlenet inception_v3 lraspp_mobilenet_v3_large maxvit_t
        mnasnet0_5 mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_400mf
        regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0
        squeezenet1_0 squeezenet1_1 swin_t swin_v2_t vgg11 vgg16_bn vit_b_16 wide_resnet50_2
    """,
    "timm": """
        beit_base_patch16_224 botnet26t_256 cait_xxs24_224 caformer_s18 coat_tiny
        coatnet_nano_rw_224 convformer_s18 convit_tiny convmixer_768_32 convnext_atto
        convnextv2_atto crossvit_9_240
        cs3darknet_s cspdarknet53 cspresnet50 darknet53 davit_tiny deit_tiny_patch16_224
        deit3_small_patch16_224 densenet121 dla34 dpn68 eca_nfnet_l0 edgenext_xx_small
        efficientformer_l1 efficientformerv2_s0 efficientnet_b0 efficientnetv2_rw_t
        efficientvit_b0 efficientvit_m0 eva02_tiny_patch14_224 fastvit_t8 fbnetc_100
        fbnetv3_b focalnet_tiny_srf gcresnet33ts gcvit_xxtiny ghostnet_100 ghostnetv2_100
        hardcorenas_a hgnetv2_b0 hrnet_w18_small inception_next_tiny inception_v4 lcnet_050
        legacy_seresnet18 levit_128s mambaout_femto maxvit_nano_rw_256 mixer_s32_224
        mixnet_s mnasnet_100 mobilenet_edgetpu_v2_xs mobilenetv2_100 mobilenetv3_small_050
        mobilenetv4_conv_small mobileone_s0 mobilevit_xxs mobilevitv2_050 mvitv2_tiny nest_tiny
        nextvit_small nf_resnet50 nfnet_l0 pit_ti_224 poolformer_s12 poolformerv2_s12
        pvt_v2_b0 regnety_002 repghostnet_050 repvgg_a0 repvit_m0_9 res2net50_26w_4s resmlp_12_224
        resnest14d resnet18 resnet26d resnet50 resnetv2_50 resnext50_32x4d rexnet_100 selecsls42b
        seresnet50 sequencer2d_s shvit_s1 skresnet18 starnet_s1 swiftformer_xs
        swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 tf_efficientnet_b0
        tf_efficientnet_lite0 tf_efficientnetv2_b0 tiny_vit_5m_224 tinynet_a tresnet_m
        twins_pcpvt_small twins_svt_small vgg11_bn visformer_tiny
        vit_base_patch16_clip_224 vit_medium_patch16_gap_240 vit_relpos_small_patch16_224
        vit_small_patch16_224 vit_tiny_patch16_224 volo_d1_224 vovnet39a wide_resnet50_2
        xception41 xcit_nano_12_p16_224
    """,
    "transformers": """
        albert bert convnext convnextv2 cvt deberta-v2 deit dinov2 distilbert efficientnet
        electra focalnet gpt2 hiera levit llama mobilebert mobilenet_v1 mobilenet_v2 mobilevit
        mobilevitv2 modernbert mpnet poolformer pvt pvt_v2 regnet resnet roberta segformer
        squeezebert swiftformer swin swinv2 t5 vit vit_msn xlm-roberta yolos
    """,
    "ultralytics": "yolov8n yolo11n yolo12n yolov5n yolov10n yolov8n-cls yolo11n-seg",
}

#: What texts are read by; all others of transformers read images.
_TEXT = frozenset(
    [
        "albert",
        "bert",
        "deberta-v2",
        "distilbert",
        "electra",
        "gpt2",
        "llama",
        "mobilebert",
        "modernbert",
        "mpnet",
        "roberta",
        "squeezebert",
        "t5",
        "xlm-roberta",
    ]
)


def names() -> list[str]:
    """All, as FAMILY:NAME."""
    return [f"{family}:{name}" for family, listed in FAMILIES.items() for name in listed.split()]


def make(name: str, seed: int = 0) -> Example:
    """A network with random weights in evaluation mode, and an example of a batch of one."""
    torch.manual_seed(seed)
    family, _, bare = name.partition(":")
    model, inputs = _MAKERS[family](bare)
    generator = torch.Generator().manual_seed(seed)
    _randomize(model, generator)
    return model.eval().requires_grad_(False), inputs


def _torchvision(name: str) -> Example:
    models = importlib.import_module("torchvision.models")
    fixed = {"vit_b_16": 224, "maxvit_t": 224, "alexnet": 224, "vgg11": 224, "vgg16_bn": 224}
    others = {"inception_v3": 299, "swin_t": 224, "swin_v2_t": 256}
    pixels = (fixed | others).get(name, _PIXELS)
    # The backbones of segmentation networks have weights of their own.
    nothing = {"weights_backbone": None} if _is_segmentation(name) else {}
    model = models.get_model(name, weights=None, **nothing)
    return model, (torch.randn(1, 3, pixels, pixels),)


def _is_segmentation(name: str) -> bool:
    return name.startswith(("deeplab", "fcn", "lraspp"))


def _timm(name: str) -> Example:
    timm = importlib.import_module("timm")
    model = timm.create_model(name, pretrained=False)
    config = model.default_cfg
    _, _, native = config["input_size"]
    convolutions = not any(type(module).__name__.endswith(_ATTENTION) for module in model.modules())
    free = not config.get("fixed_input_size", False) and convolutions
    pixels = min(native, _PIXELS) if free else native
    return model, (torch.randn(1, 3, pixels, pixels),)


#: Classes of networks whose size of images may be fixed.
_ATTENTION = ("Attention", "Attn", "Attention2d", "LayerNorm", "Mixer", "Affine", "SA", "MHSA")


class _Wrapped(nn.Module):
    """A network of transformers that gives its first output."""

    def __init__(self, model: nn.Module, argument: str) -> None:
        super().__init__()
        self.model = model
        self.argument = argument

    def forward(self, x: Tensor) -> Any:
        return self.model(**{self.argument: x})[0]


def _transformers(name: str) -> Example:
    transformers = importlib.import_module("transformers")
    config = transformers.AutoConfig.for_model(name, **_SMALLER.get(name, {}))
    config.use_cache = False
    model = transformers.AutoModel.from_config(config)
    if name in _TEXT:
        tokens = torch.randint(5, 500, (1, _TOKENS))
        if name == "t5":
            return _Wrapped(model.encoder, "input_ids"), (tokens,)
        return _Wrapped(model, "input_ids"), (tokens,)
    pixels = _sides(config)
    return _Wrapped(model, "pixel_values"), (torch.randn(1, 3, *pixels),)


#: Smaller than what the libraries have by default, but alike.
_SMALLER: dict[str, dict[str, Any]] = {
    "albert": {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4},
    "llama": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1000,
    },
    "deberta-v2": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "vocab_size": 1000,
    },
    "yolos": {"image_size": (224, 224), "num_hidden_layers": 4},
}


def _sides(config: Any) -> tuple[int, int]:
    size = getattr(config, "image_size", None) or 224
    if isinstance(size, (list, tuple)):
        height, width = size
        return int(height), int(width)
    return int(size), int(size)


class _First(nn.Module):
    """A detector that gives its first output: one tensor of boxes and scores."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        outputs = self.model(x)
        return outputs[0] if isinstance(outputs, tuple) else outputs


def _ultralytics(name: str) -> Example:
    tasks = importlib.import_module("ultralytics.nn.tasks")
    kind = tasks.DetectionModel
    if name.endswith("-cls"):
        kind = tasks.ClassificationModel
    elif name.endswith("-seg"):
        kind = tasks.SegmentationModel
    model = kind(f"{name}.yaml", verbose=False)
    return _First(model), (torch.randn(1, 3, _PIXELS, _PIXELS),)


_MAKERS: dict[str, Callable[[str], Example]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
    "ultralytics": _ultralytics,
}


@torch.no_grad()
def _randomize(model: nn.Module, generator: torch.Generator) -> None:
    """Statistics of norms differ from channel to channel, and nothing is constant."""
    for module in model.modules():
        mean = getattr(module, "running_mean", None)
        variance = getattr(module, "running_var", None)
        if isinstance(mean, Tensor) and isinstance(variance, Tensor):
            mean.normal_(0, 0.1, generator=generator)
            variance.uniform_(0.5, 2, generator=generator)

    for parameter in model.parameters():
        is_constant = parameter.numel() > 1 and parameter.min() == parameter.max()
        if is_constant:
            noise = torch.randn(parameter.shape, generator=generator)
            middle = float(parameter.flatten()[0])
            # Layer scales of 1e-6 would hide their blocks.
            parameter.copy_(noise * 0.2 + (middle if abs(middle) > 0.1 else 0.0))
