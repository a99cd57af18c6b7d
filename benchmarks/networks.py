"""Networks that others wrote, small and with random weights: what `any_network.py` puts on arrays.

Every entry builds a network and an example as its package wants it: positional inputs in a tuple, or keyword inputs in
a dictionary. Packages are imported when an entry is built; they are none of crossohm's dependencies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

Built = tuple[nn.Module, Any]


@dataclass(frozen=True)
class Entry:
    """A network of the benchmark.

    Attributes:
        name: ``package/network``.
        build: Makes the network and an example.
    """

    name: str
    build: Callable[[], Built]

    @property
    def package(self) -> str:
        """What the network comes from; ``torch`` if it is written here."""
        return self.name.partition("/")[0]


def entries(published: bool = False) -> list[Entry]:
    """All networks, in the order they are measured; or those of published size, batch 1."""
    tables = (
        _PUBLISHED
        if published
        else {
            "timm": _TIMM,
            "torchvision": _TORCHVISION,
            "transformers": _TRANSFORMERS,
            "torch_geometric": _GEOMETRIC,
            "diffusers": _DIFFUSERS,
            "segmentation_models_pytorch": _SEGMENTATION,
            "peft": _PEFT,
            "torch": _OWN,
        }
    )
    return [Entry(f"{package}/{name}", build) for package, table in tables.items() for name, build in table.items()]


def image(side: int, batch: int = 2, channels: int = 3) -> tuple[Tensor]:
    """An example of images."""
    return (torch.randn(batch, channels, side, side),)


def tokens(length: int = 9, batch: int = 2, vocabulary: int = 50) -> Tensor:
    """Token numbers."""
    return torch.randint(2, vocabulary, (batch, length))


# --- timm -------------------------------------------------------------------------------------------------------------


def _timm(name: str, side: int = 64, batch: int = 2, **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        import timm

        return timm.create_model(name, pretrained=False, num_classes=10, **options), image(side, batch)

    return build


def _preactivated(**options: Any) -> Callable[[], Built]:
    def build() -> Built:
        from timm import layers
        from timm.models.resnetv2 import ResNetV2

        given = {name: getattr(layers, kind) for name, kind in options.items()}
        model = ResNetV2(
            [1, 1, 1, 1],
            channels=(128, 128, 256, 256),
            num_classes=10,
            stem_chs=32,
            stem_type="fixed",
            **given,
        )
        return model, image(64)

    return build


def _efficientnet() -> Built:
    from timm.models.efficientnet import _gen_efficientnet

    return _gen_efficientnet("efficientnet_b0", channel_multiplier=0.25, num_classes=10), image(64)


def _mixer() -> Built:
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(10, img_size=64, patch_size=16, num_blocks=2, embed_dim=64), image(64)


def _gmlp() -> Built:
    from timm.layers import GatedMlp
    from timm.models.mlp_mixer import MlpMixer, SpatialGatingBlock

    blocks = {"block_layer": SpatialGatingBlock, "mlp_layer": GatedMlp, "mlp_ratio": 4}
    return MlpMixer(10, img_size=64, patch_size=16, num_blocks=2, embed_dim=64, **blocks), image(64)


def _poolformer() -> Built:
    from timm.models.metaformer import MetaFormer, Pooling

    return MetaFormer(depths=(1, 1, 1, 1), dims=(16, 32, 48, 64), num_classes=10, token_mixers=Pooling), image(64)


_TIMM: dict[str, Callable[[], Built]] = {
    "resnet": _timm("test_resnet"),
    "resnetv2": _preactivated(norm_layer="BatchNormAct2d", conv_layer="create_conv2d"),
    "bit": _preactivated(conv_layer="StdConv2d"),
    "nfnet": _timm("test_nfnet"),
    "byobnet": _timm("test_byobnet"),
    "efficientnet": _timm("test_efficientnet"),
    "efficientnet-evonorm": _timm("test_efficientnet_evos"),
    "efficientnet-b0": _efficientnet,
    "mobilenetv3": _timm("mobilenetv3_small_050"),
    "mobilenetv4": _timm("mobilenetv4_conv_small_050"),
    "ghostnet": _timm("ghostnet_050"),
    "regnety": _timm("regnety_002"),
    "convnext": _timm("test_convnext"),
    "convnextv2": _timm("convnextv2_atto", 64, depths=(1, 1, 1, 1), dims=(16, 32, 48, 64)),
    "vit": _timm("test_vit", 160),
    "vit-relative": _timm("test_vit3", 160),
    "eva02": _timm("eva02_tiny_patch14_224", 56, img_size=56, depth=2, embed_dim=48, num_heads=3),
    "beit": _timm("beit_base_patch16_224", 64, img_size=64, depth=2, embed_dim=48, num_heads=3),
    "swin": _timm(
        "swin_tiny_patch4_window7_224", 56, img_size=56, window_size=7, embed_dim=24, depths=(2, 2), num_heads=(2, 4)
    ),
    "swinv2": _timm(
        "swinv2_tiny_window8_256", 64, img_size=64, window_size=8, embed_dim=24, depths=(2, 2), num_heads=(2, 4)
    ),
    "mixer": _mixer,
    "gmlp": _gmlp,
    "coat": _timm("coat_lite_tiny", 64, img_size=64, embed_dims=(16, 32, 48, 64), serial_depths=(1, 1, 1, 1)),
    "xcit": _timm("xcit_nano_12_p16_224", 64, img_size=64, depth=2, embed_dim=48, num_heads=4),
    "cait": _timm("cait_xxs24_224", 64, img_size=64, depth=2, embed_dim=48, num_heads=4),
    "pvtv2": _timm("pvt_v2_b0", 64, depths=(1, 1, 1, 1)),
    "levit": _timm("levit_128s", 64, img_size=64),
    "mobilevit": _timm("mobilevit_xxs", 64),
    "mambaout": _timm("test_mambaout", 64),
    "poolformer": _poolformer,
    "repvgg": _timm("repvgg_a0", 32),
    "densenet": _timm("densenet121", 64, growth_rate=8, block_config=(2, 2, 2, 2)),
    "hrnet": _timm("hrnet_w18_small", 32),
}


# --- torchvision ------------------------------------------------------------------------------------------------------


def _vision(name: str, side: int = 64, batch: int = 2, **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        import torchvision

        return torchvision.models.get_model(name, weights=None, **options), image(side, batch)

    return build


def _r3d() -> Built:
    from torchvision.models.video.resnet import BasicBlock, BasicStem, Conv3DSimple, VideoResNet

    return VideoResNet(BasicBlock, [Conv3DSimple] * 4, [1, 1, 1, 1], BasicStem, 10), (torch.randn(1, 3, 4, 32, 32),)


def _detection_backbone() -> Built:
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    return resnet_fpn_backbone(backbone_name="resnet18", weights=None), image(64)


def _vision_transformer() -> Built:
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=10), image(32)


_TORCHVISION: dict[str, Callable[[], Built]] = {
    "mobilenet-v2": _vision("mobilenet_v2", width_mult=0.25, num_classes=10),
    "shufflenet": _vision("shufflenet_v2_x0_5", num_classes=10),
    "mnasnet": _vision("mnasnet0_5", num_classes=10),
    "squeezenet": _vision("squeezenet1_1", num_classes=10),
    "r3d": _r3d,
    "detection-backbone": _detection_backbone,
    "segmentation-lraspp": _vision("lraspp_mobilenet_v3_large", weights_backbone=None, num_classes=4),
    "vit": _vision_transformer,
}


# --- transformers -----------------------------------------------------------------------------------------------------

_DECODER: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}


def _hugging(kind: str, example: Callable[[], dict[str, Tensor]] | None = None, **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        import transformers

        model_class = getattr(transformers, kind)
        model = model_class(model_class.config_class(**options))
        return model, {"input_ids": tokens()} if example is None else example()

    return build


def _encoder_decoder() -> dict[str, Tensor]:
    return {"input_ids": tokens(), "decoder_input_ids": tokens(5)}


def _masked() -> dict[str, Tensor]:
    mask = torch.ones(2, 9, dtype=torch.long)
    mask[1, 6:] = 0
    return {"input_ids": tokens(), "attention_mask": mask}


def _pixels(side: int = 32) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"pixel_values": image(side)[0]}


_LLAMA = {**_DECODER, "num_key_value_heads": 2}
_VIT: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
_AUDIO: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 2, 2),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
_TRANSFORMERS: dict[str, Callable[[], Built]] = {
    "gpt2": _hugging("GPT2LMHeadModel", vocab_size=50, n_positions=64, n_embd=32, n_layer=2, n_head=4),
    "gpt-neo": _hugging(
        "GPTNeoForCausalLM",
        vocab_size=50,
        max_position_embeddings=64,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
    ),
    "bert": _hugging("BertForMaskedLM", _masked, **_DECODER),
    "distilbert": _hugging(
        "DistilBertForMaskedLM", _masked, vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=64
    ),
    "albert": _hugging("AlbertForMaskedLM", _masked, embedding_size=16, **_DECODER),
    "deberta": _hugging(
        "DebertaV2ForMaskedLM",
        _masked,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        **_DECODER,
    ),
    "xlnet": _hugging("XLNetLMHeadModel", vocab_size=50, d_model=32, n_layer=2, n_head=4, d_inner=64),
    "t5": _hugging(
        "T5ForConditionalGeneration",
        _encoder_decoder,
        vocab_size=50,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
    ),
    "bart": _hugging(
        "BartForConditionalGeneration",
        _encoder_decoder,
        vocab_size=50,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
    ),
    "llama": _hugging("LlamaForCausalLM", **_LLAMA),
    "qwen3": _hugging("Qwen3ForCausalLM", head_dim=8, **_LLAMA),
    "gemma2": _hugging("Gemma2ForCausalLM", head_dim=8, **_LLAMA),
    "phi": _hugging("PhiForCausalLM", **_DECODER),
    "bloom": _hugging("BloomForCausalLM", vocab_size=50, hidden_size=32, n_layer=2, n_head=4),
    "opt": _hugging(
        "OPTForCausalLM",
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        word_embed_proj_dim=16,
        max_position_embeddings=64,
    ),
    "mixtral": _hugging("MixtralForCausalLM", num_local_experts=4, num_experts_per_tok=2, **_LLAMA),
    "qwen-moe": _hugging(
        "Qwen2MoeForCausalLM",
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        decoder_sparse_step=1,
        **_LLAMA,
    ),
    "mamba": _hugging("MambaForCausalLM", vocab_size=50, hidden_size=32, state_size=8, num_hidden_layers=2),
    "mamba2": _hugging(
        "Mamba2ForCausalLM",
        vocab_size=50,
        hidden_size=32,
        state_size=8,
        num_hidden_layers=2,
        num_heads=8,
        head_dim=8,
        n_groups=1,
        chunk_size=8,
    ),
    "rwkv": _hugging("RwkvForCausalLM", vocab_size=50, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32),
    "whisper": _hugging(
        "WhisperForConditionalGeneration",
        lambda: {"input_features": torch.randn(1, 16, 32), "decoder_input_ids": tokens(5, 1)},
        vocab_size=50,
        num_mel_bins=16,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_source_positions=16,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=1,
    ),
    "wav2vec2": _hugging("Wav2Vec2ForCTC", lambda: {"input_values": torch.randn(2, 1600)}, **_AUDIO),
    "vit": _hugging("ViTForImageClassification", _pixels(), **_VIT),
    "segformer": _hugging(
        "SegformerForSemanticSegmentation",
        _pixels(64),
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=16,
    ),
}


# --- graphs -----------------------------------------------------------------------------------------------------------


def _graph(kind: str, **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        from torch_geometric.nn import models

        model = getattr(models, kind)(8, 16, 2, 3, **options)
        return model, (torch.randn(12, 8), torch.randint(0, 12, (2, 40)))

    return build


class _Relational(nn.Module):
    """Layers whose weights are stacks, a stack for every relation."""

    def __init__(self) -> None:
        super().__init__()
        from torch_geometric.nn import GatedGraphConv, RGCNConv, TransformerConv

        self.relational = RGCNConv(8, 16, 3, num_bases=2)
        self.gated = GatedGraphConv(16, 2)
        self.attention = TransformerConv(16, 4, heads=2)

    def forward(self, x: Tensor, edges: Tensor, types: Tensor) -> Tensor:
        x = self.relational(x, edges, types).relu()
        return self.attention(self.gated(x, edges), edges)


def _relational() -> Built:
    return _Relational(), (torch.randn(12, 8), torch.randint(0, 12, (2, 40)), torch.randint(0, 3, (40,)))


_GEOMETRIC: dict[str, Callable[[], Built]] = {
    "gcn": _graph("GCN"),
    "sage": _graph("GraphSAGE"),
    "gin": _graph("GIN", norm="batch_norm"),
    "gat": _graph("GAT", heads=2),
    "relational": _relational,
}


# --- diffusion and segmentation ---------------------------------------------------------------------------------------


def _unet() -> Built:
    from diffusers import UNet2DModel

    model = UNet2DModel(
        sample_size=16,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=8,
    )
    return model, (*image(16), torch.tensor(3))


def _conditioned_unet() -> Built:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=8,
        cross_attention_dim=24,
    )
    return model, (*image(16, channels=4), torch.tensor(3), torch.randn(2, 5, 24))


def _autoencoder() -> Built:
    from diffusers import AutoencoderKL

    return AutoencoderKL(block_out_channels=(16,), norm_num_groups=4, latent_channels=4), image(16)


def _segmentation(kind: str, encoder: str, side: int = 64, batch: int = 2) -> Callable[[], Built]:
    def build() -> Built:
        import segmentation_models_pytorch as smp

        return getattr(smp, kind)(encoder, encoder_weights=None, classes=3), image(side, batch)

    return build


_DIFFUSERS = {"unet": _unet, "unet-conditioned": _conditioned_unet, "autoencoder": _autoencoder}
_SEGMENTATION = {
    "unet": _segmentation("Unet", "timm-mobilenetv3_small_minimal_100"),
    "linknet": _segmentation("Linknet", "mobilenet_v2"),
}


# --- what is done to weights ------------------------------------------------------------------------------------------


def _adapted(base: Callable[[], Built], targets: list[str], **options: Any) -> Callable[[], Built]:
    def build() -> Built:
        from peft import LoraConfig, get_peft_model

        model, example = base()
        config = LoraConfig(r=4, target_modules=targets, init_lora_weights=False, **options)
        return get_peft_model(model, config), example

    return build


_PEFT = {
    "lora-gpt2": _adapted(_TRANSFORMERS["gpt2"], ["c_attn", "c_proj"], fan_in_fan_out=True),
    "lora-vit": _adapted(_TRANSFORMERS["llama"], ["q_proj", "v_proj"]),
    "dora-llama": _adapted(_TRANSFORMERS["llama"], ["q_proj", "v_proj"], use_dora=True),
}


class _Temporal(nn.Module):
    """A block of a temporal convolutional network, Bai et al. 2018, https://arxiv.org/abs/1803.01271."""

    def __init__(self, inputs: int, outputs: int, dilation: int, old: bool) -> None:
        super().__init__()
        normed = torch.nn.utils.weight_norm if old else parametrizations.weight_norm
        self.padding = 2 * dilation
        self.first = normed(nn.Conv1d(inputs, outputs, 3, padding=self.padding, dilation=dilation))
        self.second = normed(nn.Conv1d(outputs, outputs, 3, padding=self.padding, dilation=dilation))
        self.shortcut = nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)[..., : -self.padding].relu()
        y = self.second(y)[..., : -self.padding].relu()
        return (y + self.shortcut(x)).relu()


def _temporal(old: bool) -> Callable[[], Built]:
    def build() -> Built:
        blocks = [_Temporal(inputs, 16, dilation, old) for inputs, dilation in ((4, 1), (16, 2), (16, 4))]
        return nn.Sequential(*blocks), (torch.randn(2, 4, 40),)

    return build


def _pruned() -> Built:
    model, example = _TIMM["resnet"]()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(module, "weight", 0.5)
    return model, example


def _discriminator() -> Built:
    def normed(*arguments: int) -> nn.Module:
        return parametrizations.spectral_norm(nn.Conv2d(*arguments))

    layers = [normed(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), normed(16, 32, 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), parametrizations.spectral_norm(nn.Linear(2048, 1))), image(32)


class _Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embedding, self.recurrent = nn.Embedding(50, 16), kind(16, 32, 2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(64, 50)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(numbers))[0])


def _transformer() -> Built:
    return nn.Transformer(32, 4, 2, 2, 64, batch_first=True), (torch.randn(2, 7, 32), torch.randn(2, 5, 32))


_OWN: dict[str, Callable[[], Built]] = {
    "tcn-weight-norm": _temporal(old=False),
    "tcn-old-weight-norm": _temporal(old=True),
    "pruned": _pruned,
    "spectral-norm": _discriminator,
    "lstm": lambda: (_Recurrent(nn.LSTM), (tokens(),)),
    "gru": lambda: (_Recurrent(nn.GRU), (tokens(),)),
    "transformer": _transformer,
}


# --- published sizes --------------------------------------------------------------------------------------------------


def _sentence(length: int) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"input_ids": tokens(length, 1, 30000)}


def _translated() -> dict[str, Tensor]:
    return {"input_ids": tokens(64, 1, 30000), "decoder_input_ids": tokens(64, 1, 30000)}


_PUBLISHED: dict[str, dict[str, Callable[[], Built]]] = {
    "timm": {
        name: _timm(name, 224, 1)
        for name in (
            "resnet18",
            "resnet50",
            "resnetv2_50x1_bit",
            "densenet121",
            "mobilenetv3_large_100",
            "efficientnet_b0",
            "regnety_008",
            "convnext_tiny",
            "vit_tiny_patch16_224",
            "swin_tiny_patch4_window7_224",
            "mixer_s16_224",
            "poolformer_s12",
        )
    },
    "torchvision": {"mobilenet_v2": _vision("mobilenet_v2", 224, 1), "squeezenet1_1": _vision("squeezenet1_1", 224, 1)},
    "transformers": {
        "bert-base": _hugging("BertForMaskedLM", _sentence(128)),
        "distilbert-base": _hugging("DistilBertForMaskedLM", _sentence(128)),
        "gpt2": _hugging("GPT2LMHeadModel", _sentence(64)),
        "t5-small": _hugging("T5ForConditionalGeneration", _translated, decoder_start_token_id=0),
        "wav2vec2-base": _hugging("Wav2Vec2ForCTC", lambda: {"input_values": torch.randn(1, 16000)}),
        "segformer-b0": _hugging("SegformerForSemanticSegmentation", lambda: {"pixel_values": image(256, 1)[0]}),
    },
    "segmentation_models_pytorch": {"unet-resnet18": _segmentation("Unet", "resnet18", 128, 1)},
}
