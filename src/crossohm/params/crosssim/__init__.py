"""The hardware description under the names that users of CrossSim know: for network layers, and for plain cores."""

from crossohm.params.crosssim.dnn import dnn_inference_params
from crossohm.params.crosssim.mvm import mvm_params

__all__ = ["dnn_inference_params", "mvm_params"]
