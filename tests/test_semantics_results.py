"""How a layer's result is read, and what a loss makes of it."""

from __future__ import annotations

import pytest
from programs import PADDED, analysed, only

from rnnlint.semantics import events, values

# --- readings --------------------------------------------------------------

READINGS = [
    ("out[:, -1]", ["last-step"]),
    ("out[:, -1, :]", ["last-step"]),
    ("out[-1]", ["last-step"]),
    ("out[:, -1, :16]", ["half-step"]),
    ("out.mean(1)", ["pooled"]),
    ("out.mean(dim=1)", ["pooled"]),
    ("torch.mean(out, 1)", ["pooled"]),
    ("out.max(1)[0]", ["pooled"]),
    ("torch.max(out, dim=1)[0]", ["pooled"]),
    ("out.mean(2)", []),
    ("h[-1]", ["state"]),
    ("nn.Linear(16, 2)(h)", ["state"]),
    ("torch.cat([h[-2], h[-1]], 1)", ["state", "state"]),
    ("h.squeeze(0)", ["state"]),
    ("nn.Linear(16, 2)(out)", []),
    ("out[:, 0]", []),
    ("F.softmax(nn.Linear(16, 1)(out), dim=1)", ["attended"]),
    ("F.softmax(nn.Linear(16, 1)(out), dim=2)", []),
    ("torch.softmax(out, 1)", ["attended"]),
]


@pytest.mark.parametrize(("expression", "how"), READINGS)
def test_readings_of_a_result_are_noted(expression: str, how: list[str]) -> None:
    program = analysed(
        f"{PADDED}\nlstm = nn.LSTM(8, 16, batch_first=True)\n"
        f"out, (h, c) = lstm(embedded)\n{expression}\n"
    )
    call = only(program.of(events.LayerCall))
    assert [reading.how for reading in program.readings_of(call)] == how


def test_a_state_that_is_only_named_is_not_read() -> None:
    program = analysed(
        PADDED + "lstm = nn.LSTM(8, 16)\nout, (h, c) = lstm(embedded)\nresult = out, h\n"
    )
    assert program.of(events.Reading) == ()


# --- activations and losses ------------------------------------------------

ACTIVATIONS = [
    ("F.softmax(y, dim=1)", "softmax"),
    ("torch.softmax(y, 1)", "softmax"),
    ("y.softmax(-1)", "softmax"),
    ("nn.Softmax(dim=1)(y)", "softmax"),
    ("nn.Sequential(nn.Linear(8, 2), nn.Softmax(1))(y)", "softmax"),
    ("F.log_softmax(y, dim=1)", "log_softmax"),
    ("torch.sigmoid(y)", "sigmoid"),
    ("nn.Sigmoid()(y)", "sigmoid"),
    ("y.sigmoid().squeeze(1)", "sigmoid"),
    ("y", None),
    ("nn.Linear(2, 2)(F.softmax(y, dim=1))", None),
    ("torch.log(F.softmax(y, dim=1))", None),
]


@pytest.mark.parametrize(("expression", "kind"), ACTIVATIONS)
def test_a_loss_knows_the_last_activation_before_it(expression: str, kind: str | None) -> None:
    program = analysed(
        f"""
y = nn.Linear(8, 2)(torch.randn(4, 8))
loss = nn.CrossEntropyLoss()({expression}, target)
"""
    )
    prediction = only(program.of(events.LossComputed)).prediction
    assert isinstance(prediction, values.Tensor)
    assert (prediction.activation and prediction.activation.kind) == kind


@pytest.mark.parametrize(
    ("call", "kind", "options"),
    [
        ("nn.CrossEntropyLoss(ignore_index=0)(y, t)", "CrossEntropyLoss", {"ignore_index": 0}),
        ("F.cross_entropy(y, t, ignore_index=0)", "CrossEntropyLoss", {"ignore_index": 0}),
        ("F.nll_loss(y, t)", "NLLLoss", {}),
        ("nn.MSELoss(reduction='none')(y, t)", "MSELoss", {"reduction": "none"}),
        ("nn.functional.mse_loss(input=y, target=t)", "MSELoss", {}),
        ("torch.nn.BCEWithLogitsLoss()(y, t)", "BCEWithLogitsLoss", {}),
    ],
)
def test_a_loss_knows_its_kind_and_options(
    call: str, kind: str, options: dict[str, object]
) -> None:
    loss = only(analysed(f"y = nn.Linear(8, 2)(x)\n{call}\n").of(events.LossComputed))
    assert loss.kind == kind
    for name, value in options.items():
        assert loss.options[name] == values.Const(value)
