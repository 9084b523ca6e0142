"""Programs for a GPU that is not there: XLA compiles them ahead of time from a description of the GPU.

Nothing is run, so nothing is timed; what can be seen is which kernels, library calls and loops there are, and
how much memory they take. Routines are not tuned by trial, as they would be on the GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from packaging.version import Version


class _Gpu(NamedTuple):
    """What XLA asks for and differs between GPUs; memory in bytes, bandwidth in bytes per second."""

    multiprocessors: int
    units_of_each: int
    shared_memory: int
    shared_memory_of_a_block: int
    bandwidth: int
    cache: int
    clock_ghz: float
    memory: int
    capability: int


_GPUS = {
    "A100": _Gpu(
        multiprocessors=108,
        units_of_each=64,
        shared_memory=167936,
        shared_memory_of_a_block=166912,
        bandwidth=2039000000000,
        cache=41943040,
        clock_ghz=1.41,
        memory=85100000000,
        capability=8,
    ),
    "H100": _Gpu(
        multiprocessors=132,
        units_of_each=128,
        shared_memory=233472,
        shared_memory_of_a_block=232448,
        bandwidth=3352320000000,
        cache=52428800,
        clock_ghz=1.98,
        memory=84929347584,
        capability=9,
    ),
}
TARGETS = tuple(_GPUS)
# As the tables of XLA's `GpuTargetConfigProto` ask for it.
_DESCRIPTION = """
platform_name: "CUDA"
device_description_str: "NVIDIA {name}"
runtime_version {{ major: 12 minor: 8 }}
dnn_version_info {{ major: 9 minor: 7 }}
gpu_device_info {{
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_block: 49152
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  core_count: {multiprocessors}
  fpus_per_core: {units_of_each}
  shared_memory_per_core: {shared_memory}
  shared_memory_per_block_optin: {shared_memory_of_a_block}
  memory_bandwidth: {bandwidth}
  l2_cache_size: {cache}
  clock_rate_ghz: {clock_ghz}
  device_memory_size: {memory}
  cuda_compute_capability {{ major: {capability} }}
}}
"""
# JAX's own check of the driver, which fails where there is none.
VARIABLES = {"JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"}
# JAX 0.7 cannot compile a factorisation without a GPU, this one can.
OLDEST_JAX = Version("0.9.2")


def compiler_for(jax_version: str) -> tuple[str, ...]:
    """The packages that hold XLA's compiler for NVIDIA GPUs, for programs of a version of JAX.

    Where that is too old, JAX itself is among them, to be used in its place.
    """
    version = max(Version(jax_version), OLDEST_JAX)
    plugin = (f"jax-cuda12-plugin=={version}", f"jax-cuda12-pjrt=={version}")
    return plugin if Version(jax_version) == version else (*plugin, f"jax=={version}", f"jaxlib=={version}")


def compiled_for(target: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Compile `function` for one GPU.

    The packages of `compiler_for` have to be importable, and `VARIABLES` set, before JAX looks for devices.

    Parameters
    ----------
    target
        One of `TARGETS`.
    arguments
        Arrays, or their shapes and dtypes.

    Returns
    -------
    jax.stages.Compiled
        Which cannot be called here.
    """
    import jax
    from jax.experimental import topologies

    description = topologies.get_topology_desc(
        platform="cuda",
        topology="1x1x1",
        target_config=_DESCRIPTION.format(name=target, **_GPUS[target]._asdict()),
    )
    mesh = topologies.make_mesh(description, (1,), ("gpu",))
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(jax.numpy.shape(leaf), jax.numpy.result_type(leaf)), arguments
    )
    program = jax.jit(function, in_shardings=place, out_shardings=place)
    with _without_a_gpu():
        return program.trace(*shapes).lower(lowering_platforms=("cuda",)).compile()


@contextmanager
def _without_a_gpu() -> Iterator[None]:
    """Let JAX compile for a GPU without finding one, host callbacks included (jax-ml/jax#23971, #28376).

    It looks for a GPU to learn that "gpu" is "cuda" here, and hands the compiler the callbacks' Python
    functions, which only a program that is going to run needs.
    """
    from jax._src import compiler, xla_bridge

    name_of, compile_and_load = xla_bridge.canonicalize_platform, compiler.backend_compile_and_load

    def named(platform: str) -> str:
        return "cuda" if platform in ("gpu", "cuda") else name_of(platform)

    def uncalled(backend: Any, module: Any, devices: Any, options: Any, _: Any) -> Any:
        return compile_and_load(backend, module, devices, options, ())

    with (
        mock.patch.object(xla_bridge, "canonicalize_platform", named),
        mock.patch.object(compiler, "backend_compile_and_load", uncalled),
    ):
        yield
