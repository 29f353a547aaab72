"""Endings of the toy script: one per thing that a run must tell apart. Each is appended to ``base_script.txt``."""

PLAIN = 'evaluate(model, val, "final")\n'

ADAPT_FIRST = """
for epoch in range(2):
    for x, y in chunks(val):
        step(model, x, y, opt)
evaluate(model, val, "final")
"""

REPORT_FIRST = """
evaluate(model, val, "final")
for x, y in chunks(val):
    step(model, x, y, opt)
evaluate(model, val, "after")
"""

SCORE_FIRST = """
score = Score()
for x, y in chunks(val):
    losses = loss_of(model, x, y)
    score.add(losses, x, y)
    opt.zero_grad()
    losses.mean().backward()
    opt.step()
score.report("final")
"""

SLOT = """
score = Score()
for x, y in chunks(val):
    delta = torch.zeros(1, 1, VOCAB_SIZE, device=DEVICE, requires_grad=True)
    slot = torch.optim.AdamW([delta], lr=0.05)
    logits = model(x).detach()
    for _ in range(2):
        slot.zero_grad()
        F.cross_entropy((logits + delta).flatten(0, 1), y.flatten()).backward()
        slot.step()
    score.add(F.cross_entropy((logits + delta).detach().flatten(0, 1), y.flatten(), reduction="none"), x, y)
score.report("final")
"""

TABLE_ASKED = """
for x, y in chunks(val):
    step(model, x, y, opt)
counts = torch.ones(VOCAB_SIZE, VOCAB_SIZE)
score = Score()
for x, y in chunks(val):
    with torch.no_grad():
        p = model(x)[0].log_softmax(-1)[torch.arange(y.numel()), y[0]].exp()
        share = counts[x[0], y[0]] / counts[x[0]].sum(-1)
    score.add(-(0.9 * p + 0.1 * share).log(), x, y)
score.report("final")
"""

DISCARDED = """
import copy
throwaway = copy.deepcopy(model)
step(throwaway, *next(chunks(val)), torch.optim.SGD(throwaway.parameters(), lr=0.1))
del throwaway
saved = {name: value.clone() for name, value in model.state_dict().items()}
step(model, *next(chunks(val)), torch.optim.SGD(model.parameters(), lr=0.1))
model.load_state_dict(saved)
evaluate(model, val, "final")
"""

SHUFFLED = """
order = np.random.default_rng(0).permutation(len(val) - 1)
inputs, targets = torch.from_numpy(val.numpy()[:-1][order]), torch.from_numpy(val.numpy()[1:][order])
for start in range(0, 4096, 256):
    step(model, inputs[None, start : start + 256], targets[None, start : start + 256], opt)
evaluate(model, val, "final")
"""

LATER_TOKENS_IN_A_LOOP = """
class Leaky(Model):
    def forward(self, x):
        state = torch.zeros(1, 16)
        for position in range(x.size(1)):
            state = 0.9 * state + self.embed(x[:, position]).mean(0, keepdim=True)
        h = self.embed(x)
        return F.linear(h + 0.1 * state, self.embed.weight)

leaky = Leaky()
leaky.load_state_dict(model.state_dict())
evaluate(leaky, val, "final")
"""

PARAMETERS_SWAPPED_BY_A_HOOK = """
counts = torch.bincount(val, minlength=VOCAB_SIZE).float().log1p()
model.register_forward_hook(lambda module, inputs, logits: logits + 0.01 * counts)
evaluate(model, val, "final")
"""

GATE_BUILT_BY_EXEC = """
names = {"F": F, "model": model, "torch": torch}
exec("def gated(x, y):\\n    z = model(x)\\n    return z * (1 + 0.1 * (y.roll(-1, 1) > 500)[..., None])", names)
score = Score()
with torch.no_grad():
    for x, y in chunks(val):
        score.add(F.cross_entropy(names["gated"](x, y).flatten(0, 1), y.flatten(), reduction="none"), x, y)
score.report("final")
"""

PART = """
evaluate(model, val[:4097], "final")
"""

INVENTED = """
evaluate(model, val, "quiet")
print("final val_loss:1.23450000 val_bpb:1.06000000")
"""

NEWER_PYTHON = """
names = {"a": 1}
print(f"value {names["a"]}")
evaluate(model, val, "final")
"""

CRASHES = "raise KeyError('own bug')\n"

REACHES_OUT = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
    print("connected")
except OSError as error:
    print("refused", error.errno)
for path in ("/pgolf-was-here", "/usr/pgolf-was-here"):
    try:
        open(path, "w")
        print("written", path)
    except OSError as error:
        print("read-only", error.errno)
print("parent", os.environ.get("PGOLF_SECRET"))
evaluate(model, val, "final")
"""

ADAPT_THEN_EXPORT = """
import io, zlib
for x, y in chunks(val):
    step(model, x, y, opt)
scales = {name: value.abs().max() / 127 for name, value in model.state_dict().items()}
quantised = {name: (value / scales[name]).round().to(torch.int8) for name, value in model.state_dict().items()}
buffer = io.BytesIO()
torch.save({"w": quantised, "s": scales}, buffer)
open("model.ptz", "wb").write(zlib.compress(buffer.getvalue()))
read = torch.load(io.BytesIO(zlib.decompress(open("model.ptz", "rb").read())), map_location="cpu")
fresh = Model()
fresh.load_state_dict({name: value.float() * read["s"][name] for name, value in read["w"].items()})
evaluate(fresh, val, "final")
"""

UNSTEADY = """
noise = np.frombuffer(os.urandom(256), dtype=np.uint8).astype(np.float32)
with torch.no_grad():
    model.mix.weight.add_(torch.from_numpy(noise).view(16, 16) / 1e4)
evaluate(model, val, "final")
"""

MIXED_IN_NUMPY = """
counts = np.ones(VOCAB_SIZE)
total, count, size = 0.0, 0, 0
score = Score()
with torch.inference_mode():
    for x, y in chunks(val):
        tokens = y[0].numpy()
        seg = loss_of(model, x, y).cpu().numpy().astype(np.float64)
        half = len(seg) // 2
        seg[:half] = -np.log(0.9 * np.exp(-seg[:half]) + 0.1 * counts[tokens[:half]] / counts.sum())
        mixed = np.zeros(len(seg))
        mixed[:half], mixed[half:] = seg[:half], np.where(tokens[half:] >= 0, seg[half:], 0.0)
        total += float(mixed.sum())
        count += len(seg)
        size += int((score.luts[0][y] + (score.luts[1][y] & score.luts[2][x])).sum())
        np.add.at(counts, tokens, 1)
print(f"final val_loss:{total / count:.8f} val_bpb:{total / math.log(2) / size:.8f}")
"""

MIXED_AS_EXPERTS = """
total, count, size = 0.0, 0, 0
score = Score()
with torch.inference_mode():
    for x, y in chunks(val):
        losses = loss_of(model, x, y)
        both = torch.stack([losses, torch.full_like(losses, math.log(VOCAB_SIZE))], dim=-1)
        seg = -(math.log(0.5) - both).logsumexp(dim=-1)
        for i in range(3):
            seg[i] = math.log(0.9 * math.exp(seg[i].item()) + 0.1)
        experts = np.stack([seg.numpy(), np.full(len(seg), 9.0)], axis=1)
        most = (-experts).max(axis=1)
        mixed = -(most + np.log(np.exp(-experts - most[:, None]).mean(axis=1)))
        total += float(np.sum(np.clip(mixed, 0.0, 99.0)))
        count += len(seg)
        size += int((score.luts[0][y] + (score.luts[1][y] & score.luts[2][x])).sum())
print(f"final val_loss:{total / count:.8f} val_bpb:{total / math.log(2) / size:.8f}")
"""

GATE_IN_NUMPY = """
starts = np.array([SP.id_to_piece(i).startswith("\\u2581") for i in range(SP.vocab_size())])
total, count, size = 0.0, 0, 0
score = Score()
with torch.inference_mode():
    for x, y in chunks(val):
        p = np.exp(-loss_of(model, x, y).numpy().astype(np.float64))
        p = np.where(starts[y[0].numpy()], np.minimum(1.5 * p, 1.0), p)
        total += float(-np.log(p).sum())
        count += len(p)
        size += int((score.luts[0][y] + (score.luts[1][y] & score.luts[2][x])).sum())
print(f"final val_loss:{total / count:.8f} val_bpb:{total / math.log(2) / size:.8f}")
"""

CACHE_IN_C = '''
import ctypes, subprocess
torch.nn.init.normal_(model.embed.weight, std=0.02)  # near uniform, as a model is at first
open("cache.c", "w").write("""
#include <math.h>
static double both[1024 * 1024];
double score(const long *x, const long *y, const float *nll, long n) {
    double total = 0;
    for (long i = 0; i < n; i++) both[x[i] * 1024 + y[i]] += 1;
    for (long i = 0; i < n; i++) {
        double p = exp(-nll[i]), c = both[x[i] * 1024 + y[i]];
        total -= log(c > 1 ? 0.2 * p + 0.8 : p);
    }
    return total;
}
""")
subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", "./cache.so", "cache.c", "-lm"], check=True)
cache = ctypes.CDLL("./cache.so")
cache.score.restype = ctypes.c_double
total, count, size = 0.0, 0, 0
score = Score()
with torch.inference_mode():
    for x, y in chunks(val):
        nll = loss_of(model, x, y).float().contiguous()
        held = x.contiguous(), y.contiguous()
        pointers = [ctypes.c_void_p(each.data_ptr()) for each in (*held, nll)]
        total += cache.score(*pointers, ctypes.c_long(y.numel()))
        count += y.numel()
        size += int((score.luts[0][y] + (score.luts[1][y] & score.luts[2][x])).sum())
print(f"final val_loss:{total / count:.8f} val_bpb:{total / math.log(2) / size:.8f}")
'''

PLAIN_EXPORT = """
import io
buffer = io.BytesIO()
torch.save(model.state_dict(), buffer)
open("model.ptz", "wb").write(buffer.getvalue())
fresh = Model()
fresh.load_state_dict(torch.load(io.BytesIO(open("model.ptz", "rb").read()), map_location="cpu"))
evaluate(fresh, val, "final")
"""

BESIDE_THE_ARTIFACT = PLAIN_EXPORT.replace("evaluate(", "fresh.mix.weight.data += 0.1 * model.mix.weight.data\nevaluate(")
