"""Train with the corruptions as an augmentation beside kornia's, on batches of tensors. Needs torch and kornia.

python examples/train_kornia.py
"""

import argparse

import kornia.augmentation as K
import torch

from corruptions import Augment


def main() -> None:
    """Train on random batches."""
    parser = argparse.ArgumentParser(description="Train a small classifier with Augment beside kornia's augmentations.")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    augment = torch.nn.Sequential(
        K.RandomHorizontalFlip(p=0.5),
        Augment(seed=0, strengths=(0.0, 3.0)),  # float (N, C, H, W) from 0 to 1, in and out, on its own device
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((64, 3, 64, 64), generator=generator).to(args.device)  # put your own images here
    labels = torch.randint(0, 2, (64,), generator=generator).to(args.device)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    ).to(args.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(args.steps):
        indices = torch.randint(0, 64, (16,), generator=generator).to(args.device)
        loss = torch.nn.functional.cross_entropy(model(augment(images[indices])), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step + 1}: loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
