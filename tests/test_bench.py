"""The benchmarks' own machinery: the yardstick, the regression rule, the comparison with peers, the reports."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import oracle
import pytest
from edm2_cases import random_network

import fastpatch as fp
from bench import check as bench_check
from bench.baseline import Baseline, expectation
from bench.calibration import CHECKSUM, IDENTITY, cached_arrays, calibration_checksum, time_calibration
from bench.cases import CRITICAL, evolved_field, grid_index, patch_model, stepper
from bench.check import compare, other_machine
from bench.console import BenchmarkError, columns, duration
from bench.gpu import limit, markdown
from bench.machine import machine_kind
from bench.peer_steps import peers_at_hand
from bench.peer_steps.problem import Problem, reference_step
from bench.peer_steps.with_numpy import numpy_matmul
from bench.peers import TOLERANCE, agreeing_contenders, interleave, summary
from bench.plot import draw_cost
from bench.publish import entries
from bench.results import latest, store
from bench.roofline import stages
from bench.suite import ROOT, Record, as_json, best_of, from_json, run_suite, table
from fastpatch.analysis import distinct_modes
from fastpatch.errors import ResultFileError

STEP = Record("step", "bench/test_step.py::test_step", 2e-3, 3e-3, 10, 1e-3, 0.5, site_steps=10**6)


def slower(record, factor):
    return replace(record, minimum=record.minimum * factor, median=record.median * factor)


def baseline_of(*factors, **changes):
    runs = [[slower(STEP, factor)] for factor in factors]
    return replace(Baseline.of(runs), **changes)


class TestYardstick:
    def test_computes_the_same_bits_everywhere(self):
        assert calibration_checksum() == CHECKSUM

    def test_takes_about_a_millisecond(self):
        assert 1e-5 < min(time_calibration() for _ in range(5)) < 0.05

    def test_arrays_start_at_the_same_offsets_in_a_page(self):
        for dtype, length in ((np.float32, 2048), (np.float64, 1000)):
            offsets = [array.ctypes.data % 4096 for array in cached_arrays(3, length, dtype)]
            assert offsets == [0, 1024, 2048]

    def test_arrays_do_not_overlap(self):
        first, second = cached_arrays(2, 1000, np.float32)
        first[:] = 1.0
        assert first.size == second.size == 1000
        assert not second.any()


class TestRule:
    def test_least_margin(self):
        found = expectation([2.0, 2.0, 2.0])
        assert found.ratio == pytest.approx(2.0)
        assert found.limit == pytest.approx(2.1)

    def test_one_run_in_a_hundred_exceeds_the_limit(self):
        # Wide scatter, so that the quantile decides and not the least margin.
        rng = np.random.default_rng(0)
        draws = np.exp(0.2 * rng.standard_normal((5000, 6)))
        exceeded = np.mean([row[-1] > expectation(row[:-1]).limit for row in draws])
        assert exceeded == pytest.approx(0.01, abs=4.0 * np.sqrt(0.01 / len(draws)))

    def test_needs_three_runs(self):
        with pytest.raises(BenchmarkError, match="2 runs; expected at least 3"):
            expectation([1.0, 1.0])

    def test_a_benchmark_missing_from_a_run(self):
        with pytest.raises(BenchmarkError, match="timed 2 times; expected once in each of 3 runs"):
            Baseline.of([[STEP], [STEP], []])


class TestCompare:
    @pytest.mark.parametrize(
        ("factor", "word"), [(1.0, "as before"), (1.049, "as before"), (1.06, "SLOWER"), (0.94, "faster")]
    )
    def test_verdict(self, factor, word):
        (verdict,) = compare(baseline_of(1.0, 1.0, 1.0), [slower(STEP, factor)])
        assert verdict.word == word
        assert verdict.is_slower == (word == "SLOWER")

    def test_only_the_ratio_to_the_yardstick_counts(self):
        throttled = replace(slower(STEP, 3.0), calibration=3.0 * STEP.calibration)
        (verdict,) = compare(baseline_of(1.0, 1.0, 1.0), [throttled])
        assert verdict.word == "as before"

    def test_the_best_of_repeated_measurements_counts(self):
        (verdict,) = compare(baseline_of(1.0, 1.0, 1.0), [slower(STEP, 2.0), STEP, slower(STEP, 3.0)])
        assert verdict.found == STEP

    def test_new_and_missing_benchmarks_are_named(self):
        words = {v.name: v.word for v in compare(baseline_of(1.0, 1.0, 1.0), [replace(STEP, name="new")])}
        assert words == {"step": "not run", "new": "not in the baseline"}

    def test_another_yardstick_is_refused(self):
        with pytest.raises(BenchmarkError, match="yardstick is other and this tree's"):
            compare(baseline_of(1.0, 1.0, 1.0, calibration="other"), [STEP])

    def test_baseline_file(self, tmp_path):
        written = baseline_of(1.0, 1.1, 1.2)
        written.save(tmp_path / "baseline.json")
        read = Baseline.load(tmp_path / "baseline.json")
        assert read.calibration == IDENTITY
        assert read.machine["kind"] == machine_kind()
        assert read.ratios["step"] == pytest.approx([2.0, 2.2, 2.4])

    @pytest.mark.parametrize("content", ["", "[]", '{"ratios": {}}'])
    def test_damaged_baseline(self, tmp_path, content):
        (tmp_path / "baseline.json").write_text(content)
        with pytest.raises(ResultFileError, match="not a readable baseline"):
            Baseline.load(tmp_path / "baseline.json")


class TestBenchCheck:
    """The program: chances, exit status, and what it says on another machine."""

    def run(self, monkeypatch, tmp_path, runs, baseline, *options):
        self.asked = []

        def suite(arguments=("bench",)):
            self.asked.append(list(arguments))
            return [runs[len(self.asked) - 1]]

        baseline.save(tmp_path / "baseline.json")
        monkeypatch.setattr(bench_check, "run_suite", suite)
        monkeypatch.setattr("sys.argv", ["check", "--baseline", str(tmp_path / "baseline.json"), *options])
        return bench_check.main()

    def test_a_disturbed_measurement_is_repeated(self, monkeypatch, tmp_path, capsys):
        status = self.run(monkeypatch, tmp_path, [slower(STEP, 2.0), STEP], baseline_of(1.0, 1.0, 1.0))
        assert status == 0
        assert self.asked == [["bench"], [STEP.node]]
        assert "as before" in capsys.readouterr().out

    def test_a_slowdown_exhausts_its_chances_and_fails(self, monkeypatch, tmp_path, capsys):
        status = self.run(monkeypatch, tmp_path, [slower(STEP, 1.5)] * 3, baseline_of(1.0, 1.0, 1.0))
        assert status == 1
        assert len(self.asked) == 3
        assert "Slower than the baseline beyond its scatter: step." in capsys.readouterr().out

    def test_another_kind_of_machine(self, monkeypatch, tmp_path, capsys):
        machine = {"kind": {"cpu": "Other", "target": "other", "vector_bits": 128}, "versions": {}}
        baseline = baseline_of(1.0, 1.0, 1.0, machine=machine)
        assert self.run(monkeypatch, tmp_path, [], baseline) == bench_check.SKIPPED == 3
        assert self.asked == []
        assert capsys.readouterr().out.strip() == other_machine(baseline)
        assert other_machine(baseline).startswith("SKIPPED: the baseline belongs to Other")
        assert self.run(monkeypatch, tmp_path, [slower(STEP, 1.5)] * 3, baseline, "--any-machine") == 1


def test_a_slowed_kernel_is_caught_and_an_unchanged_one_is_not():
    # On a machine that is busy with other things the scatter may hide either: it has the three chances of a check.
    for _ in range(3):
        records = run_suite(["bench/slowed_step.py"], show_progress=False)
        groups = {"baseline": [], "unchanged": [], "slowed": []}
        for record in records:
            groups[record.name.split("[")[1].split()[0]].append(replace(record, name="step"))
        baseline = Baseline.of([[record] for record in groups["baseline"]])
        assert list(map(len, groups.values())) == [9, 3, 3]
        verdicts = {group: compare(baseline, groups[group])[0] for group in ("unchanged", "slowed")}
        if not verdicts["unchanged"].is_slower and verdicts["slowed"].is_slower:
            return
    pytest.fail(f"{verdicts}")


class TestReports:
    def test_table(self):
        header, _, row = table([replace(STEP, speedup=1.9)]).splitlines()
        assert header.split()[:4] == ["benchmark", "median", "minimum", "ratio"]
        assert row.split() == ["step", "3.000", "ms", "2.000", "ms", "2", "2", "1.90x"]
        _, _, row = table([replace(STEP, site_steps=None, images=64)]).splitlines()
        assert row.split() == ["step", "3.000", "ms", "2.000", "ms", "2", "3.2e+04"]

    @pytest.mark.parametrize(
        ("seconds", "text"), [(2.0, "2.000 s"), (0.05, "50.000 ms"), (1e-3, "1.000 ms"), (2.5e-8, "25.0 ns")]
    )
    def test_duration(self, seconds, text):
        assert duration(seconds) == text

    def test_columns_are_aligned(self):
        lines = columns([("a", "b"), ("long", "1"), ("x", "100")]).splitlines()
        assert lines == ["a       b", "---------", "long    1", "x     100"]

    def test_records_survive_a_file(self):
        assert from_json(json.loads(json.dumps(as_json([STEP])))) == [STEP]

    def test_best_record_has_the_least_ratio(self):
        other = replace(STEP, minimum=STEP.minimum / 2, calibration=STEP.calibration / 4)
        assert best_of([other, STEP]) == {"step": STEP}

    def test_results_of_a_day_share_a_file(self, tmp_path):
        first = store("suite", [1], tmp_path)
        assert store("peers", [2], tmp_path) == first
        assert latest("suite", tmp_path)["content"] == [1]
        assert latest("peers", tmp_path)["machine"]["kind"] == machine_kind()
        with pytest.raises(ResultFileError, match="no result with 'roofline'"):
            latest("roofline", tmp_path)

    def test_history_entries(self):
        (entry,) = entries([STEP], {"cpu": "Some CPU", "target": "znver4", "vector_bits": 512})
        assert entry["name"] == "step (znver4, 512 bit)"
        assert entry["value"] == 2.0
        assert set(entry) == {"name", "unit", "value", "range", "extra"}

    def test_failing_benchmarks_are_reported(self):
        with pytest.raises(BenchmarkError, match="pytest's exit status"):
            run_suite(["bench/slowed_step.py", "-k", "no such benchmark"], show_progress=False)


class TestCases:
    def test_stepper_repeats_the_public_run(self):
        k = grid_index(CRITICAL)
        states = fp.states(patch_model(), (16, 16), 2, seed=0, every=k)
        next(states)
        start = next(states)
        reset, advance = stepper(start.x, CRITICAL, 3)
        expected = next(s for s in fp.states(patch_model(), (16, 16), 2, seed=0) if s.step == k + 3).x
        for _ in range(2):
            reset()
            np.testing.assert_array_equal(advance(), expected)

    def test_large_fields_are_periodic_copies(self):
        x = evolved_field(CRITICAL, 256, 5)
        assert x.shape == (5, 256, 256)
        np.testing.assert_array_equal(x[:, :128, :128], x[:, 128:, 128:])
        np.testing.assert_array_equal(x[4], x[0])


def test_thirteen_modes_at_once_cost_less_than_one_by_one():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from fastpatch.neural import drift
    from fastpatch.neural.jvp import jacobian_products

    net = random_network(img_resolution=16, channel_mult=[1], attn_resolutions=[])
    modes = torch.from_numpy(distinct_modes((16, 16), range(7))[0][:, None])
    assert len(modes) == 13
    x = torch.linspace(-1.0, 1.0, 256).reshape(1, 1, 16, 16)

    def products(at_once):
        return jacobian_products(partial(drift, net, sigma=1.0), x, modes.float(), at_once)

    torch.testing.assert_close(products(13), products(1))
    ways = {"at once": (lambda: None, partial(products, 13)), "one by one": (lambda: None, partial(products, 1))}
    times = interleave(ways, seconds=0.0, rounds=(1, 1))
    assert min(times["at once"]) < 0.7 * min(times["one by one"])


class TestPeers:
    @pytest.fixture
    def problem(self):
        return Problem(evolved_field(CRITICAL, 24, 2), CRITICAL, 2)

    def test_reference_is_the_oracles_step(self, problem):
        times, k = fp.log_time_grid(), grid_index(CRITICAL)
        t, dt = times[k], times[k + 1] - times[k]
        dictionary = patch_model().dictionary
        for x, found in zip(problem.x, reference_step(problem), strict=True):
            x = x.astype(np.float64)
            expected = x + dt * oracle.drift(x, t, dictionary.patterns, dictionary.prior)
            np.testing.assert_allclose(found, expected, atol=1e-6)

    @pytest.mark.parametrize("name", [name for name in peers_at_hand() if "compile" not in name])
    def test_peer_takes_the_same_step(self, problem, name):
        advance, noiseless = peers_at_hand()[name](problem)
        assert np.abs(noiseless() - reference_step(problem)).max() < TOLERANCE
        moved = np.asarray(advance()) - problem.x
        # Two steps: the noise has the variance of both kicks, and dominates.
        assert moved.std() == pytest.approx(np.linalg.norm(problem.constants[:, 3]), rel=0.1)

    def test_a_wrong_peer_is_not_timed(self, monkeypatch):
        def mirrored(problem):
            flipped = replace(problem, x=problem.x[..., ::-1].copy())
            advance, noiseless = numpy_matmul(flipped)
            return advance, lambda: noiseless()[..., ::-1]

        monkeypatch.setattr("bench.peer_steps.peers_at_hand", lambda: {"mirrored": mirrored})
        with pytest.raises(BenchmarkError, match="one step of mirrored is off by"):
            agreeing_contenders(1, 24)

    def test_contenders_take_turns_until_their_time_is_up(self):
        calls = []
        contenders = {name: (lambda: None, lambda name=name: calls.append(name)) for name in ("own", "a", "b")}
        times = interleave(contenders, seconds=0.0, rounds=(4, 9))
        # Once uncounted and once counted; then, being short, once uncounted before each that counts.
        assert calls == ["own", "a", "b"] * 2 + ["own", "own", "a", "a", "b", "b"] * 3
        assert {name: len(found) for name, found in times.items()} == {"own": 4, "a": 4, "b": 4}

    def test_ratios_are_taken_within_a_round(self):
        # The machine is twice as slow in the second round: the ratio is 3 in both.
        found = summary({"own": [1.0, 2.0], "other": [3.0, 6.0]}, site_steps=10**9)
        assert found["other"]["ratio_25"] == found["other"]["ratio_75"] == 3.0
        assert found["other"]["minimum_ns"] == 3.0
        assert found["other"]["ratio_minima"] == 3.0


class TestRoofline:
    @staticmethod
    def stages(size):
        model = fp.PatchModel(fp.PatchDictionary.random(n_random=0, uniform_mass=1.0, size=size))
        return {stage.name: stage for stage in stages(model.plan)}

    def test_operations_of_two_uniform_patterns(self):
        # One pair of one distinct row: three multiply-adds along it and down the rows; its powers need 18 operations.
        counted = self.stages(size=3)
        assert counted["row correlations"].operations == {"multiply-add": 3}
        assert counted["logits"].operations == {"multiply-add": 3}
        assert sum(counted["weights"].operations.values()) == 18

    def test_sign_combinations_are_shared(self):
        # One addition for every sum a +- b, c +- d, a +- b +- c +- d and a +- b +- c +- d +- e with positive a.
        assert self.stages(size=5)["row correlations"].operations == {"add, max, abs": 2 + 2 + 8 + 16}

    def test_time_is_the_sum_over_operations(self):
        stage = self.stages(size=5)["mean and update"]
        assert stage.operations == {"multiply-add": 3, "divide": 1}
        assert stage.at_peak({"multiply-add": 30.0, "divide": 4.0}) == pytest.approx(0.1 + 0.25)


class TestPlot:
    @staticmethod
    def section(rows):
        kind = {"cpu": "Some CPU", "target": "znver4", "vector_bits": 512}
        return {"date": "2026-01-01", "machine": {"kind": kind, "cores": 2}, "content": rows}

    def test_a_panel_for_each_number_of_threads(self):
        rows = [
            {"threads": threads, "trajectories": 1, "side": side, "name": name, "minimum_ns": cost * side}
            for threads in (1, 2)
            for name, cost in (("fastpatch", 1.0), ("JAX, conv", 5.0))
            for side in (64, 32)
        ]
        figure = draw_cost(self.section([*rows, {**rows[0], "trajectories": 4}]))
        one, two = figure.axes
        assert (one.get_title(), two.get_title()) == ("one thread", "two threads")
        lines = {line.get_label(): line.get_xydata().tolist() for line in one.lines}
        assert lines == {"fastpatch": [[32, 32], [64, 64]], "JAX, conv": [[32, 160], [64, 320]]}
        assert "Some CPU" in figure.get_suptitle()

    def test_nothing_to_draw(self):
        with pytest.raises(BenchmarkError, match="no single lattice"):
            draw_cost(self.section([]))


class TestGpu:
    """The program for the first GPU: its logic in Numba's simulator, with nothing that a plain CUDA image lacks."""

    def test_complete_in_the_simulator_without_needless_packages(self, tmp_path):
        pytest.importorskip("numba_cuda", reason="the package numba-cuda, with its simulator, is not installed")
        code = (
            "import runpy, sys\n"
            "for name in ('xarray', 'h5netcdf', 'h5py', 'matplotlib', 'typer', 'torch', 'dask', 'tqdm'):\n"
            "    sys.modules[name] = None\n"
            "from bench import gpu_checks\n"
            "for name in ('one step of a large lattice', 'statistics of a run'):\n"
            "    del gpu_checks.CHECKS[name]\n"
            f"sys.argv = ['bench.gpu', '--output', {str(tmp_path / 'gpu')!r}]\n"
            "from bench import gpu\n"
            "gpu._TINY, gpu._CALLS = ((1, 6),), 2\n"
            "sys.exit(gpu.main())\n"
        )
        environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads((tmp_path / "gpu.json").read_text())
        assert report["end"] == "Complete."
        assert all(found["ok"] for found in report["checks"].values())
        assert [row["recorded"] for row in report["times"]] == [False, True]
        assert "| 1 × 6² | no |" in (tmp_path / "gpu.md").read_text()

    def test_the_limit_is_that_of_the_notes(self):
        h100 = {"name": "H100", "multiprocessors": 132, "clock_ghz": 1.755}
        assert limit(h100, recorded=False) == pytest.approx(11.5, abs=0.05)
        assert limit({"name": "simulator"}, recorded=False) is None

    def test_a_failure_is_in_the_report(self):
        checks = {"noise": {"ok": False, "found": "BenchmarkError: 3 of 9 normals differ", "seconds": 1.0}}
        report = {"date": "2026-01-01", "device": {"name": "X"}, "checks": checks, "times": [], "end": "Cut short."}
        text = markdown({**report, "failures": {"1 x 80^2": "RuntimeError: out of memory"}})
        assert "| noise | FAILED: BenchmarkError: 3 of 9 normals differ |" in text
        assert "| 1 x 80^2 | failed: RuntimeError: out of memory |" in text
        assert "Cut short." in text


def test_makefile_runs_what_exists():
    lines = (ROOT / "Makefile").read_text().splitlines()
    programs = {line.split("-m bench.")[1].split()[0] for line in lines if "-m bench." in line}
    assert programs == {"run", "peers", "plot", "check", "baseline", "gpu", "roofline"}
    for name in programs:
        assert (ROOT / "bench" / f"{name}.py").is_file()
