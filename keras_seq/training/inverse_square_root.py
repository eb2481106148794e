"""`InverseSquareRoot`: the learning rate of the Transformer."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive, is_number


@keras.saving.register_keras_serializable(package="keras_seq")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    r"""Linear warm-up, then decay with the inverse square root of the step.

        learning_rate = peak * min(sqrt(warmup / n), n / warmup)        # n = 1, 2, ...: the step

    It is largest at step n = `warmup_steps`, where it is `peak_learning_rate`. The schedule of
    Vaswani et al. 2017, section 5.3,

        d^-0.5 * min(n^-0.5, n * warmup^-1.5)

    has the peak (d * warmup)^-0.5, with d the width of the model: 7.0e-4 for 512 features and 4,000
    steps. fairseq's `--lr-scheduler inverse_sqrt` has the arguments of this one.

    With the `gradient_accumulation_steps` of an optimizer, Keras counts every batch as a step, not
    every update of the weights: multiply `warmup_steps` by it.

    Args:
        peak_learning_rate: positive float.
        warmup_steps: number of steps up to the peak.

    Raises:
        ValueError: if the rate is not positive or the number of steps below 1.

    Example:

    ```python
    import keras
    from keras_seq.training import InverseSquareRoot

    schedule = InverseSquareRoot(peak_learning_rate=(512 * 4000) ** -0.5, warmup_steps=4000)
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.98, epsilon=1e-9)
    print(f"{float(schedule(3999)):.1e}")  # 7.0e-04, in the 4,000th step
    ```
    """

    def __init__(self, peak_learning_rate, warmup_steps=4000):
        super().__init__()
        if not is_number(peak_learning_rate) or peak_learning_rate <= 0:
            raise ValueError(
                "`peak_learning_rate` of InverseSquareRoot must be a positive number. Received: "
                f"{peak_learning_rate!r}"
            )
        check_positive("InverseSquareRoot", warmup_steps=warmup_steps)
        self.peak_learning_rate = peak_learning_rate
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        n = ops.cast(step, "float32") + 1  # Keras counts the steps that have been made
        return self.peak_learning_rate * ops.minimum(
            ops.sqrt(self.warmup_steps / n), n / self.warmup_steps
        )

    def get_config(self):
        return {
            "peak_learning_rate": self.peak_learning_rate,
            "warmup_steps": self.warmup_steps,
        }
