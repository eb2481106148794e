"""How often XLA compiles: counted by the compiler itself, for TensorFlow counts traces alone."""

import contextlib
import pathlib
import tempfile

import keras


@contextlib.contextmanager
def counted_compilations():
    """Gives a list that holds the number of XLA compilations inside once it is left."""
    counts = []
    if keras.backend.backend() == "jax":
        import jax

        events = []

        def listen(event, *args, **kwargs):
            if event.endswith("backend_compile_duration"):
                events.append(event)

        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            yield counts
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)
            counts.append(len(events))
        return
    import tensorflow as tf

    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=1, python_tracer_level=0)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, options=options)
        try:
            yield counts
        finally:
            tf.profiler.experimental.stop()
            counts.append(sum(map(_compilations_in, pathlib.Path(folder).rglob("*.xplane.pb"))))


def _compilations_in(path):
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    return sum(
        plane.event_metadata[event.metadata_id].name == "CpuCompiler::RunBackend"
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    )
