"""Train a small UNet2DModel on Fashion-MNIST with diffusers' own parts, for `fastpatch network`.

The loop is that of diffusers' tutorial on unconditional training, on the time one is willing to wait:

    python examples/train_with_diffusers.py --classes --minutes 10 --out runs/example
    fastpatch network window runs/example --null-label 10 \\
        --images runs/example/images.npy --labels runs/example/labels.npy

With --classes a tenth of the images is shown as class 10, "no class", the unconditional counterpart. Beside unet/ and
scheduler/ the directory gets images.npy and labels.npy, test images in the range of the network, for calibration.
Needs `pip install "fastpatch[diffusers]"`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch.nn import functional

from fastpatch.neural import load_images, load_labels

NO_CLASS = 10
DROPOUT = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", action="store_true", help="class-conditional, with class 10 for none")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="directory with the IDX files; else downloaded once")
    parser.add_argument("--out", type=Path, default=Path("runs/example"))
    given = parser.parse_args()

    torch.manual_seed(given.seed)
    images = torch.from_numpy(load_images("train", "grey", given.data))
    labels = torch.from_numpy(load_labels("train", given.data).astype(np.int64))
    model = UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(16, 32, 64),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=16,
        num_class_embeds=NO_CLASS + 1 if given.classes else None,
    )
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    steps, begin, shown = 0, time.monotonic(), 0.0
    while (passed := time.monotonic() - begin) < 60.0 * given.minutes:
        # A cosine of the time that has passed, since the number of steps is not known.
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1.0 + np.cos(np.pi * min(passed / (60.0 * given.minutes), 1.0)))
        chosen = torch.randint(0, len(images), (given.batch_size,))
        clean = images[chosen]
        noise = torch.randn_like(clean)
        timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),))
        noisy = scheduler.add_noise(clean, noise, timesteps)
        classes = None
        if given.classes:
            classes = torch.where(torch.rand(len(clean)) < DROPOUT, NO_CLASS, labels[chosen])
        loss = functional.mse_loss(model(noisy, timesteps, class_labels=classes).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
        if passed - shown > 30.0:
            shown = passed
            print(f"{passed / 60.0:.1f} min, {steps} steps, loss {loss.item():.4f}", flush=True)

    given.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(given.out / "unet")
    scheduler.save_pretrained(given.out / "scheduler")
    np.save(given.out / "images.npy", load_images("test", "grey", given.data)[:2000])
    np.save(given.out / "labels.npy", load_labels("test", given.data)[:2000].astype(np.int64))
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{count / 1e6:.2f} million parameters, {steps} steps of {given.batch_size} images in {given.out}")


if __name__ == "__main__":
    main()
