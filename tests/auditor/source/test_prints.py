import ast
import textwrap

import pytest

from auditor.source.prints import PrintSite, find_print_sites, find_printer, find_printer_of, is_cut_off
from auditor.source.scopes import Scopes
from auditor.submission.logs.model import LogFact
from auditor.submission.script import Module


def sites_of(source: str) -> tuple[PrintSite, ...]:
    source = textwrap.dedent(source)
    module = Module(path="train_gpt.py", source_path="train_gpt.py", source=source, tree=ast.parse(source))
    return find_print_sites(Scopes((module,)))


def printable(source: str, line: str) -> bool | None:
    return find_printer(sites_of(source), line)[0]


@pytest.mark.parametrize(
    ("text", "line", "can_print"),
    [
        ('f"final val_bpb:{x:.8f}"', "final val_bpb:1.16292025", True),
        ('f"final val_bpb:{x:.8f}"', "final val_bpb:1.1629", False),
        ('f"final val_bpb:{x:.4f}"', "final val_bpb:1.16292025", False),
        ('f"time:{x:.0f}ms"', "time:1234ms", True),
        ('f"time:{x:.0f}ms"', "time:1234.5ms", False),
        ('f"bytes: {x:,}"', "bytes: 15,990,780", True),
        ('f"mem {x:>8.2f} MiB"', "mem     3.25 MiB", True),
        ('f"loss {x:.2e}"', "loss 1.25e-04", True),
        ('f"share {x:.1%}"', "share 12.5%", True),
        ('f"loss {x:.4f}"', "loss nan", True),
        ('f"{loss=}"', "loss=12", True),
        ('"step %d/%d loss %.3f" % (a, b, c)', "step 3/20 loss 1.250", True),
        ('"step %d/%d loss %.3f" % (a, b, c)', "step 3/20 loss 1.25", False),
        ('"kept %d%% of %s" % (a, b)', "kept 12% of rows", True),
        ('"{} val_bpb: {:.5f}".format(label, x)', "any label val_bpb: 1.07785", True),
        ('"{name}: {0:.2f}s".format(x, name="warm")', "warm: 1.25s", True),
        ('"seed:" + str(seed) + " done"', "seed:42 done", True),
        ('"a" + ("b" if x else "c") + "d"', "acd", True),
        ('"a" + ("b" if x else "c") + "d"', "aed", False),
        ('"=" * 5', "=====", True),
        ('" ".join(["loss", f"{x:.2f}"])', "loss 1.25", True),
        ('"first\\nsecond line"', "second line", True),
    ],
)
def test_text_forms(text: str, line: str, can_print: bool) -> None:
    assert printable(f"print({text})", line) is can_print


def test_separator_and_several_arguments() -> None:
    assert printable('print("val_bpb", x, sep="=")', "val_bpb=1.5")
    assert printable('print("val_bpb", x)', "val_bpb 1.5")
    assert not printable('print("val_bpb", x)', "val_bpb=1.5")


def test_wrapper_call_is_the_site_and_the_wrapped_print_is_none() -> None:
    sites = sites_of(
        """
        def log0(msg, console=True):
            if console:
                print(msg)
            with open("log.txt", "a") as f:
                print(msg, file=f)

        def main():
            log0(f"model_params:{n}")
        """
    )
    assert [(site.location.line, site.location.symbol) for site in sites] == [(9, "main")]
    assert sites[0].matches("model_params:123")


def test_prefix_of_a_wrapper_belongs_to_the_line() -> None:
    source = """
        def log(text):
            print(f"[{time.strftime('%H:%M')}] {text}")
        log(f"done in {seconds:.1f}s")
        """
    assert printable(source, "[10:15] done in 3.5s")
    assert not printable(source, "done in 3.5s")


def test_label_comes_from_the_callers_together_with_its_evaluation() -> None:
    sites = sites_of(
        """
        def log0(m): print(m)
        def eval_val(model): ...
        def eval_val_ttt(model): ...
        def timed_eval(label, fn, *args):
            val_loss, val_bpb = fn(*args)
            log0(f"{label} val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")
        timed_eval("quantized", eval_val, model)
        timed_eval("quantized_ttt", eval_val_ttt, model)
        """
    )
    _, site = find_printer(sites, "quantized_ttt val_loss:2.77261180 val_bpb:1.07785000")
    assert site is not None
    assert (site.location.line, site.called_from and site.called_from.line, site.evaluation) == (7, 9, "eval_val_ttt")
    assert find_printer(sites, "quantized_slot val_loss:2.77261180 val_bpb:1.07785000") == (False, None)


def test_name_bound_in_branches_gives_each_alternative() -> None:
    source = """
        try:
            import zstandard
            NAME = "zstd"
        except ImportError:
            NAME = "zlib"
        print(f"int8+{NAME}: {size} bytes")
        """
    assert printable(source, "int8+zlib: 5 bytes")
    assert printable(source, "int8+zstd: 5 bytes")
    assert not printable(source, "int8+lzma: 5 bytes")


def test_loop_over_literal_labels() -> None:
    source = 'for tag, fn in [("plain", a), ("sliding", b)]:\n    print(f"{tag} val_bpb:{fn():.4f}")'
    assert printable(source, "sliding val_bpb:1.1000")
    assert not printable(source, "ttt val_bpb:1.1000")


def test_logarithm_imported_by_name_prints_nothing() -> None:
    source = "from math import log, log2 as log2_\nloss = -log(p) + log2_(p)\nprint(f'bpb:{loss:.4f}')"
    assert [site.label for site in sites_of(source)] == ["bpb"]
    assert printable(source, "any val_bpb:1.0") is False


def test_logarithm_under_a_name_of_its_own_prints_nothing() -> None:
    source = "import math\ndef f(p):\n    _log = math.log\n    loss = -_log(p)\n    print(f'bpb:{loss:.4f}')\nf(1)"
    assert [site.label for site in sites_of(source)] == ["bpb"]


def test_only_opaque_sites_means_unknown() -> None:
    known, site = find_printer(sites_of("print(result)"), "final val_bpb:1.0")
    assert known is None
    assert site is not None
    assert site.opaque


def test_launcher_prefixes_are_looked_through() -> None:
    source = 'print(f"val_bpb:{x:.4f}")'
    for prefix in ("[rank0]:", "[rank0]: ", "0: ", "2026-04-01 10:00:01,123 ", "[default0]:"):
        assert printable(source, f"{prefix}val_bpb:1.1000"), prefix
    assert not printable(source, "other val_bpb:1.1000")


def test_logger_formats_and_its_prefix() -> None:
    source = 'logger.info("val_bpb %.4f at %s", x, step)'
    assert printable(source, "2026-04-01 INFO root val_bpb 1.1000 at 12")
    assert not printable(source, "val_bpb 1.1 at 12")


def test_evaluation_names_both_arms_of_a_branch() -> None:
    sites = sites_of(
        """
        def eval_val(): ...
        def eval_val_sliding(): ...
        def main():
            q_loss, q_bpb = None, None
            if stride:
                q_loss, q_bpb = eval_val_sliding()
            else:
                q_loss, q_bpb = eval_val()
            best = float(q_bpb)
            print(f"final val_bpb:{best:.4f}")
        """
    )
    assert sites[0].evaluation == "eval_val or eval_val_sliding"


def test_evaluation_through_a_wrapper_that_is_handed_the_function() -> None:
    sites = sites_of(
        """
        def eval_val(): ...
        def timed(label, fn):
            return fn()
        def main():
            loss, bpb = timed("x", lambda: eval_val())
            print(f"val_bpb:{bpb:.4f}")
        """
    )
    assert sites[0].evaluation == "eval_val"


def test_hostile_template_stays_fast() -> None:
    source = 'print(f"' + "a{x}" * 40 + 'b")'
    assert printable(source, "a" * 3000) is False


def test_metric_line_is_never_a_quoted_listing() -> None:
    source = """
        code = open(__file__).read()
        def log0(m): print(m)
        log0(code)
        log0(subprocess.run(["nvidia-smi"], stdout=PIPE).stdout)
        """
    assert printable(source, "| 0  NVIDIA H100 80GB HBM3 |") is None
    assert printable(source, "final val_bpb:1.1629") is False


def test_dumped_table_is_no_quotation() -> None:
    source = 'result = {"script": __file__, "val_bpb": bpb}\nprint(json.dumps(result))'
    assert printable(source, '{"script": "train_gpt.py", "val_bpb": 1.1629}') is None


def test_print_without_a_line_end_is_continued_by_another() -> None:
    source = 'print(f"size: {n:,} bytes", end="")\nprint(" fits")'
    assert printable(source, "size: 15,921,334 bytes  (fits)")
    assert printable(source.replace(', end=""', ""), "size: 15,921,334 bytes  (fits)") is False


@pytest.mark.parametrize(
    ("line", "text", "can_print"),
    [
        ("[12:00:01] final val_bpb:1.1000 of all tokens", "final val_bpb:1.1000 of all tokens", True),
        ("Best run: [12:00:01] final val_bpb:1.1000 of all tokens", None, True),
        ("Final BPB: step:5/5 val_loss:2.1 val_bpb:1.1000", None, False),
        ("other val_bpb:1.1000", None, False),
    ],
)
def test_whole_line_and_repeated_line_count_for_a_fact(line: str, text: str | None, can_print: bool) -> None:
    sites = sites_of('print(f"[{now}] final val_bpb:{x:.4f} of all tokens")\nprint(f"val_bpb:{x:.4f}")')
    bare = sites_of('print(f"[{now}] final val_bpb:{x:.4f} of all tokens")\nprint(table)')
    fact = LogFact(log="train.log", line=1, run=0, text=text or line)
    assert find_printer_of(sites, fact, [line])[0] is can_print
    assert find_printer_of(bare, fact, [line])[0] is (True if can_print and text else None), "a bare print decides nothing"


def test_cut_off_lines_are_told_from_foreign_ones() -> None:
    sites = sites_of('print(f"step:{s}/{n} val_bpb:{x:.4f} train_time:{t:.0f}ms")')
    assert is_cut_off(sites, "step:0/20000 val_bpb:4.1041")
    assert not is_cut_off(sites, "step:0/20000 val_acc:4.1041")
    assert not is_cut_off(sites_of("print(text)"), "anything at all")


def test_text_printed_by_several_ranks_at_once() -> None:
    source = 'print(f"ttt:done val_bpb={x:.4f} elapsed={t:.1f}s")'
    assert printable(source, "ttt:done val_bpb=1.1000 elapsed=7.5sttt:done val_bpb=1.1000 elap")
    assert not printable(source, "ttt:done val_bpb=1.1000 elapsed=7.5s ttt:start")


def test_function_handed_to_an_evaluation_is_not_the_evaluation() -> None:
    sites = sites_of(
        """
        def log0(m): print(m)
        def forward(x): ...
        def eval_val(forward_fn, log_fn):
            log_fn("scoring")
            logits = forward_fn(tokens)
            loss = cross_entropy(logits, targets)
            return loss, loss / bytes_per_token
        def main():
            loss, bpb = eval_val(forward, log0)
            print(f"val_bpb:{bpb:.4f}")
        """
    )
    assert [site.evaluation for site in sites if site.matches("val_bpb:1.1000")] == ["eval_val"]


def test_long_label_does_not_draw_the_site_to_the_caller() -> None:
    sites = sites_of(
        """
        def eval_val(): ...
        def timed(label, fn):
            bpb = fn()
            print(f"{label} bpb:{bpb:.4f}")
        timed("diagnostic before quantisation and after averaging", eval_val)
        """
    )
    assert (sites[0].location.line, sites[0].evaluation) == (5, "eval_val")
