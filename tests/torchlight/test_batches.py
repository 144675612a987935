"""Orders that depend on (seed, epoch) alone, shares that make up the whole batch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from torchlight.batches import Batches

sizes = {"num_sample": st.integers(1, 50), "batch_size": st.integers(1, 50), "seed": st.integers(0, 9)}


@given(**sizes, epoch=st.integers(0, 5))
def test_training_batches_are_full_and_hold_a_sample_once(num_sample, batch_size, seed, epoch):
    batches = Batches(num_sample, batch_size, shuffle=True, seed=seed)
    batches.start(epoch)
    found = list(batches)
    assert all(len(batch) == batch_size for batch in found) and len(found) == num_sample // batch_size == len(batches)
    samples = [sample for batch in found for sample in batch]
    assert len(set(samples)) == len(samples) and set(samples) <= set(range(num_sample))
    again = Batches(num_sample, batch_size, shuffle=True, seed=seed)
    again.start(epoch + 1)
    again.start(epoch)
    assert list(again) == found


@given(**sizes, world=st.integers(1, 4))
def test_a_test_sees_every_sample_once_in_order_whatever_the_world(num_sample, batch_size, seed, world):
    shares = [list(Batches(num_sample, batch_size, False, seed, rank=rank, world=world)) for rank in range(world)]
    seen = sorted(sample for share in shares for batch in share for sample in batch)
    assert seen == list(range(num_sample))
    assert all(batch for share in shares for batch in share)


@given(world=st.sampled_from([1, 2, 4]), epoch=st.integers(0, 3))
def test_shares_make_up_the_batch_of_a_single_process(world, epoch):
    whole = Batches(40, 8, True, 3)
    shares = [Batches(40, 8, True, 3, rank=rank, world=world) for rank in range(world)]
    for batches in (whole, *shares):
        batches.start(epoch)
    for i, batch in enumerate(whole):
        assert sorted(batch) == sorted(np.concatenate([share.samples(i) for share in shares]))


@given(num_sample=st.integers(1, 20), repeat=st.integers(1, 5), epoch=st.integers(0, 3))
def test_an_epoch_of_repeated_samples_has_each_in_as_many_epochs_of_its_own(num_sample, repeat, epoch):
    batches = Batches(num_sample, 1, True, 0, with_epoch=True, repeat=repeat)
    batches.start(epoch)
    found = [pair for batch in batches for pair in batch]
    passes = range(epoch * repeat, (epoch + 1) * repeat)
    assert sorted(found) == [(p, sample) for p in passes for sample in range(num_sample)]
    batches.start(epoch, begin=2)
    assert [pair for batch in batches for pair in batch] == found[2:]  # as a resumed run goes on
    assert len(Batches(num_sample, 4, True, repeat=repeat)) == num_sample * repeat // 4


def test_begin_leaves_out_what_was_done_and_pairs_have_the_epoch():
    batches = Batches(20, 5, True, 0, with_epoch=True)
    batches.start(3)
    whole = list(batches)
    batches.start(3, begin=2)
    assert list(batches) == whole[2:] and len(batches) == 2
    assert all(epoch == 3 and 0 <= i < 20 for batch in whole for epoch, i in batch)
