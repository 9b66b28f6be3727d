"""The models of benchmarks.whole_model do the same, and one that does not is named."""

import pytest
import torch


@pytest.fixture(scope="module")
def whole_model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")  # which the import sets for all
        from benchmarks import whole_model

        yield whole_model


@pytest.mark.parametrize("batch_first", [False, True])
def test_models_give_the_same_scores_before_and_after_an_update(whole_model, batch_first):
    torch.manual_seed(0)
    steps = whole_model.steps_of((5, 3, 4, 11, batch_first))
    shape = (3, 5, 11) if batch_first else (5, 3, 11)
    before = {name: step() for name, step in steps["inference"].items()}
    for name, step in steps["training"].items():
        step()
        assert before[name].shape == shape
        assert not torch.allclose(steps["inference"][name](), before[name], atol=1e-5)


def test_a_model_with_another_layer_is_named(whole_model, monkeypatch):
    class Other(torch.nn.LSTM):
        def forward(self, input, hx=None):
            return super().forward(input.flip(0), hx)

    monkeypatch.setitem(whole_model.LAYERS, "companion_layer", Other)
    with pytest.raises(RuntimeError, match="^companion_layer gives other scores for"):
        whole_model.steps_of((5, 3, 4, 11, False))


def test_a_model_with_other_derivatives_is_named(whole_model, monkeypatch):
    class Other(torch.nn.LSTM):
        def forward(self, input, hx=None):
            return super().forward(input.detach(), hx)

    monkeypatch.setitem(whole_model.LAYERS, "companion_layer", Other)
    with pytest.raises(RuntimeError, match="^companion_layer gives other scores for"):
        whole_model.steps_of((5, 3, 4, 11, False))
