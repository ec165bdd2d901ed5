"""Train a small model of denoising-diffusion-pytorch on Fashion-MNIST, with classes or not, for `fastpatch network`.

The training step is the library's own, `diffusion(images, …)`, with its moving average of the weights:

    python examples/train_denoising_diffusion_pytorch.py --classes --minutes 10
    fastpatch network window examples/train_denoising_diffusion_pytorch.py:trained \\
        --images runs/ddpm/images.npy --labels runs/ddpm/labels.npy

The command runs this file and calls `trained`, which builds the object again and loads the weights of runs/ddpm; so
does Python, with `denoisers.from_denoising_diffusion_pytorch(trained())`. Images for the command are in [-1, 1].
Needs `pip install denoising-diffusion-pytorch`, and the torchvision that belongs to the installed torch.
"""

import argparse
import time
from pathlib import Path

import denoising_diffusion_pytorch as plain
import numpy as np
import torch
from denoising_diffusion_pytorch import classifier_free_guidance as guided
from ema_pytorch import EMA

from fastpatch.neural import load_images, load_labels

OUT = Path("runs/ddpm")


def diffusion_of(classes: bool) -> torch.nn.Module:
    """The library's object, of which fastpatch takes objective, noise schedule, image size and network."""
    if classes:
        net = guided.Unet(dim=16, dim_mults=(1, 2, 2), num_classes=10, cond_drop_prob=0.2, channels=1)
        return guided.GaussianDiffusion(net, image_size=28, timesteps=1000, objective="pred_v")
    net = plain.Unet(dim=16, dim_mults=(1, 2, 2), channels=1)
    return plain.GaussianDiffusion(net, image_size=28, timesteps=1000, objective="pred_v")


def trained(out: Path = OUT) -> torch.nn.Module:
    """What `main` has trained, with the averaged weights."""
    kept = torch.load(out / "model.pt", weights_only=True)
    diffusion = diffusion_of(kept["classes"])
    diffusion.load_state_dict(kept["averaged"])
    return diffusion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", action="store_true", help="class-conditional, with classifier-free guidance")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="directory with the IDX files; else downloaded once")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()

    torch.manual_seed(given.seed)
    # The package wants images in [0, 1] and shifts them to [-1, 1] itself.
    images = (torch.from_numpy(load_images("train", "grey", given.data)) + 1.0) / 2.0
    labels = torch.from_numpy(load_labels("train", given.data).astype(np.int64))
    diffusion = diffusion_of(given.classes)
    averaged = EMA(diffusion, beta=0.98, update_every=2, update_after_step=20)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-3, betas=(0.9, 0.99))
    steps, begin, shown = 0, time.monotonic(), 0.0
    while (passed := time.monotonic() - begin) < 60.0 * given.minutes:
        chosen = torch.randint(0, len(images), (given.batch_size,))
        loss = diffusion(images[chosen], **({"classes": labels[chosen]} if given.classes else {}))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        averaged.update()
        steps += 1
        if passed - shown > 30.0:
            shown = passed
            print(f"{passed / 60.0:.1f} min, {steps} steps, loss {loss.item():.4f}", flush=True)

    given.out.mkdir(parents=True, exist_ok=True)
    torch.save({"classes": given.classes, "averaged": averaged.ema_model.state_dict()}, given.out / "model.pt")
    np.save(given.out / "images.npy", load_images("test", "grey", given.data)[:2000])
    np.save(given.out / "labels.npy", load_labels("test", given.data)[:2000].astype(np.int64))
    count = sum(weight.numel() for weight in diffusion.parameters())
    print(f"{count / 1e6:.2f} million parameters, {steps} steps of {given.batch_size} images in {given.out}")


if __name__ == "__main__":
    main()
