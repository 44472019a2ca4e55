"""Update the last layer of your own network instead of training it again.

Any PyTorch network will do whose last layer is linear. Here the body is frozen, as a pretrained
one would be, and the head is trained on 50 labels. Then it learns from 50 more by one update.

    python examples/update_your_head.py
"""

import time

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import alupdate

N_FIRST, N_NEW, N_TEST = 50, 50, 797
WIDTH, CLASSES = 256, 10


def trained_head(features: Tensor, labels: Tensor) -> nn.Linear:
    """Train a last layer on features (N, D) and labels (N,)."""
    head = nn.Linear(WIDTH, CLASSES)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.01, weight_decay=1e-3)
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(features), labels).backward()
        optimiser.step()
    return head


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Return the share of correct predictions."""
    return (probabilities.argmax(dim=1) == labels).double().mean().item()


def main() -> None:
    """Train, update, and compare with training again."""
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).flatten(1)
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels))
    first, new, test = order[:N_FIRST], order[N_FIRST : N_FIRST + N_NEW], order[-N_TEST:]

    body = nn.Sequential(nn.Linear(images.shape[1], WIDTH), nn.ReLU())  # yours goes here
    with torch.no_grad():
        features = body((images - images.mean(dim=0)) / images.std())  # what the head sees: (N, D)

    head = trained_head(features[first], labels[first])
    # The posterior around the trained head. It has a bias, which is taken along.
    posterior = alupdate.fit(head, features[first], likelihood="per_class", prior_precision=0.3)

    start = time.perf_counter()
    update = alupdate.update_rule("map").update(posterior, features[new], labels[new], gamma=1.0)
    update_ms = 1000 * (time.perf_counter() - start)

    start = time.perf_counter()
    again = trained_head(features[order[: N_FIRST + N_NEW]], labels[order[: N_FIRST + N_NEW]])
    retraining_ms = 1000 * (time.perf_counter() - start)

    before = accuracy(posterior.predict(features[test]), labels[test])
    after = accuracy(update.posterior.predict(features[test]), labels[test])
    retrained = accuracy(again(features[test]), labels[test])
    print(f"{N_FIRST} labels             accuracy {before:.3f}")
    print(f"{N_NEW} more by an update   accuracy {after:.3f}, {update_ms:.1f} ms")
    print(f"{N_NEW} more by retraining  accuracy {retrained:.3f}, {retraining_ms:.1f} ms")


if __name__ == "__main__":
    main()
