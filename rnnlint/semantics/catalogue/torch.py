"""PyTorch."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

ALIASES = {
    "torch.nn.modules.rnn": "torch.nn",
    "torch.nn.modules.loss": "torch.nn",
    "torch.nn.modules.sparse": "torch.nn",
    "torch.nn.modules": "torch.nn",
    "torch.nn.utils.clip_grad": "torch.nn.utils",
    "torch.optim.adam": "torch.optim",
    "torch.optim.sgd": "torch.optim",
    "torch.optim.adamw": "torch.optim",
    "torch.optim.optimizer": "torch.optim",
    "torch.utils.data.dataloader": "torch.utils.data",
    "torch.utils.data.dataset": "torch.utils.data",
    "torch.utils.data.sampler": "torch.utils.data",
    "torch.autograd.variable.Variable": "torch.autograd.Variable",
    "torch.cuda.amp.GradScaler": "torch.amp.GradScaler",
    "torch.cuda.amp.grad_scaler.GradScaler": "torch.amp.GradScaler",
    "torch.cuda.amp.autocast": "torch.amp.autocast",
    "torch.autocast": "torch.amp.autocast",
    "torch.nn.parallel.data_parallel": "torch.nn.parallel",
    "torch.nn.DataParallel": "torch.nn.parallel.DataParallel",
    "torch.nn.parallel.distributed": "torch.nn.parallel",
    "torch.distributed.fsdp.FullyShardedDataParallel": "torch.nn.parallel.FullyShardedDataParallel",
    "torch.linalg.norm": "torch.norm",
    "torch.special": "torch",
}

_LSTM = "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size"
_RNN = "input_size hidden_size num_layers nonlinearity bias batch_first dropout bidirectional"
_CELL = "input_size hidden_size bias nonlinearity"

_CTC = "blank reduction zero_infinity"
_CTC_INPUTS = "log_probs targets input_lengths target_lengths"

_ELEMENTWISE_LAYERS = (
    "Linear LazyLinear Embedding Dropout Dropout1d Dropout2d AlphaDropout LayerNorm BatchNorm1d "
    "ReLU LeakyReLU ELU GELU SiLU Tanh Hardtanh Softplus PReLU Identity SELU Hardsigmoid "
    "InstanceNorm1d GroupNorm"
)
_OTHER_LAYERS = (
    "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d BatchNorm2d BatchNorm3d MaxPool1d "
    "MaxPool2d AvgPool1d AvgPool2d AdaptiveAvgPool1d AdaptiveMaxPool1d AdaptiveAvgPool2d Flatten "
    "Unflatten Bilinear EmbeddingBag MultiheadAttention TransformerEncoder TransformerEncoderLayer "
    "TransformerDecoder TransformerDecoderLayer Transformer ZeroPad2d Upsample CosineSimilarity "
    "PairwiseDistance Parameter ParameterList ParameterDict Fold Unfold PixelShuffle"
)
_LOSSES = (
    "CrossEntropyLoss NLLLoss MSELoss L1Loss SmoothL1Loss HuberLoss BCELoss BCEWithLogitsLoss "
    "CTCLoss KLDivLoss PoissonNLLLoss GaussianNLLLoss MultiLabelSoftMarginLoss "
    "MultiLabelMarginLoss MultiMarginLoss HingeEmbeddingLoss CosineEmbeddingLoss SoftMarginLoss "
    "MarginRankingLoss TripletMarginLoss AdaptiveLogSoftmaxWithLoss"
)
_FUNCTIONAL_LOSSES = {
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "ctc_loss": "CTCLoss",
    "kl_div": "KLDivLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
}
_LOSS_OPTIONS = "weight size_average ignore_index reduce reduction"
_OPTIMIZERS = (
    "Adam AdamW SGD RMSprop Adagrad Adadelta Adamax ASGD Rprop NAdam RAdam SparseAdam LBFGS "
    "Adafactor Muon ?"
)
_SCHEDULERS = (
    "StepLR MultiStepLR ExponentialLR CosineAnnealingLR CosineAnnealingWarmRestarts LambdaLR "
    "MultiplicativeLR ConstantLR LinearLR PolynomialLR CyclicLR OneCycleLR SequentialLR "
    "ChainedScheduler ReduceLROnPlateau LRScheduler _LRScheduler ?"
)
_SCHEDULES_BY_NUMBERS = {
    "StepLR": "optimizer step_size gamma",
    "MultiStepLR": "optimizer milestones gamma",
    "CyclicLR": "optimizer base_lr max_lr step_size_up step_size_down",
    "OneCycleLR": "optimizer max_lr total_steps epochs steps_per_epoch",
}
_TENSOR_FUNCTIONS = (
    "add sub mul div matmul mm bmm sum mean max min sort argsort topk transpose permute squeeze "
    "unsqueeze reshape flatten tanh relu exp log abs sqrt clamp clip round floor pow eq ne gt lt "
    "ge le logical_not softmax log_softmax sigmoid gather masked_select index_select split chunk "
    "unbind flip roll t argmax norm std var logsumexp prod any all detach numel median "
    "masked_fill cumsum repeat_interleave movedim swapaxes narrow"
)
_FRESH = (
    "eye zeros ones rand randn empty full randint randperm arange zeros_like ones_like rand_like "
    "randn_like"
)
_INITIALISERS = (
    "uniform_ normal_ constant_ ones_ zeros_ eye_ dirac_ xavier_uniform_ xavier_normal_ "
    "kaiming_uniform_ kaiming_normal_ trunc_normal_ orthogonal_ sparse_"
)

TABLE: Table = {
    "torch.nn.LSTM": Entry("layer", "LSTM", tuple(_LSTM.split())),
    "torch.nn.GRU": Entry("layer", "GRU", tuple(_LSTM.split())),
    "torch.nn.RNN": Entry("layer", "RNN", tuple(_RNN.split())),
    "torch.nn.?": Entry("any_layer", "?", tuple(_LSTM.split())),
    **entries("layer", "LSTMCell GRUCell RNNCell", "torch.nn.", _CELL),
    **entries("module_base", "Module RNNBase", "torch.nn."),
    "torch.nn.modules.Module": Entry("module_base", "Module"),
    "torch.jit.ScriptModule": Entry("module_base", "Module"),
    **entries("layer", _ELEMENTWISE_LAYERS, "torch.nn.", "in_features out_features"),
    "torch.nn.Embedding": Entry(
        "layer", "Embedding", ("num_embeddings", "embedding_dim", "padding_idx")
    ),
    "torch.nn.Embedding.from_pretrained": Entry(
        "layer", "Embedding", ("embeddings", "freeze", "padding_idx")
    ),
    **entries("layer", _OTHER_LAYERS, "torch.nn."),
    **entries(
        "layer", "Softmax LogSoftmax Softmin Sigmoid LogSigmoid Softmax2d", "torch.nn.", "dim"
    ),
    **entries("layer", _LOSSES, "torch.nn.", _LOSS_OPTIONS),
    "torch.nn.CTCLoss": Entry("layer", "CTCLoss", tuple(_CTC.split())),
    **entries("container", "Sequential ModuleList ModuleDict", "torch.nn."),
    **entries(
        "wrapper",
        "DataParallel DistributedDataParallel FullyShardedDataParallel",
        "torch.nn.parallel.",
    ),
    "torch.nn.Parameter": Entry("parameter", "Parameter", ("data", "requires_grad")),
    "torch.compile": Entry("same"),
    "torch.jit.script": Entry("same"),
    "torch.autograd.Variable": Entry("same"),
    "torch.nn.utils.weight_norm": Entry("same"),
    "torch.nn.utils.spectral_norm": Entry("same"),
    "torch.nn.utils.parametrizations.weight_norm": Entry("same"),
    "torch.nn.utils.parametrizations.orthogonal": Entry("orthogonal_parametrization"),
    # sequences
    "torch.nn.utils.rnn.pad_sequence": Entry(
        "pad_sequence", "", ("sequences", "batch_first", "padding_value", "padding_side")
    ),
    "torch.nn.utils.rnn.pack_padded_sequence": Entry(
        "pack", "", ("input", "lengths", "batch_first", "enforce_sorted")
    ),
    "torch.nn.utils.rnn.pad_packed_sequence": Entry(
        "unpack", "", ("sequence", "batch_first", "padding_value", "total_length")
    ),
    "torch.nn.utils.rnn.pack_sequence": Entry("pack_list", "", ("sequences", "enforce_sorted")),
    "torch.nn.utils.rnn.PackedSequence": Entry("packed", "", ("data", "batch_sizes")),
    "torch.nn.utils.rnn.unpad_sequence": Entry("unknown"),
    "torch.nn.functional.pad": Entry("pad", "", ("input", "pad", "mode", "value")),
    # functional layers
    **entries(
        "method_of_first",
        "softmax log_softmax sigmoid tanh relu leaky_relu elu gelu silu softplus normalize",
        "torch.nn.functional.",
    ),
    **{
        f"torch.nn.functional.{name}": Entry(
            "functional_dropout", "dropout", ("input", "p", "training", "inplace")
        )
        for name in (
            "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout".split()
        )
    },
    **{
        f"torch.nn.functional.{name}": Entry(
            "loss", kind, ("input", "target", *_LOSS_OPTIONS.split())
        )
        for name, kind in _FUNCTIONAL_LOSSES.items()
    },
    "torch.nn.functional.ctc_loss": Entry("loss", "CTCLoss", (*_CTC_INPUTS.split(), *_CTC.split())),
    "torch.nn.functional.embedding": Entry("looked_up"),
    "torch.nn.functional.linear": Entry("linear"),
    "torch.nn.functional.layer_norm": Entry("elementwise"),
    # tensors
    **entries("method_of_first", _TENSOR_FUNCTIONS, "torch."),
    **entries("fresh", _FRESH, "torch."),
    **entries(
        "tensor",
        "tensor as_tensor from_numpy Tensor LongTensor FloatTensor IntTensor ByteTensor BoolTensor "
        "DoubleTensor asarray HalfTensor",
        "torch.",
    ),
    **entries(
        "device_tensor", "FloatTensor LongTensor ByteTensor BoolTensor IntTensor", "torch.cuda."
    ),
    **entries("tests_finiteness", "isnan isinf isfinite", "torch."),
    "torch.cat": Entry("cat", "", ("tensors", "dim")),
    "torch.concat": Entry("cat", "", ("tensors", "dim")),
    "torch.concatenate": Entry("cat", "", ("tensors", "dim")),
    "torch.hstack": Entry("cat", "", ("tensors",)),
    "torch.stack": Entry("stack", "", ("tensors", "dim")),
    "torch.vstack": Entry("stack", "", ("tensors",)),
    "torch.where": Entry("where", "", ("condition", "input", "other")),
    "torch.device": Entry("device"),
    "torch.save": Entry("nothing"),
    "torch.load": Entry("unknown"),
    "torch.manual_seed": Entry("nothing"),
    "torch.cuda.is_available": Entry("unknown"),
    "torch.no_grad": Entry("no_grad", "no_grad"),
    "torch.inference_mode": Entry("no_grad", "no_grad"),
    "torch.autograd.no_grad": Entry("no_grad", "no_grad"),
    "torch.set_grad_enabled": Entry("set_grad_enabled"),
    "torch.enable_grad": Entry("context"),
    "torch.amp.autocast": Entry("context"),
    "torch.autograd.set_detect_anomaly": Entry("context"),
    # training
    **entries("optimizer", _OPTIMIZERS, "torch.optim.", "params lr"),
    **entries("scheduler", _SCHEDULERS, "torch.optim.lr_scheduler.", "optimizer"),
    **{
        f"torch.optim.lr_scheduler.{name}": Entry("scheduler", name, tuple(parameters.split()))
        for name, parameters in _SCHEDULES_BY_NUMBERS.items()
    },
    "torch.optim.swa_utils.SWALR": Entry("scheduler", "SWALR", ("optimizer",)),
    "torch.optim.Optimizer": Entry("optimizer_base", "Optimizer", ("params", "defaults")),
    "torch.amp.GradScaler": Entry("scaler"),
    "torch.nn.utils.clip_grad_norm_": Entry("clip", "clip_grad_norm_", ("parameters", "max_norm")),
    "torch.nn.utils.clip_grad_norm": Entry("clip", "clip_grad_norm", ("parameters", "max_norm")),
    "torch.nn.utils.clip_grad_value_": Entry(
        "clip", "clip_grad_value_", ("parameters", "clip_value")
    ),
    "torch.nn.utils.clip_grad_value": Entry(
        "clip", "clip_grad_value", ("parameters", "clip_value")
    ),
    "torch.nn.utils.clip_grads_with_norm_": Entry(
        "clip", "clip_grads_with_norm_", ("parameters", "max_norm")
    ),
    **{
        f"torch.nn.init.{name}": Entry("init", name.rstrip("_"))
        for name in [*_INITIALISERS.split(), *_INITIALISERS.replace("_ ", " ").split()]
    },
    "torch.nn.init.?": Entry("init", "?"),
    "torch.autograd.backward": Entry("backward"),
    "torch.autograd.grad": Entry("unknown"),
    # data
    "torch.utils.data.DataLoader": Entry(
        "loader",
        "DataLoader",
        tuple(
            "dataset batch_size shuffle sampler batch_sampler num_workers collate_fn pin_memory "
            "drop_last".split()
        ),
    ),
    "torch.utils.data.TensorDataset": Entry("tensor_dataset"),
    "torch.utils.data.Subset": Entry("same"),
    "torch.utils.data.ConcatDataset": Entry("concat_dataset"),
    "torch.utils.data.random_split": Entry("random_split"),
    **entries("dataset_base", "Dataset IterableDataset Sampler BatchSampler", "torch.utils.data."),
}
