"""The list of the atlas: each module, the call that must equal it, and an input; or the reason.

A pair is text, and the text is what runs: what a table shows is exactly what was checked. In it
``nn`` is ``torch.nn``, ``F`` is ``torch.nn.functional``, and the call may use nothing of the
module but its tensors and its mode: ``m.weight``, ``m.running_mean``, ``m.training``. All numbers
are chosen to matter: with another one, the result would be another.
"""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """A module and its function: three expressions."""

    module: str
    """What makes the module, ``nn.Linear(4, 3)``."""
    function: str
    """The call that equals it, ``F.linear(x, m.weight, m.bias)``."""
    inputs: str
    """The inputs by name, in the module's order: ``x=normal(2, 4)``. See ``make_inputs``."""

    @property
    def module_name(self) -> str:
        """The name in ``torch.nn``."""
        return self.module.removeprefix("nn.").partition("(")[0]

    @property
    def function_name(self) -> str:
        """The name in ``torch.nn.functional``."""
        return self.function.removeprefix("F.").partition("(")[0]


_LINEAR = (
    Pair("nn.Linear(4, 3)", "F.linear(x, m.weight, m.bias)", "x=normal(2, 4)"),
    Pair("nn.LazyLinear(3)", "F.linear(x, m.weight, m.bias)", "x=normal(2, 4)"),
    Pair(
        "nn.Bilinear(4, 5, 3)",
        "F.bilinear(x, y, m.weight, m.bias)",
        "x=normal(2, 4), y=normal(2, 5)",
    ),
    Pair(
        "nn.Embedding(7, 3, padding_idx=2, scale_grad_by_freq=True)",
        "F.embedding(x, m.weight, padding_idx=2, scale_grad_by_freq=True)",
        "x=torch.tensor([[1, 2, 4], [4, 4, 6]])",
    ),
    Pair(
        "nn.EmbeddingBag(7, 3, mode='sum', padding_idx=2, scale_grad_by_freq=True)",
        "F.embedding_bag(x, m.weight, offsets, mode='sum', padding_idx=2, scale_grad_by_freq=True)",
        "x=torch.tensor([1, 2, 4, 4, 4, 6]), offsets=torch.tensor([0, 3])",
    ),
)

_CONVOLUTION = (
    Pair(
        "nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)",
        "F.conv1d(x, m.weight, m.bias, stride=2, padding=1, dilation=2, groups=2)",
        "x=normal(2, 4, 12)",
    ),
    Pair(
        "nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)",
        "F.conv2d(x, m.weight, m.bias, stride=2, padding=1, dilation=2, groups=2)",
        "x=normal(2, 4, 12, 9)",
    ),
    Pair(
        "nn.Conv3d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)",
        "F.conv3d(x, m.weight, m.bias, stride=2, padding=1, dilation=2, groups=2)",
        "x=normal(2, 4, 12, 9, 8)",
    ),
    Pair(
        "nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2)",
        "F.conv_transpose1d("
        "x, m.weight, m.bias, stride=2, padding=1, output_padding=1, groups=2, dilation=2)",
        "x=normal(2, 4, 5)",
    ),
    Pair(
        "nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2)",
        "F.conv_transpose2d("
        "x, m.weight, m.bias, stride=2, padding=1, output_padding=1, groups=2, dilation=2)",
        "x=normal(2, 4, 5, 4)",
    ),
    Pair(
        "nn.ConvTranspose3d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2)",
        "F.conv_transpose3d("
        "x, m.weight, m.bias, stride=2, padding=1, output_padding=1, groups=2, dilation=2)",
        "x=normal(2, 4, 5, 4, 3)",
    ),
    Pair(
        "nn.LazyConv1d(6, 3, padding=1)",
        "F.conv1d(x, m.weight, m.bias, padding=1)",
        "x=normal(2, 4, 8)",
    ),
    Pair(
        "nn.LazyConv2d(6, 3, padding=1)",
        "F.conv2d(x, m.weight, m.bias, padding=1)",
        "x=normal(2, 4, 8, 6)",
    ),
    Pair(
        "nn.LazyConv3d(6, 3, padding=1)",
        "F.conv3d(x, m.weight, m.bias, padding=1)",
        "x=normal(2, 4, 8, 6, 5)",
    ),
    Pair(
        "nn.LazyConvTranspose1d(6, 3, stride=2)",
        "F.conv_transpose1d(x, m.weight, m.bias, stride=2)",
        "x=normal(2, 4, 5)",
    ),
    Pair(
        "nn.LazyConvTranspose2d(6, 3, stride=2)",
        "F.conv_transpose2d(x, m.weight, m.bias, stride=2)",
        "x=normal(2, 4, 5, 4)",
    ),
    Pair(
        "nn.LazyConvTranspose3d(6, 3, stride=2)",
        "F.conv_transpose3d(x, m.weight, m.bias, stride=2)",
        "x=normal(2, 4, 5, 4, 3)",
    ),
    Pair(
        "nn.Unfold(2, dilation=2, padding=1, stride=2)",
        "F.unfold(x, 2, dilation=2, padding=1, stride=2)",
        "x=normal(2, 3, 6, 7)",
    ),
    Pair(
        "nn.Fold((6, 7), 2, dilation=2, padding=1, stride=2)",
        "F.fold(x, (6, 7), 2, dilation=2, padding=1, stride=2)",
        "x=normal(2, 12, 12)",
    ),
)

_POOLING = (
    Pair(
        "nn.MaxPool1d(3, stride=2, padding=1, dilation=2)",
        "F.max_pool1d(x, 3, stride=2, padding=1, dilation=2)",
        "x=normal(2, 3, 11)",
    ),
    Pair(
        "nn.MaxPool2d(3, stride=2, padding=1, dilation=2)",
        "F.max_pool2d(x, 3, stride=2, padding=1, dilation=2)",
        "x=normal(2, 3, 11, 9)",
    ),
    Pair(
        "nn.MaxPool3d(3, stride=2, padding=1, dilation=2)",
        "F.max_pool3d(x, 3, stride=2, padding=1, dilation=2)",
        "x=normal(2, 3, 11, 9, 7)",
    ),
    Pair(
        "nn.MaxUnpool1d(2, stride=3)",
        "F.max_unpool1d(x, indices, 2, stride=3)",
        "x=normal(2, 3, 4), indices=3 * torch.arange(4).expand(2, 3, 4)",
    ),
    Pair(
        "nn.MaxUnpool2d(2, stride=3)",
        "F.max_unpool2d(x, indices, 2, stride=3)",
        "x=normal(2, 3, 4, 4), indices=3 * torch.arange(16).reshape(4, 4).expand(2, 3, 4, 4)",
    ),
    Pair(
        "nn.MaxUnpool3d(2, stride=3)",
        "F.max_unpool3d(x, indices, 2, stride=3)",
        "x=normal(2, 2, 2, 2), indices=3 * torch.arange(8).reshape(2, 2, 2).expand(2, 2, 2, 2)",
    ),
    Pair(
        "nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False)",
        "F.avg_pool1d(x, 3, stride=2, padding=1, count_include_pad=False)",
        "x=normal(2, 3, 9)",
    ),
    Pair(
        "nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)",
        "F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)",
        "x=normal(2, 3, 9, 7)",
    ),
    Pair(
        "nn.AvgPool3d(3, stride=2, padding=1, count_include_pad=False)",
        "F.avg_pool3d(x, 3, stride=2, padding=1, count_include_pad=False)",
        "x=normal(2, 3, 9, 7, 5)",
    ),
    Pair(
        "nn.LPPool1d(3, 2, stride=3)",
        "F.lp_pool1d(x, 3, 2, stride=3)",
        "x=uniform(2, 3, 11)",
    ),
    Pair(
        "nn.LPPool2d(3, 2, stride=3)",
        "F.lp_pool2d(x, 3, 2, stride=3)",
        "x=uniform(2, 3, 11, 8)",
    ),
    Pair(
        "nn.LPPool3d(3, 2, stride=3)",
        "F.lp_pool3d(x, 3, 2, stride=3)",
        "x=uniform(2, 3, 11, 8, 8)",
    ),
    Pair(
        "nn.FractionalMaxPool2d(3, output_size=(4, 5))",
        "F.fractional_max_pool2d(x, 3, output_size=(4, 5))",
        "x=normal(2, 3, 11, 12)",
    ),
    Pair(
        "nn.FractionalMaxPool3d(3, output_size=(4, 5, 3))",
        "F.fractional_max_pool3d(x, 3, output_size=(4, 5, 3))",
        "x=normal(2, 3, 11, 12, 8)",
    ),
    Pair(
        "nn.AdaptiveAvgPool1d(3)",
        "F.adaptive_avg_pool1d(x, 3)",
        "x=normal(2, 3, 7)",
    ),
    Pair(
        "nn.AdaptiveAvgPool2d((3, 2))",
        "F.adaptive_avg_pool2d(x, (3, 2))",
        "x=normal(2, 3, 7, 5)",
    ),
    Pair(
        "nn.AdaptiveAvgPool3d((3, 2, 4))",
        "F.adaptive_avg_pool3d(x, (3, 2, 4))",
        "x=normal(2, 3, 7, 5, 6)",
    ),
    Pair(
        "nn.AdaptiveMaxPool1d(3)",
        "F.adaptive_max_pool1d(x, 3)",
        "x=normal(2, 3, 7)",
    ),
    Pair(
        "nn.AdaptiveMaxPool2d((3, 2))",
        "F.adaptive_max_pool2d(x, (3, 2))",
        "x=normal(2, 3, 7, 5)",
    ),
    Pair(
        "nn.AdaptiveMaxPool3d((3, 2, 4))",
        "F.adaptive_max_pool3d(x, (3, 2, 4))",
        "x=normal(2, 3, 7, 5, 6)",
    ),
)

_PADDING = (
    Pair("nn.ConstantPad1d((2, 1), 0.5)", "F.pad(x, (2, 1), value=0.5)", "x=normal(2, 3, 5)"),
    Pair(
        "nn.ConstantPad2d((2, 1, 3, 4), 0.5)",
        "F.pad(x, (2, 1, 3, 4), value=0.5)",
        "x=normal(2, 3, 5, 6)",
    ),
    Pair(
        "nn.ConstantPad3d((2, 1, 3, 4, 1, 2), 0.5)",
        "F.pad(x, (2, 1, 3, 4, 1, 2), value=0.5)",
        "x=normal(2, 3, 5, 6, 4)",
    ),
    Pair("nn.ZeroPad1d((2, 1))", "F.pad(x, (2, 1))", "x=normal(2, 3, 5)"),
    Pair("nn.ZeroPad2d((2, 1, 3, 4))", "F.pad(x, (2, 1, 3, 4))", "x=normal(2, 3, 5, 6)"),
    Pair(
        "nn.ZeroPad3d((2, 1, 3, 4, 1, 2))",
        "F.pad(x, (2, 1, 3, 4, 1, 2))",
        "x=normal(2, 3, 5, 6, 4)",
    ),
    Pair("nn.ReflectionPad1d((2, 1))", "F.pad(x, (2, 1), mode='reflect')", "x=normal(2, 3, 5)"),
    Pair(
        "nn.ReflectionPad2d((2, 1, 3, 4))",
        "F.pad(x, (2, 1, 3, 4), mode='reflect')",
        "x=normal(2, 3, 6, 6)",
    ),
    Pair(
        "nn.ReflectionPad3d((2, 1, 3, 4, 1, 2))",
        "F.pad(x, (2, 1, 3, 4, 1, 2), mode='reflect')",
        "x=normal(2, 3, 6, 6, 4)",
    ),
    Pair("nn.ReplicationPad1d((2, 1))", "F.pad(x, (2, 1), mode='replicate')", "x=normal(2, 3, 5)"),
    Pair(
        "nn.ReplicationPad2d((2, 1, 3, 4))",
        "F.pad(x, (2, 1, 3, 4), mode='replicate')",
        "x=normal(2, 3, 6, 6)",
    ),
    Pair(
        "nn.ReplicationPad3d((2, 1, 3, 4, 1, 2))",
        "F.pad(x, (2, 1, 3, 4, 1, 2), mode='replicate')",
        "x=normal(2, 3, 6, 6, 4)",
    ),
    Pair("nn.CircularPad1d((2, 1))", "F.pad(x, (2, 1), mode='circular')", "x=normal(2, 3, 5)"),
    Pair(
        "nn.CircularPad2d((2, 1, 3, 4))",
        "F.pad(x, (2, 1, 3, 4), mode='circular')",
        "x=normal(2, 3, 6, 6)",
    ),
    Pair(
        "nn.CircularPad3d((2, 1, 3, 4, 1, 2))",
        "F.pad(x, (2, 1, 3, 4, 1, 2), mode='circular')",
        "x=normal(2, 3, 6, 6, 4)",
    ),
)

_ACTIVATION = (
    Pair("nn.ReLU()", "F.relu(x)", "x=normal(4, 5)"),
    Pair("nn.ReLU6()", "F.relu6(x)", "x=4 * normal(4, 5)"),
    Pair("nn.LeakyReLU(0.1)", "F.leaky_relu(x, 0.1)", "x=normal(4, 5)"),
    Pair("nn.PReLU(3)", "F.prelu(x, m.weight)", "x=normal(4, 3, 5)"),
    Pair("nn.RReLU(0.1, 0.6)", "F.rrelu(x, 0.1, 0.6, training=m.training)", "x=normal(4, 5)"),
    Pair("nn.ELU(0.7)", "F.elu(x, 0.7)", "x=normal(4, 5)"),
    Pair("nn.CELU(0.7)", "F.celu(x, 0.7)", "x=normal(4, 5)"),
    Pair("nn.SELU()", "F.selu(x)", "x=normal(4, 5)"),
    Pair("nn.GELU(approximate='tanh')", "F.gelu(x, approximate='tanh')", "x=normal(4, 5)"),
    Pair("nn.SiLU()", "F.silu(x)", "x=normal(4, 5)"),
    Pair("nn.Mish()", "F.mish(x)", "x=normal(4, 5)"),
    Pair("nn.GLU(1)", "F.glu(x, 1)", "x=normal(4, 6, 2)"),
    Pair("nn.Sigmoid()", "F.sigmoid(x)", "x=normal(4, 5)"),
    Pair("nn.LogSigmoid()", "F.logsigmoid(x)", "x=normal(4, 5)"),
    Pair("nn.Tanh()", "F.tanh(x)", "x=normal(4, 5)"),
    Pair("nn.Tanhshrink()", "F.tanhshrink(x)", "x=normal(4, 5)"),
    Pair("nn.Softplus(2.0, threshold=1.5)", "F.softplus(x, 2.0, threshold=1.5)", "x=normal(4, 5)"),
    Pair("nn.Softsign()", "F.softsign(x)", "x=normal(4, 5)"),
    Pair("nn.Softshrink(0.3)", "F.softshrink(x, 0.3)", "x=normal(4, 5)"),
    Pair("nn.Hardshrink(0.3)", "F.hardshrink(x, 0.3)", "x=normal(4, 5)"),
    Pair("nn.Hardsigmoid()", "F.hardsigmoid(x)", "x=3 * normal(4, 5)"),
    Pair("nn.Hardswish()", "F.hardswish(x)", "x=3 * normal(4, 5)"),
    Pair("nn.Hardtanh(-0.5, 0.7)", "F.hardtanh(x, -0.5, 0.7)", "x=normal(4, 5)"),
    Pair("nn.Threshold(0.1, 0.7)", "F.threshold(x, 0.1, 0.7)", "x=normal(4, 5)"),
    Pair("nn.Softmax(dim=1)", "F.softmax(x, dim=1)", "x=normal(4, 5, 3)"),
    Pair("nn.Softmax2d()", "F.softmax(x, dim=-3)", "x=normal(2, 4, 5, 3)"),
    Pair("nn.LogSoftmax(dim=1)", "F.log_softmax(x, dim=1)", "x=normal(4, 5, 3)"),
    Pair("nn.Softmin(dim=1)", "F.softmin(x, dim=1)", "x=normal(4, 5, 3)"),
)

_ATTENTION = (
    Pair(
        "nn.MultiheadAttention(6, 2, dropout=0.3, add_bias_kv=True, add_zero_attn=True)",
        "F.multi_head_attention_forward(query, key, value, 6, 2, "
        "m.in_proj_weight, m.in_proj_bias, m.bias_k, m.bias_v, True, 0.3, "
        "m.out_proj.weight, m.out_proj.bias, training=m.training)",
        "query=normal(3, 2, 6), key=normal(4, 2, 6), value=normal(4, 2, 6)",
    ),
)

_BATCH_NORM = (
    "F.batch_norm(x, m.running_mean, m.running_var, m.weight, m.bias, "
    "training=m.training, momentum=0.3, eps=0.01)"
)
_INSTANCE_NORM = (
    "F.instance_norm(x, m.running_mean, m.running_var, m.weight, m.bias, "
    "use_input_stats=m.training, momentum=0.3, eps=0.01)"
)
_TRACKED = "momentum=0.3, eps=0.01"
_INSTANCE = f"affine=True, track_running_stats=True, {_TRACKED}"

_NORMALIZATION = (
    Pair(f"nn.BatchNorm1d(3, {_TRACKED})", _BATCH_NORM, "x=normal(4, 3)"),
    Pair(f"nn.BatchNorm2d(3, {_TRACKED})", _BATCH_NORM, "x=normal(4, 3, 2, 5)"),
    Pair(f"nn.BatchNorm3d(3, {_TRACKED})", _BATCH_NORM, "x=normal(4, 3, 2, 5, 2)"),
    Pair(f"nn.LazyBatchNorm1d({_TRACKED})", _BATCH_NORM, "x=normal(4, 3)"),
    Pair(f"nn.LazyBatchNorm2d({_TRACKED})", _BATCH_NORM, "x=normal(4, 3, 2, 5)"),
    Pair(f"nn.LazyBatchNorm3d({_TRACKED})", _BATCH_NORM, "x=normal(4, 3, 2, 5, 2)"),
    Pair(f"nn.InstanceNorm1d(3, {_INSTANCE})", _INSTANCE_NORM, "x=normal(4, 3, 5)"),
    Pair(f"nn.InstanceNorm2d(3, {_INSTANCE})", _INSTANCE_NORM, "x=normal(4, 3, 2, 5)"),
    Pair(f"nn.InstanceNorm3d(3, {_INSTANCE})", _INSTANCE_NORM, "x=normal(4, 3, 2, 5, 2)"),
    Pair(f"nn.LazyInstanceNorm1d({_INSTANCE})", _INSTANCE_NORM, "x=normal(4, 3, 5)"),
    Pair(f"nn.LazyInstanceNorm2d({_INSTANCE})", _INSTANCE_NORM, "x=normal(4, 3, 2, 5)"),
    Pair(f"nn.LazyInstanceNorm3d({_INSTANCE})", _INSTANCE_NORM, "x=normal(4, 3, 2, 5, 2)"),
    Pair(
        "nn.LayerNorm((3, 5), eps=0.01)",
        "F.layer_norm(x, (3, 5), m.weight, m.bias, eps=0.01)",
        "x=normal(4, 3, 5)",
    ),
    Pair(
        "nn.RMSNorm((3, 5), eps=0.01)",
        "F.rms_norm(x, (3, 5), m.weight, eps=0.01)",
        "x=normal(4, 3, 5)",
    ),
    Pair(
        "nn.GroupNorm(2, 6, eps=0.01)",
        "F.group_norm(x, 2, m.weight, m.bias, eps=0.01)",
        "x=normal(4, 6, 5)",
    ),
    Pair(
        "nn.LocalResponseNorm(3, alpha=0.5, beta=0.6, k=1.5)",
        "F.local_response_norm(x, 3, alpha=0.5, beta=0.6, k=1.5)",
        "x=normal(4, 6, 5)",
    ),
)

_DROPOUT = (
    Pair("nn.Dropout(0.3)", "F.dropout(x, 0.3, training=m.training)", "x=normal(6, 7)"),
    Pair("nn.Dropout1d(0.3)", "F.dropout1d(x, 0.3, training=m.training)", "x=normal(6, 7, 3)"),
    Pair("nn.Dropout2d(0.3)", "F.dropout2d(x, 0.3, training=m.training)", "x=normal(6, 7, 3, 2)"),
    Pair(
        "nn.Dropout3d(0.3)", "F.dropout3d(x, 0.3, training=m.training)", "x=normal(6, 7, 3, 2, 2)"
    ),
    Pair("nn.AlphaDropout(0.3)", "F.alpha_dropout(x, 0.3, training=m.training)", "x=normal(6, 7)"),
    Pair(
        "nn.FeatureAlphaDropout(0.3)",
        "F.feature_alpha_dropout(x, 0.3, training=m.training)",
        "x=normal(6, 7, 3)",
    ),
)

_SHAPE = (
    Pair("nn.ChannelShuffle(2)", "F.channel_shuffle(x, 2)", "x=normal(2, 6, 3, 2)"),
    Pair("nn.PixelShuffle(2)", "F.pixel_shuffle(x, 2)", "x=normal(2, 8, 3, 2)"),
    Pair("nn.PixelUnshuffle(2)", "F.pixel_unshuffle(x, 2)", "x=normal(2, 3, 6, 4)"),
    Pair(
        "nn.Upsample(scale_factor=1.5, mode='bicubic', align_corners=True)",
        "F.interpolate(x, scale_factor=1.5, mode='bicubic', align_corners=True)",
        "x=normal(2, 3, 4, 6)",
    ),
    Pair(
        "nn.UpsamplingNearest2d(scale_factor=2)",
        "F.interpolate(x, scale_factor=2)",
        "x=normal(2, 3, 4, 5)",
    ),
    Pair(
        "nn.UpsamplingBilinear2d(scale_factor=2)",
        "F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)",
        "x=normal(2, 3, 4, 5)",
    ),
)

_DISTANCE = (
    Pair(
        "nn.CosineSimilarity(dim=2, eps=1.5)",
        "F.cosine_similarity(x, y, dim=2, eps=1.5)",
        "x=normal(2, 3, 4), y=normal(2, 3, 4)",
    ),
    Pair(
        "nn.PairwiseDistance(p=3.0, eps=0.1, keepdim=True)",
        "F.pairwise_distance(x, y, p=3.0, eps=0.1, keepdim=True)",
        "x=normal(4, 3), y=normal(4, 3)",
    ),
)

_SIGNS = "torch.tensor([1, -1, -1, 1, -1])"

_LOSS = (
    Pair(
        "nn.L1Loss(reduction='sum')",
        "F.l1_loss(x, target, reduction='sum')",
        "x=normal(4, 3), target=normal(4, 3)",
    ),
    Pair(
        "nn.MSELoss(reduction='sum')",
        "F.mse_loss(x, target, reduction='sum')",
        "x=normal(4, 3), target=normal(4, 3)",
    ),
    Pair(
        "nn.SmoothL1Loss(reduction='sum', beta=0.7)",
        "F.smooth_l1_loss(x, target, reduction='sum', beta=0.7)",
        "x=normal(4, 3), target=normal(4, 3)",
    ),
    Pair(
        "nn.HuberLoss(reduction='sum', delta=0.7)",
        "F.huber_loss(x, target, reduction='sum', delta=0.7)",
        "x=normal(4, 3), target=normal(4, 3)",
    ),
    Pair(
        "nn.CrossEntropyLoss(weight=positive(3), ignore_index=1, label_smoothing=0.1)",
        "F.cross_entropy(x, target, weight=m.weight, ignore_index=1, label_smoothing=0.1)",
        "x=normal(6, 3), target=torch.tensor([0, 1, 2, 2, 0, 2])",
    ),
    Pair(
        "nn.LinearCrossEntropyLoss(4, 3, bias=True, weight=positive(3), ignore_index=1, "
        "label_smoothing=0.1)",
        "F.linear_cross_entropy(x, m.linear.weight, target, linear_bias=m.linear.bias, "
        "weight=m.weight, ignore_index=1, label_smoothing=0.1)",
        "x=normal(6, 4), target=torch.tensor([0, 1, 2, 2, 0, 2])",
    ),
    Pair(
        "nn.NLLLoss(weight=positive(3), ignore_index=1)",
        "F.nll_loss(x, target, weight=m.weight, ignore_index=1)",
        "x=normal(6, 3), target=torch.tensor([0, 1, 2, 2, 0, 2])",
    ),
    Pair(
        "nn.NLLLoss2d(weight=positive(3), ignore_index=1)",
        "F.nll_loss(x, target, weight=m.weight, ignore_index=1)",
        "x=normal(2, 3, 2, 2), target=torch.tensor([[[0, 1], [2, 2]], [[0, 2], [1, 0]]])",
    ),
    Pair(
        "nn.PoissonNLLLoss(log_input=False, full=True, eps=0.1)",
        "F.poisson_nll_loss(x, target, log_input=False, full=True, eps=0.1)",
        "x=uniform(4, 3), target=torch.arange(1.0, 13.0).reshape(4, 3)",
    ),
    Pair(
        "nn.GaussianNLLLoss(full=True, eps=0.5)",
        "F.gaussian_nll_loss(x, target, var, full=True, eps=0.5)",
        "x=normal(4, 3), target=normal(4, 3), var=uniform(4, 3)",
    ),
    Pair(
        "nn.KLDivLoss(reduction='batchmean', log_target=True)",
        "F.kl_div(x, target, reduction='batchmean', log_target=True)",
        "x=normal(4, 3), target=normal(4, 3)",
    ),
    Pair(
        "nn.BCELoss(weight=positive(3))",
        "F.binary_cross_entropy(x, target, weight=m.weight)",
        "x=uniform(4, 3), target=uniform(4, 3)",
    ),
    Pair(
        "nn.BCEWithLogitsLoss(weight=positive(3), pos_weight=positive(3))",
        "F.binary_cross_entropy_with_logits(x, target, weight=m.weight, pos_weight=m.pos_weight)",
        "x=normal(4, 3), target=uniform(4, 3)",
    ),
    Pair(
        "nn.HingeEmbeddingLoss(margin=0.7)",
        "F.hinge_embedding_loss(x, target, margin=0.7)",
        f"x=uniform(5), target={_SIGNS}",
    ),
    Pair(
        "nn.MultiLabelMarginLoss(reduction='sum')",
        "F.multilabel_margin_loss(x, target, reduction='sum')",
        "x=normal(2, 4), target=torch.tensor([[3, 0, -1, 1], [2, -1, 0, 0]])",
    ),
    Pair(
        "nn.MultiLabelSoftMarginLoss(weight=positive(3))",
        "F.multilabel_soft_margin_loss(x, target, weight=m.weight)",
        "x=normal(4, 3), target=uniform(4, 3)",
    ),
    Pair(
        "nn.MultiMarginLoss(p=2, margin=0.7, weight=positive(3))",
        "F.multi_margin_loss(x, target, p=2, margin=0.7, weight=m.weight)",
        "x=normal(4, 3), target=torch.tensor([0, 2, 1, 2])",
    ),
    Pair(
        "nn.SoftMarginLoss(reduction='sum')",
        "F.soft_margin_loss(x, target, reduction='sum')",
        f"x=normal(5), target={_SIGNS}",
    ),
    Pair(
        "nn.CosineEmbeddingLoss(margin=-0.5)",
        "F.cosine_embedding_loss(x, y, target, margin=-0.5)",
        f"x=normal(5, 3), y=normal(5, 3), target={_SIGNS}",
    ),
    Pair(
        "nn.MarginRankingLoss(margin=0.7)",
        "F.margin_ranking_loss(x, y, target, margin=0.7)",
        f"x=normal(5), y=normal(5), target={_SIGNS}",
    ),
    Pair(
        "nn.TripletMarginLoss(margin=1.5, p=3.0, eps=0.1, swap=True)",
        "F.triplet_margin_loss(anchor, positive, negative, margin=1.5, p=3.0, eps=0.1, swap=True)",
        "anchor=normal(4, 3), positive=normal(4, 3), negative=normal(4, 3)",
    ),
    Pair(
        "nn.TripletMarginWithDistanceLoss(distance_function=F.l1_loss, margin=1.5, swap=True)",
        "F.triplet_margin_with_distance_loss("
        "anchor, positive, negative, distance_function=F.l1_loss, margin=1.5, swap=True)",
        "anchor=normal(4, 3), positive=normal(4, 3), negative=normal(4, 3)",
    ),
    Pair(
        "nn.CTCLoss(blank=2, reduction='sum', zero_infinity=True)",
        "F.ctc_loss(x, target, input_lengths, target_lengths, blank=2, reduction='sum', "
        "zero_infinity=True)",
        "x=normal(6, 2, 4).log_softmax(2), target=torch.tensor([[0, 1, 3], [3, 0, 0]]), "
        "input_lengths=torch.tensor([6, 1]), target_lengths=torch.tensor([3, 2])",
    ),
)

PAIRS: tuple[Pair, ...] = (
    *_LINEAR,
    *_CONVOLUTION,
    *_POOLING,
    *_PADDING,
    *_ACTIVATION,
    *_ATTENTION,
    *_NORMALIZATION,
    *_DROPOUT,
    *_SHAPE,
    *_DISTANCE,
    *_LOSS,
)
