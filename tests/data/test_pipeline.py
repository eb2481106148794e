import itertools

import pytest

from keras_seq.data._batch_plan import plan_batches
from keras_seq.data._pipeline import make_dataset
from keras_seq.data._ragged import Ragged

ROWS = [[1], [2, 3], [4, 5, 6], [7], [8, 9], [10, 11, 12], [13], [14]]


def pipeline(shuffle=True, seed=0, rows=ROWS, **arguments):
    ragged = Ragged.of(rows)
    plan = plan_batches(ragged.lengths[:, None], **{"batch_size": 2, **arguments})
    gather = ragged.padded()
    return make_dataset(plan, lambda r, n, key: gather(r, n[0]), shuffle=shuffle, seed=seed)


def content(dataset):
    return [batch.numpy().tolist() for batch in dataset]


def test_each_pass_has_an_order_of_its_own_and_each_seed_its_orders():
    dataset = pipeline()
    passes = [content(dataset) for _ in range(4)]
    assert len({str(p) for p in passes}) > 1
    for one in passes:
        assert sorted(i for batch in one for row in batch for i in row if i) == list(range(1, 15))
    again = pipeline()
    assert [content(again) for _ in range(4)] == passes
    other = pipeline(seed=1)
    assert [content(other) for _ in range(4)] != passes


def test_in_order_rows_of_one_length_stay_where_they_are():
    assert content(pipeline(False, shapes=[(3,)])) == [
        [[1, 0, 0], [2, 3, 0]],
        [[4, 5, 6], [7, 0, 0]],
        [[8, 9, 0], [10, 11, 12]],
        [[13, 0, 0], [14, 0, 0]],
    ]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_pipeline_begins_at_any_step(shuffle):
    dataset = pipeline(shuffle)
    steps = 3 * len(dataset)
    whole = content(dataset.from_step(0).take(steps))
    for step in range(steps):
        assert content(dataset.from_step(step).take(steps - step)) == whole[step:]
    if not shuffle:
        assert whole == 3 * content(dataset)
    else:
        passes = [whole[i : i + len(dataset)] for i in range(0, steps, len(dataset))]
        assert any(a != b for a, b in itertools.combinations(passes, 2))


def test_passes_end_where_asked():
    dataset = pipeline()
    assert len(content(dataset.from_step(1, passes=2))) == 2 * len(dataset) - 1


def test_what_does_not_vary_is_known_before():
    assert pipeline().element_spec.shape == (2, None)
    assert pipeline(shapes=[(3,)], drop_last=True).element_spec.shape == (2, 3)
    assert pipeline(rows=ROWS[:-1]).element_spec.shape == (None, None)
    assert len(pipeline()) == 4 and int(pipeline().cardinality()) == 4


def test_autotuning_is_off_and_order_is_kept():
    for dataset in (pipeline(), pipeline().from_step(3)):
        assert dataset.options().autotune.enabled is False
        assert dataset.options().deterministic is True
