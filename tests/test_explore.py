"""The explorer: what its frames measure, the code that it shows, and the page itself in a headless Chromium."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastpatch as fp

pytest.importorskip("bokeh", reason="Bokeh is not installed")

from fastpatch.explore import EDMSettings, MachineSettings, scrubbing_page
from fastpatch.explore import page as page_module
from fastpatch.explore import view as view_module
from fastpatch.explore.frames import frames, spectra

SMALL = MachineSettings(side=16, steps=200, trajectories=2, n_random=2)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_frames_are_the_states_of_the_run_that_the_code_makes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(SMALL.code(), namespace)
    shown = list(frames(SMALL))
    ds = namespace["ds"]
    assert fp.load(tmp_path / "result.nc").equals(ds)
    assert np.array_equal(ds.final, shown[-1].x)
    assert np.allclose([frame.time for frame in shown], ds.time)
    assert np.allclose(np.transpose([frame.xi_x for frame in shown]), ds.xi_x)
    lowest = ds.mode_derivative.isel(shell=0).mean("direction").median("trajectory")
    assert np.allclose([frame.modes[0] for frame in shown], lowest, rtol=1e-3, atol=1e-3)


def test_spectra_agree_with_theory_where_noise_forgets_everything():
    first = next(iter(frames(SMALL)))
    found = spectra(SMALL, first, SMALL.model(), SMALL.null())
    for curve in (found.lambda_, found.linear, found.null):
        assert np.allclose(curve, 0.5, atol=1e-6)
    assert found.power[1:].mean() == pytest.approx(1.0, abs=0.2)
    low, high = found.span
    assert low < 0.5 < high


def test_frames_of_the_edm_network_are_those_of_its_analysis(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.chdir(tmp_path)
    few = EDMSettings(class_label=7, trajectories=1, steps=2)
    namespace = {}
    exec(few.code(), namespace)
    shown, ds = list(frames(few)), namespace["ds"]
    assert len(shown) == few.frames
    assert np.allclose([frame.time for frame in shown], ds.sigma)
    assert np.allclose(np.transpose([frame.xi_x for frame in shown]), ds.xi_x)
    lowest = (ds.sigma * ds.mode_derivative).isel(trajectory=0, shell=slice(0, 5)).mean("direction")
    assert np.allclose([frame.modes for frame in shown], lowest, atol=1e-4)
    # State and denoised image, side by side; at the last level there is little noise between them.
    left, right = np.split(shown[-1].picture.astype(float), 2, axis=1)
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.9


def test_what_a_run_lacks_is_said_on_the_page(monkeypatch, tmp_path):
    def without_torch(_):
        raise ModuleNotFoundError("No module named 'torch'")

    def diverging(_):
        raise fp.errors.FastpatchError("the state is not finite from t = 3")

    monkeypatch.setattr(EDMSettings, "model", without_torch)
    tab = page_module._edm(tmp_path)
    tab.start()
    tab.refresh()
    assert tab.status.text.startswith("No module named 'torch'; expected `pip install")
    monkeypatch.setattr(EDMSettings, "model", lambda _: None)
    monkeypatch.setattr(view_module, "frames", diverging)
    tab.start()
    while "not finite" not in tab.status.text:
        tab.refresh()
    monkeypatch.setattr(view_module, "frames", lambda _: [][0])
    tab.start()
    while tab.status.text != "the run failed with IndexError (list index out of range); expected other settings":
        tab.refresh()


def test_a_run_that_is_stopped_has_ended_when_the_page_is_left(monkeypatch, tmp_path):
    left = []

    def endless(_):
        try:
            while True:
                yield None
        finally:
            left.append(True)

    tab = page_module._machine(tmp_path)
    monkeypatch.setattr(view_module, "frames", endless)
    tab.start()
    assert not left
    tab.stop()
    tab.join(30.0)
    assert left == [True]


def test_what_was_saved_stands_beside_the_frame(monkeypatch, tmp_path):
    tab = page_module._machine(tmp_path)
    monkeypatch.setattr(view_module, "frames", lambda _: [])
    monkeypatch.setattr(view_module, "save", lambda dataset, path: None)
    monkeypatch.setattr(type(tab.settings), "simulate", lambda _: None)
    tab.start()
    tab._save()
    while not tab.status.text.startswith("wrote"):
        tab.refresh()
    assert tab.status.text == f"wrote {tmp_path / 'result.nc'} — compiling or loading …"
    tab.start()
    tab.refresh()
    assert tab.status.text == "compiling or loading …"


def test_a_port_that_is_none_is_refused():
    from fastpatch.explore import serve

    with pytest.raises(fp.errors.InvalidInputError, match="port is 70000; expected at least 0 and at most 65535"):
        serve(70000, open_browser=False)


def test_without_random_patterns_all_mass_is_uniform():
    assert len(MachineSettings(n_random=0).dictionary) == 2
    namespace = {}
    exec("\n".join(MachineSettings(n_random=0).code().splitlines()[:3]), namespace)
    assert namespace["dictionary"] == MachineSettings(n_random=0).dictionary


def test_the_static_page_holds_all_it_needs(tmp_path):
    scrubbing_page(tmp_path / "page.html", SMALL, stride=20)
    text = (tmp_path / "page.html").read_text()
    assert "predicted zeros of" in text
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=\"https?:", text)


def test_a_port_that_is_taken_is_one_sentence(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "fastpatch", "explore", "--no-open", "--port", str(port)],
            capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"fastpatch: port {port} cannot be opened")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def page(tmp_path):
    """The page in a browser, with the server behind it; screenshots go to FASTPATCH_SCREENSHOTS if that is set."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    server = subprocess.Popen(
        [sys.executable, "-m", "fastpatch", "explore", "--no-open", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        address = server.stdout.readline().split()[0]
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            opened = browser.new_page(viewport={"width": 1400, "height": 950})
            opened.complaints = []
            opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
            opened.set_default_timeout(200_000)
            opened.goto(address)
            yield opened
            browser.close()
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


def read(page, expression):
    """A value of the Bokeh document's model of a name."""
    return json.loads(page.evaluate(f"(() => JSON.stringify({expression}))()"))


def model(name, tab="machine"):
    return f"Bokeh.documents[0].get_model_by_name('{tab}-{name}')"


def wait(page, condition):
    page.wait_for_function(f"() => window.Bokeh && Bokeh.documents.length && {condition}")


def test_the_page_in_a_browser(page, tmp_path):
    # Started: frames come without a click.
    wait(page, f"{model('scrub')} && {model('scrub')}.value >= 5")
    assert read(page, f"{model('status')}.text").startswith("t = ")

    # A slider moved starts another run.
    before = read(page, f"{model('code')}.text")
    for name, value in (("side", 32), ("steps", 200)):
        page.evaluate(f"() => {{ const s = {model(name)}; s.value = {value}; s.value_throttled = {value} }}")
    wait(page, f"{model('code')}.text.includes('shape=(32, 32)') && {model('code')}.text.includes('steps=200')")
    wait(page, f"{model('scrub')}.value == {model('scrub')}.end && {model('scrub')}.end == 200")
    wait(page, f"{model('status')}.text.startsWith('t = 0.001,')")
    assert read(page, f"{model('code')}.text") != before

    # Scrub, play, pause.
    play_and_pause(page)

    # Show the code, save.
    page.get_by_text("show the code", exact=True).first.click()
    wait(page, f"{model('code')}.visible")
    page.get_by_text("save", exact=True).first.click()
    wait(page, f"{model('status')}.text.startsWith('wrote')")
    assert fp.load(tmp_path / "result.nc").sizes["x"] == 32
    photograph(page, "machine")

    # The tab of a trained network.
    pytest.importorskip("torch", reason="torch is not installed")
    page.evaluate("() => { Bokeh.documents[0].get_model_by_name('tabs').active = 2 }")
    for name, value in (("trajectories", 1), ("steps", 16)):
        page.evaluate(f"() => {{ const s = {model(name, 'edm')}; s.value = {value}; s.value_throttled = {value} }}")
    wait(page, f"{model('code', 'edm')}.text.includes('trajectories=1') && {model('scrub', 'edm')}.value >= 2")
    assert read(page, f"{model('status', 'edm')}.text").startswith("σ = ")
    photograph(page, "edm")
    assert page.complaints == []


def play_and_pause(page):
    """Play from frame 60 and pause before the end, which comes after some seconds whatever the browser's speed.

    Clicks are dispatched: a real one waits for a button that stands still, and each change of label replaces it.
    """
    from playwright.sync_api import TimeoutError as TooLate

    for _ in range(20):
        page.evaluate(f"() => {{ {model('scrub')}.value = 60 }}")
        wait(page, f"{model('status')}.text.startsWith('t = ') && {model('scrub')}.value == 60")
        page.get_by_text("play", exact=True).first.dispatch_event("click")
        wait(page, f"{model('scrub')}.value > 65")
        with contextlib.suppress(TooLate):  # at the end of the run the button is "play" again
            page.get_by_text("pause", exact=True).first.dispatch_event("click", timeout=2000)
        wait(page, f"!{model('play')}.active")
        if read(page, f"{model('scrub')}.value < {model('scrub')}.end"):
            return
    pytest.fail("the button did not pause a run in 20 attempts")


def photograph(page, name):
    if folder := os.environ.get("FASTPATCH_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"explore-{name}.png"))
