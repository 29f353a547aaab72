"""The model: attention and XSA against naive loops, causality under every option, initialisation, parameter counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.config import ModelConfig, preset
from trainer.embeddings import BigramHash, SmearGate
from trainer.init import overtone_spectrum
from trainer.layers import causal_attention, exclude_self, rotate
from trainer.model import GPT, count_parameters

SMALL = ModelConfig(vocab_size=64, num_layers=4, model_dim=64, num_heads=4, num_kv_heads=2)
OPTIONS = {
    "none": {},
    "untied": {"tie_embeddings": False},
    "three layers": {"num_layers": 3},
    "one layer": {"num_layers": 1},
    "leaky": {"activation": "leaky_relu2"},
    "partial rotary": {"rope_dims": 8},
    "depth scale": {"norm_depth_scale": True},
    "xsa": {"xsa_layers": 2},
    "xsa everywhere, ungrouped": {"xsa_layers": 4, "num_kv_heads": 4},
    "smear": {"smear_gate": True},
    "bigram": {"bigram_buckets": 32, "bigram_dim": 16},
    "orthogonal": {"init": "orthogonal", "output_init": "scaled"},
    "overtone": {"embedding_init": "overtone", "resid_mix_init": "phased"},
    "late-qat": {"smear_gate": True, "bigram_buckets": 32, "init": "orthogonal", "embedding_init": "overtone"},
}


def perturbed(config: ModelConfig) -> GPT:
    """A model whose zero-initialised parts are not zero, so that every path carries a signal."""
    model = GPT(config, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def tokens(batch: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(2, 64, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_no_later_token_changes_an_earlier_logit(options):
    model, ids = perturbed(replace(SMALL, **options)), tokens(2, 24)
    ids[0, 5] = ids[1, 11] = SMALL.bos_token_id
    with torch.no_grad():
        full = model(ids)
        for t in range(1, 24):
            changed = ids.clone()
            changed[:, t:] = tokens(2, 24 - t, seed=t)
            assert torch.equal(model(changed)[:, :t], full[:, :t])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_prefix_alone_gives_the_same_logits(options):
    model, ids = perturbed(replace(SMALL, **options)), tokens(2, 24)
    with torch.no_grad():
        assert torch.allclose(model(ids[:, :9]), model(ids)[:, :9], atol=2e-5)


def test_each_token_depends_on_its_past():
    model, ids = perturbed(SMALL), tokens(1, 12)
    changed = ids.clone()
    changed[0, 0] = (ids[0, 0] + 1) % 64
    with torch.no_grad():
        assert (model(ids)[0, -1] != model(changed)[0, -1]).any()


def naive_attention(q: Tensor, k: Tensor, v: Tensor, exclusive: bool) -> Tensor:
    out = torch.zeros_like(q)
    batch, length, heads, width = q.shape
    group = heads // k.size(2)
    for b in range(batch):
        for h in range(heads):
            for t in range(length):
                scores = torch.stack([q[b, t, h] @ k[b, s, h // group] / width**0.5 for s in range(t + 1)]).softmax(0)
                y = sum(scores[s] * v[b, s, h // group] for s in range(t + 1))
                own = v[b, t, h // group]
                out[b, t, h] = y - (y @ own) / (own @ own) * own if exclusive else y
    return out


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("exclusive", [False, True])
def test_attention_and_xsa_equal_a_naive_loop(heads, kv_heads, exclusive):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 7, n, 8, generator=generator, dtype=torch.float64) for n in (heads, kv_heads, kv_heads))
    result = causal_attention(q, k, v)
    if exclusive:
        result = exclude_self(result, v)
    assert torch.allclose(result, naive_attention(q, k, v, exclusive), atol=1e-10)


def test_xsa_output_is_orthogonal_to_the_own_value():
    generator = torch.Generator().manual_seed(0)
    y, v = torch.randn(1, 5, 4, 8, generator=generator), torch.randn(1, 5, 2, 8, generator=generator)
    out = exclude_self(y, v).unflatten(2, (2, 2))
    assert (out * v[:, :, :, None]).sum(-1).abs().max() < 1e-5


def test_rotation_keeps_norms_and_depends_on_distance_only():
    model = GPT(SMALL)
    cos, sin = model.rotary(20, torch.float32)
    x = torch.randn(16, generator=torch.Generator().manual_seed(0)).expand(1, 20, 1, 16)
    rotated = rotate(x, cos, sin)[0, :, 0]
    assert torch.allclose(rotated.norm(dim=-1), x[0, :, 0].norm(dim=-1), atol=1e-5)
    products = rotated @ rotated.T
    assert torch.allclose(products.diagonal(3), products[0, 3].expand(17), atol=1e-4)


def test_partial_rotation_leaves_the_rest_of_the_head():
    model = GPT(replace(SMALL, rope_dims=4))
    cos, sin = model.rotary(6, torch.float32)
    x = torch.randn(1, 6, 2, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rotate(x, cos, sin)[..., 4:], x[..., 4:])


@pytest.mark.parametrize("options", [{"smear_gate": True}, {"bigram_buckets": 32}], ids=["smear", "bigram"])
def test_nothing_of_the_previous_document_enters_the_embedding_of_the_next(options):
    model = perturbed(replace(SMALL, **options))
    ids = tokens(1, 10)
    ids[0, 4] = SMALL.bos_token_id
    changed = ids.clone()
    changed[0, :4] = tokens(1, 4, seed=9)
    with torch.no_grad():
        one, other = model._embed(ids), model._embed(changed)
    assert torch.equal(one[0, 4:], other[0, 4:])
    assert not torch.equal(one[0, :4], other[0, :4])


def test_smear_gate_blends_with_the_previous_embedding_by_its_share():
    gate = SmearGate(SMALL)
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(0))
    out = gate(x, torch.tensor([[5, 6, SMALL.bos_token_id]]))
    assert torch.allclose(out[0, 1], (x[0, 0] + x[0, 1]) / 2, atol=1e-6)
    assert torch.equal(out[0, 0], x[0, 0])
    assert torch.equal(out[0, 2], x[0, 2])


def test_bigram_buckets_of_known_pairs():
    bigram = BigramHash(replace(SMALL, bigram_buckets=4096))
    buckets = bigram.bucket(torch.tensor([[7, 8, SMALL.bos_token_id, 9]]))[0].tolist()
    assert buckets == [4095, (36313 * 8 ^ 27191 * 7) % 4095, 4095, (36313 * 9 ^ 27191 * 1) % 4095]


def test_options_that_are_off_leave_no_trace_in_the_state_dict():
    assert not [name for name in GPT(SMALL).state_dict() if any(part in name for part in ("smear", "bigram", "lm_head"))]
    with_xsa = GPT(replace(SMALL, xsa_layers=2)).state_dict()
    assert with_xsa.keys() == GPT(SMALL).state_dict().keys()


@pytest.mark.parametrize(("name", "logged"), [("baseline", 17_059_912), ("late-qat", 22_368_841), ("xsa-ema", 26_829_913)])
def test_presets_have_the_parameter_counts_of_the_logs_they_follow(name, logged):
    with torch.device("meta"):
        assert count_parameters(GPT(preset(name).model)) == logged


def test_an_untrained_model_predicts_nothing():
    ids = tokens(2, 16)
    loss = GPT(replace(SMALL, tie_embeddings=False)).loss(ids, ids)
    assert loss.item() == pytest.approx(torch.tensor(64.0).log().item(), abs=1e-5)


def test_loss_is_the_mean_cross_entropy_of_the_logits():
    model, ids = perturbed(SMALL), tokens(2, 8)
    per_token = F.cross_entropy(model(ids).transpose(1, 2), ids, reduction="none")
    assert torch.allclose(model.loss(ids, ids), per_token.mean(), atol=1e-6)


def test_logits_are_bounded_by_the_softcap():
    model = perturbed(replace(SMALL, logit_softcap=2.0))
    assert model(tokens(1, 8)).abs().max() < 2.0


def test_a_seed_decides_the_weights_whatever_ran_before():
    torch.manual_seed(1)
    one = GPT(preset("tiny").model, seed=5).state_dict()
    torch.manual_seed(2)
    two, other = GPT(preset("tiny").model, seed=5).state_dict(), GPT(preset("tiny").model, seed=6).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["tok_emb.weight"], other["tok_emb.weight"])


def test_orthogonal_init_scales_outputs_by_depth():
    state = GPT(replace(SMALL, init="orthogonal", output_init="scaled")).state_dict()
    q, proj = state["blocks.0.attn.c_q.weight"], state["blocks.0.attn.proj.weight"]
    assert torch.allclose(q @ q.T, torch.eye(64), atol=1e-5)
    assert torch.allclose(proj @ proj.T, torch.eye(64) / 8, atol=1e-5)


def test_the_bigram_embedding_gets_a_gradient_at_the_first_step():
    model, ids = GPT(replace(SMALL, bigram_buckets=32, bigram_dim=64)), tokens(2, 16)
    model.loss(ids, tokens(2, 16, seed=1)).backward()
    assert model.bigram.embed.weight.grad.abs().max() > 0


def test_overtone_spectrum_falls_with_the_square_root():
    weight = torch.randn(40, 12, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(overtone_spectrum(weight))
    expected = torch.linalg.svdvals(weight)[0] / torch.arange(1, 13) ** 0.5
    assert torch.allclose(values, expected, atol=1e-4)


def test_bfloat16_activations_stay_close_to_float32():
    model, ids = perturbed(SMALL), tokens(2, 16)
    with torch.no_grad():
        full = model.loss(ids, ids)
        model.compute_dtype = torch.bfloat16
        assert model(ids).dtype == torch.bfloat16
        assert model.loss(ids, ids).item() == pytest.approx(full.item(), rel=0.02)


def test_the_loss_is_one_graph_with_every_option():
    """What torch.compile asks for on a GPU; the backend here only traces, so no compiler is needed."""
    options = OPTIONS["late-qat"] | OPTIONS["xsa"] | OPTIONS["leaky"] | OPTIONS["partial rotary"]
    model, ids = perturbed(replace(SMALL, num_layers=2, **options)), tokens(2, 16)
    traced = torch.compile(model.loss, backend="aot_eager", fullgraph=True, dynamic=False)
    assert torch.equal(traced(ids, ids), model.loss(ids, ids))
