"""What a model looks at and what its layers do, as numbers; `keras_seq.plots` draws them."""

from keras_seq.inspection._attention_rollout import attention_rollout
from keras_seq.inspection._attention_scores import attention_scores
from keras_seq.inspection._gates import gates
from keras_seq.inspection._gradient_flow import gradient_flow

__all__ = ["attention_rollout", "attention_scores", "gates", "gradient_flow"]
