"""Modules without a function, functions without a module, and why."""

from __future__ import annotations

_HOLDS_MODULES = "holds other modules; computes nothing itself"
_HOLDS_PARAMETERS = "holds parameters; computes nothing itself"
_COMPOSED = "composed of other modules, each of which is paired"
_RECURRENT = "its function is torch.{}, outside nn.functional"

MODULES_ALONE: dict[str, str] = {
    "AdaptiveLogSoftmaxWithLoss": _COMPOSED + ": Linear layers in clusters, and a log-softmax",
    "Container": "deprecated name of Module",
    "CrossMapLRN2d": "an autograd function of its own; LocalResponseNorm is the paired one",
    "DataParallel": "copies a module to several GPUs; computes nothing itself",
    "Flatten": "its function is torch.flatten, outside nn.functional",
    "GRU": _RECURRENT.format("gru"),
    "GRUCell": _RECURRENT.format("gru_cell"),
    "Identity": "returns its input; a function would be empty",
    "LSTM": _RECURRENT.format("lstm"),
    "LSTMCell": _RECURRENT.format("lstm_cell"),
    "Module": "base class of all modules",
    "ModuleDict": _HOLDS_MODULES,
    "ModuleList": _HOLDS_MODULES,
    "ParameterDict": _HOLDS_PARAMETERS,
    "ParameterList": _HOLDS_PARAMETERS,
    "RNN": _RECURRENT.format("rnn_tanh or torch.rnn_relu"),
    "RNNBase": "base class of RNN, LSTM and GRU",
    "RNNCell": _RECURRENT.format("rnn_tanh_cell or torch.rnn_relu_cell"),
    "RNNCellBase": "base class of RNNCell, LSTMCell and GRUCell",
    "Sequential": _HOLDS_MODULES + " but call them in turn",
    "SyncBatchNorm": "talks to other processes on other GPUs; in eval mode it is batch_norm",
    "Transformer": _COMPOSED,
    "TransformerDecoder": _COMPOSED,
    "TransformerDecoderLayer": _COMPOSED,
    "TransformerEncoder": _COMPOSED,
    "TransformerEncoderLayer": _COMPOSED,
    "Unflatten": "its function is torch.unflatten, outside nn.functional",
}

_IN_PLACE = "overwrites its input; the module takes inplace=True"
_WITH_INDICES = "what the paired function calls for return_indices=True, as does the module"
_OLD_NAME = "deprecated name of interpolate, which is paired"
_STATELESS = "nothing to keep, and no module was made for it"
_LOW_LEVEL = "matrix product of special hardware, for use inside other code"

FUNCTIONS_ALONE: dict[str, str] = {
    "adaptive_max_pool1d_with_indices": _WITH_INDICES,
    "adaptive_max_pool2d_with_indices": _WITH_INDICES,
    "adaptive_max_pool3d_with_indices": _WITH_INDICES,
    "affine_grid": _STATELESS + ": prepares the grid of grid_sample",
    "assert_int_or_pair": "checks an argument; not an operation",
    "celu_": _IN_PLACE,
    "conv_tbc": "conv1d for the layout (time, batch, channels); the module is Conv1d",
    "elu_": _IN_PLACE,
    "fractional_max_pool2d_with_indices": _WITH_INDICES,
    "fractional_max_pool3d_with_indices": _WITH_INDICES,
    "grid_sample": _STATELESS + ": samples at points that another network computes",
    "grouped_mm": _LOW_LEVEL,
    "gumbel_softmax": _STATELESS + ": draws a sample",
    "hardtanh_": _IN_PLACE,
    "leaky_relu_": _IN_PLACE,
    "max_pool1d_with_indices": _WITH_INDICES,
    "max_pool2d_with_indices": _WITH_INDICES,
    "max_pool3d_with_indices": _WITH_INDICES,
    "native_channel_shuffle": "the kernel of channel_shuffle, which is paired",
    "normalize": _STATELESS + ": divides by a norm",
    "one_hot": _STATELESS + ": whole numbers to vectors of 0 and 1",
    "pdist": _STATELESS + ": distances of all pairs of rows; PairwiseDistance is another thing",
    "relu_": _IN_PLACE,
    "rrelu_": _IN_PLACE,
    "scaled_dot_product_attention": _STATELESS + ": attention without the projections, which are "
    "what MultiheadAttention adds",
    "scaled_grouped_mm": _LOW_LEVEL,
    "scaled_mm": _LOW_LEVEL,
    "selu_": _IN_PLACE,
    "threshold_": _IN_PLACE,
    "upsample": _OLD_NAME,
    "upsample_bilinear": _OLD_NAME,
    "upsample_nearest": _OLD_NAME,
}
