"""Endings of the toy script: one per thing that a run must tell apart. Each is appended to `BASE`."""

from pathlib import Path

BASE = (Path(__file__).parent / "base_script.txt").read_text(encoding="utf-8")

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

SLOT_ON_ADAPTED = SCORE_FIRST.replace("final", "first") + SLOT
SLOT_BESIDE_ADAPTED = (
    "import copy\n" + SCORE_FIRST.replace("final", "first").replace("loss_of(model", "loss_of(copied")
).replace(
    "score = Score()", "copied = copy.deepcopy(model)\nopt = torch.optim.SGD(copied.parameters(), lr=0.1)\nscore = Score()"
) + SLOT

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

RANKS = """
import torch.distributed as dist
dist.init_process_group("nccl")
rank, world = dist.get_rank(), dist.get_world_size()


def pairs():
    for start in range(0, val.numel() - 1 - world * SEQ_LEN, world * SEQ_LEN):
        yield [range(start + part * SEQ_LEN, start + (part + 1) * SEQ_LEN) for part in range(world)]


def batch(chunk):
    return val[chunk.start : chunk.stop][None], val[chunk.start + 1 : chunk.stop + 1][None]


def learn(chunk):
    opt.zero_grad()
    if chunk is not None:
        loss_of(model, *batch(chunk), "mean").backward()
    for each in model.parameters():
        each.grad = torch.zeros_like(each) if each.grad is None else each.grad
        dist.all_reduce(each.grad, op=dist.ReduceOp.AVG)
    opt.step()


def finish(score, label="final"):
    count = torch.tensor([score.tokens, score.bytes], dtype=torch.float64)
    dist.all_reduce(score.loss)
    dist.all_reduce(count)
    score.tokens, score.bytes = (int(each) for each in count)
    if rank == 0:
        score.report(label)
    dist.destroy_process_group()


score = Score()
"""

_SCORE_OWN = """
    x, y = batch(own)
    with torch.no_grad():
        score.add(loss_of(model, x, y), x, y)
"""

RANKS_SCORE_FIRST = f"""{RANKS}
for chunks_now in pairs():
    own = chunks_now[rank]
    {_SCORE_OWN.strip()}
    learn(chunks_now[(rank + 1) % world])
finish(score)
"""

RANKS_LEARN_AHEAD = f"""{RANKS}
for chunks_now in pairs():
    own = chunks_now[rank]
    learn(chunks_now[1] if rank == 0 and world > 1 else None)
    {_SCORE_OWN.strip()}
finish(score)
"""

RANKS_KEEP_TO_THEMSELVES = f"""{RANKS}
for chunks_now in pairs():
    own = chunks_now[rank]
    if rank == 1:
        step(model, *batch(chunks_now[0]), opt)
    {_SCORE_OWN.strip()}
finish(score)
"""

RANKS_AFTER_A_BARRIER = f"""{RANKS}
for chunks_now in pairs():
    own = chunks_now[rank]
    if rank == 1:
        step(model, *batch(chunks_now[0]), opt)
    dist.barrier()
    {_SCORE_OWN.strip()}
finish(score)
"""

RANKS_IN_PARALLEL = f"""{RANKS}
from torch.nn.parallel import DistributedDataParallel as DDP
torch.manual_seed(rank)
wrapped = DDP(Model(), device_ids=[0], broadcast_buffers=False)
opt = torch.optim.SGD(wrapped.parameters(), lr=0.5)
for index in range(2):
    begin = (2 * index + rank) * 64
    with wrapped.no_sync():
        loss_of(wrapped, *batch(range(begin, begin + 32)), "mean").backward()
    loss_of(wrapped, *batch(range(begin + 32, begin + 64)), "mean").backward()
    opt.step()
    opt.zero_grad()
sums = [None] * world
dist.all_gather_object(sums, float(wrapped.module.mix.weight.double().sum()))
print("equal", len(set(sums)) == 1, "rank", rank, "device", torch.cuda.device_count())
model = wrapped.module
evaluate(model, val, "final")
dist.destroy_process_group()
"""

PPM = """
from collections import Counter, defaultdict
ORDER, UNIFORM = 2, 1 / VOCAB_SIZE


class Counts:
    def __init__(self):
        self.tables = [defaultdict(Counter) for _ in range(ORDER + 1)]

    def contexts(self, history):
        return [(table, tuple(history[len(history) - n :])) for n, table in enumerate(self.tables) if n <= len(history)]

    def probability(self, history, token):
        p = UNIFORM
        for table, context in self.contexts(history):
            seen = table[context]
            if seen:
                total = sum(seen.values())
                p = (seen[token] + len(seen) * p) / (total + len(seen))
        return p

    def update(self, history, token):
        for table, context in self.contexts(history):
            table[context][token] += 1


def report(bits, size, label="ppm_mix"):
    print(f"{label} val_bpb:{bits / size:.8f}")


luts = byte_luts()
size = int((luts[0][val[1:]] + (luts[1][val[1:]] & luts[2][val[:-1]])).sum())
tokens = val.tolist()
counts, bits, history = Counts(), 0.0, tokens[:1]
"""

PPM_LEGAL = f"""{PPM}
for token in tokens[1:]:
    bits -= math.log2(counts.probability(history, token))
    counts.update(history, token)
    history = (history + [token])[-ORDER:]
report(bits, size)
"""

PPM_OF_THE_WHOLE_STREAM = f"""{PPM}
for token in tokens[1:]:
    counts.update(history, token)
    history = (history + [token])[-ORDER:]
history = tokens[:1]
for token in tokens[1:]:
    bits -= math.log2(counts.probability(history, token))
    history = (history + [token])[-ORDER:]
report(bits, size)
"""

PPM_THAT_COUNTS_FIRST = f"""{PPM}
for token in tokens[1:]:
    counts.update(history, token)
    bits -= math.log2(counts.probability(history, token))
    history = (history + [token])[-ORDER:]
report(bits, size)
"""

PPM_BY_DOCUMENT = f"""{PPM}
starts = [at for at, token in enumerate(tokens) if token == 1] + [len(tokens)]
documents = sorted((tokens[a:b] for a, b in zip(starts, starts[1:])), key=len)
stream = [token for document in documents for token in document]
for token in stream[1:]:
    bits -= math.log2(counts.probability(history, token))
    counts.update(history, token)
    history = (history + [token])[-ORDER:]
report(bits, size)
"""

PPM_OF_BYTES = f"""{PPM}
pieces = [SP.id_to_piece(i) for i in range(SP.vocab_size())]
UNIFORM, stream = 1 / 256, []
for before, token in zip(tokens, tokens[1:]):
    spelled = bytes([int(pieces[token][1:-1], 16)]) if SP.is_byte(token) else pieces[token].lstrip("\\u2581").encode()
    if SP.is_control(token) or SP.is_unknown(token):
        spelled = b""
    elif pieces[token].startswith("\\u2581") and not (SP.is_control(before) or SP.is_unknown(before)):
        spelled = b" " + spelled
    stream += spelled
history, nll = [], []
for token in stream:
    nll.append(-math.log(counts.probability(history, token)))
    counts.update(history, token)
    history = (history + [token])[-ORDER:]
print(f"ppm_mix val_bpb:{{sum(nll) / math.log(2) / len(stream):.8f}}")
"""

WRITTEN_IN_MANY_WAYS = """
def gather():
    total = 0.5
    total += yield total
    total -= (yield total) * 2.0
    yield total


class Box:
    held = {"a": 1.0}
    held["a"] += 0.5


steps = gather()
found = [next(steps), steps.send(1.5), steps.send(0.25)]
found.append((last := 2.5))
found.append(*[3.5])
text, pair, flag = "a", (1,), True
text += "b"
pair += (2,)
flag += 1.0
matrix = np.zeros((2, 2))
matrix[0, :] = np.float64(1.5)
matrix[1] += 0.5
tensor = torch.zeros(2)
tensor[0] = 2.0
tensor += tensor.sum() * 0.5
exec("x = []\\nx.append(0.25)\\nprint('inside', x)")
print("values", found, last, Box.held, text, pair, flag, matrix.tolist(), tensor.tolist())
evaluate(model, val, "final")
"""
