"""A small data set that can be learned and a small network, for runs of a second."""

import pickle

import numpy as np
import pytest

CLASSES = 4


def write_part(folder, part, num, seed):
    """Clips in which four joints of its class swing, in a direction of its class; names and labels beside them."""
    rng = np.random.default_rng(seed)
    label = np.arange(num) % CLASSES
    t = np.arange(20)[:, None, None]  # (T, V, M)
    data = rng.normal(0, 0.05, (num, 3, 20, 18, 2)).astype(np.float32)
    for clip, c in zip(data, label):
        clip[c % 2, :, 4 * c : 4 * c + 4] += 1 + np.sin(t + rng.uniform(0, 6))
    data[:, 2] = 1
    data[..., 1] = 0
    np.save(folder / f"{part}_data.npy", data)
    (folder / f"{part}_label.pkl").write_bytes(pickle.dumps(([f"{part}{i}" for i in range(num)], label.tolist())))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The folder of the small data set and its config, config.yaml."""
    folder = tmp_path_factory.mktemp("small")
    write_part(folder, "train", 48, 0)
    write_part(folder, "val", 21, 1)
    (folder / "names.txt").write_text("up\ndown\nleft\nright\n")
    (folder / "config.yaml").write_text(f"""
train_feeder_args: {{data_path: {folder}/train_data.npy, label_path: {folder}/train_label.pkl, random_move: True}}
test_feeder_args: {{data_path: {folder}/val_data.npy, label_path: {folder}/val_label.pkl}}
label_names: {folder}/names.txt
model: net.st_gcn.Model
model_args:
  in_channels: 3
  num_class: {CLASSES}
  dropout: 0.1
  blocks: [[8, 1], [16, 2]]
  graph_args: {{layout: openpose, strategy: spatial}}
base_lr: 1e-1
step: [4]
batch_size: 8
test_batch_size: 8
num_epoch: 6
eval_interval: 2
save_interval: 3
log_interval: 2
""")
    return folder
