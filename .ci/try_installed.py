"""What a new user does first, with an installed copy: import, run, save, read, the command line, its figures."""

import subprocess
import sys
import tempfile
from pathlib import Path

import fastpatch as fp

assert "site-packages" in fp.__file__, f"{fp.__file__} is not an installed copy"
folder = Path(tempfile.mkdtemp())

model = fp.PatchModel(fp.PatchDictionary.random())
ds = fp.simulate(model, shape=(32, 40), trajectories=2, times=fp.log_time_grid(steps=200), record_every=10)
assert ds.sizes["trajectory"] == 2
assert bool((abs(ds.magnetization.isel(time=-1)) <= 1.0).all())
fp.save(ds, folder / "result.nc")
assert fp.load(folder / "result.nc").equals(ds)

command = [sys.executable, "-m", "fastpatch"]
subprocess.run([*command, "info"], check=True)
subprocess.run(
    [*command, "patch", "--shape", "32x40", "--steps", "200", "--out", str(folder / "patch"), "--quiet"], check=True
)
assert (folder / "patch" / "figure3.png").stat().st_size > 10_000
print(f"fastpatch {fp.__version__} works on Python {sys.version.split()[0]}")
