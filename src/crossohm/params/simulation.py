"""How the simulation runs; nothing here is hardware. Group ``simulation``.

Most switches of the reference only trade speed, or tune an iteration that is not needed here because circuits are
solved directly. They are accepted so that its files load, and have no effect; `ignored_switches` lists those in use.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from crossohm.params.base import Count, Flag, Group, Positive, PositiveCount
from crossohm.params.obsolete import NOTHING


@final
class ConvolutionParameters(Group):
    """Packing of sliding windows in the reference; no effect, convolutions are run as such."""

    obsolete: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "conv_matmul", "weight_reorder", "last_layer", "depthwise", "bias", "bias_row", "stride", "stride_x",
            "stride_y", "Kx", "Ky", "Nic", "Noc", "Nix", "Niy", "Nox", "Noy", "px_0", "px_1", "py_0", "py_1",
        ),
        "the layer knows its own shape",
    )  # fmt: skip

    is_conv_core: Flag = False
    """No effect: the layer knows that it is a convolution."""
    x_par: PositiveCount = 1
    """No effect: windows computed at once along x."""
    y_par: PositiveCount = 1
    """No effect: windows computed at once along y."""
    Nwindows: PositiveCount = 1
    """No effect: windows of an image."""


@final
class AnalyticsParameters(Group):
    """Recording in the reference; `AnalogCore.profile` records what is wanted, when it is wanted."""

    obsolete: ClassVar[dict[str, str]] = dict.fromkeys(
        ("profile_adc_biased", "profile_adc_reluAware", "profile_ADC_reluAware", "profile_ADC_inputs"),
        "use AnalogCore.profile or crossohm.torch.profile",
    )

    profile_xbar_inputs: Flag = False
    """No effect: use AnalogCore.profile() to record the inputs of arrays."""
    profile_adc_inputs: Flag = False
    """No effect: use AnalogCore.profile() to record the currents that ADCs see."""
    ntest: Count = 0
    """No effect: number of recorded vectors; records grow as needed."""


@final
class SimulationParameters(Group):
    """Settings of the simulation itself."""

    obsolete: ClassVar[dict[str, str]] = dict.fromkeys(("fast_balanced", "fast_matmul", "fast_nonlinear_IV"), NOTHING)

    useGPU: Flag = False
    """No effect: a computation runs where its arrays are (pass CuPy, JAX or PyTorch arrays)."""
    gpu_id: Count = 0
    """No effect: see useGPU."""
    read_noise_sampling: Literal["auto", "explicit", "first_order"] = "auto"
    """Read noise: auto = drawn for the output currents where that is exact, explicit = always for every cell,
    first_order = auto, but through wire resistance to first order in the noise."""
    Niters_max_parasitics: PositiveCount = 100
    """No effect: iterations of the reference's circuit solver."""
    Verr_th_mvm: Positive = 1e-3
    """No effect: residual at which the reference's circuit solver stops."""
    Verr_matmul_criterion: Literal["max_max", "max_mean", "max_min"] = "max_max"
    """No effect: residual of a batch in the reference's circuit solver."""
    relaxation_gamma: Annotated[Positive, Field(le=1)] = 1.0
    """No effect: relaxation factor of the reference's circuit solver."""
    disable_fast_balanced: Flag = False
    """No effect: speed only."""
    disable_fast_matmul: Flag = False
    """No effect: speed only."""
    disable_fast_nonlinear_IV: Flag = False
    """No effect: speed only."""
    hide_convergence_msg: Flag = False
    """No effect: there is no such message."""
    convolution: ConvolutionParameters = Field(default_factory=ConvolutionParameters)
    """Packing of sliding windows."""
    analytics: AnalyticsParameters = Field(default_factory=AnalyticsParameters)
    """Recording."""

    def compatibility_switches(self) -> tuple[str, ...]:
        """Paths of the parameters that have no effect, relative to this group."""
        groups = {"": self, "convolution.": self.convolution, "analytics.": self.analytics}
        return tuple(
            prefix + name
            for prefix, group in groups.items()
            for name, field in type(group).model_fields.items()
            if (field.description or "").startswith("No effect")
        )

    def ignored_switches(self) -> tuple[str, ...]:
        """Those of `compatibility_switches` that differ from their defaults."""
        changed = self.diff(type(self)())
        return tuple(name for name in self.compatibility_switches() if name in changed)
