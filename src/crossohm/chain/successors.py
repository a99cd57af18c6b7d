"""Attributes of CrossSim's cores that have other names here."""

from __future__ import annotations

#: What CrossSim's cores have under names that there are not here, and where it is.
SUCCESSORS = {
    "cores": "core.arrays lists the physical arrays with their conductances, core.blocks the parts that have hardware "
    "of their own",
    "core_pos": "core.arrays[i].conductance, of the arrays whose sign is '+'",
    "core_neg": "core.arrays[i].conductance, of the arrays whose sign is '-'",
    "core_slices": "core.arrays[i].conductance; .slice is 0 for the least significant slice",
    "adc": "core.params.xbar.adc; core.explain() has limits and levels",
    "dac": "core.params.xbar.dac; core.explain() has the range and levels",
    "adc_inputs": "core.profile() records what ADCs see, in a with block",
    "mat_multivec": "core @ X, of all vectors at once",
    **{f"_{name}": f"core.{name}" for name in ("matvec", "vecmat", "matmat", "rmatmat", "matmul", "rmatmul", "dot")},
}
