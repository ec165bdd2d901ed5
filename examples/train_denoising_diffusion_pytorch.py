"""Train a small model of denoising-diffusion-pytorch on Fashion-MNIST, and measure where it decides an image.

    python examples/train_denoising_diffusion_pytorch.py --minutes 10 --out runs/ddpm

Needs `pip install denoising-diffusion-pytorch`, and the torchvision that belongs to the installed torch. The object is
adapted in one call, without a file format between; the result is written to OUT/result.nc and OUT/information.png.
"""

import argparse
import time
from pathlib import Path

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet

import fastpatch as fp
from fastpatch.analysis import figures
from fastpatch.neural import denoisers, load_images, measure_information


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--runs", type=int, default=32, help="test images whose information is measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="directory with the IDX files; else downloaded once")
    parser.add_argument("--out", type=Path, default=Path("runs/ddpm"))
    given = parser.parse_args()

    torch.manual_seed(given.seed)
    # The package wants images in [0, 1] and shifts them to [-1, 1] itself.
    images = (torch.from_numpy(load_images("train", "grey", given.data)) + 1.0) / 2.0
    model = Unet(dim=16, dim_mults=(1, 2, 4), channels=1)
    diffusion = GaussianDiffusion(model, image_size=28, timesteps=1000, objective="pred_v")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps, begin = 0, time.monotonic()
    while time.monotonic() - begin < 60.0 * given.minutes:
        loss = diffusion(images[torch.randint(0, len(images), (given.batch_size,))])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
    print(f"{steps} steps, last loss {loss.item():.4f}")

    net = denoisers.from_denoising_diffusion_pytorch(diffusion)
    dataset = measure_information(net, load_images("test", "grey", given.data)[: given.runs], runs=given.runs)
    given.out.mkdir(parents=True, exist_ok=True)
    fp.save(dataset, given.out / "result.nc")
    figure = figures.draw_information(dataset, title="denoising-diffusion-pytorch")
    figures.save_figure(figure, given.out / "information.png")
    rate = dataset["total_rate"].mean("image")
    print(f"most of the image is decided per log sigma at sigma = {float(rate.idxmax('sigma')):.3g}")


if __name__ == "__main__":
    main()
