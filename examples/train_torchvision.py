"""Train with the corruptions as an augmentation in a torchvision transform. Needs torch, torchvision and Pillow.

python examples/train_torchvision.py data/train       # a folder of class folders, as ImageFolder reads it
"""

import argparse

import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from corruptions import Augment


def main() -> None:
    """Train on a folder of images."""
    parser = argparse.ArgumentParser(description="Train a small classifier with Augment in a torchvision transform.")
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()

    transform = transforms.Compose(
        [
            transforms.Resize((64, 64)),
            Augment(seed=0, probability=0.5, exclude=["pixelate"]),  # PIL image in, PIL image out
            transforms.ToTensor(),
        ]
    )
    images = ImageFolder(args.folder, transform)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, len(images.classes)),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for epoch in range(args.epochs):
        for batch, labels in DataLoader(images, batch_size=16, shuffle=True):
            loss = torch.nn.functional.cross_entropy(model(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
