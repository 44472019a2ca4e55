"""Update the last layer of your own network instead of training it again.

Any PyTorch network will do whose last layer is linear. Here it is a small one on scikit-learn's
digits: it is trained on 100 labels, and then learns from 50 more in a few milliseconds.

    python examples/update_your_head.py
"""

import time

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import alupdate

N_FIRST, N_NEW, N_TEST = 100, 50, 797


def trained(network: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
    """Train the whole network on a few hundred labels."""
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network.eval()


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Return the share of correct predictions."""
    return (probabilities.argmax(dim=1) == labels).double().mean().item()


def main() -> None:
    """Train, update, and compare with training again."""
    torch.manual_seed(0)
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).flatten(1) / 16
    labels = torch.tensor(bunch.target)
    order = torch.randperm(len(labels))
    first, new, test = order[:N_FIRST], order[N_FIRST : N_FIRST + N_NEW], order[-N_TEST:]

    body, head = nn.Sequential(nn.Linear(64, 128), nn.ReLU()), nn.Linear(128, 10)
    network = trained(nn.Sequential(body, head), images[first], labels[first])
    with torch.no_grad():
        features = body(images)  # what the last layer sees: (N, 128)

    # The posterior around the trained layer. The head has a bias: it is taken along.
    posterior = alupdate.fit(head, features[first], likelihood="per_class", prior_precision=0.3)
    start = time.perf_counter()
    update = alupdate.update_rule("map").update(posterior, features[new], labels[new], gamma=1.0)
    milliseconds = 1000 * (time.perf_counter() - start)

    both = order[: N_FIRST + N_NEW]
    start = time.perf_counter()
    retrained = trained(network, images[both], labels[both])
    retraining = 1000 * (time.perf_counter() - start)

    with torch.no_grad():
        again = torch.softmax(retrained(images[test]), dim=1)
    before = accuracy(posterior.predict(features[test]), labels[test])
    after = accuracy(update.posterior.predict(features[test]), labels[test])
    print(f"{N_FIRST} labels              accuracy {before:.3f}")
    print(f"{N_NEW} more by an update    accuracy {after:.3f}, {milliseconds:.1f} ms")
    print(f"{N_NEW} more by retraining   accuracy {accuracy(again, labels[test]):.3f}, ", end="")
    print(f"{retraining:.0f} ms")


if __name__ == "__main__":
    main()
