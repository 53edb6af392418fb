"""A cohort with a known cause: longitudinal glioblastoma patients made up from a template brain.

The rating of every visit follows from the true enhancing volumes by the rule of
:mod:`xrano.rano`, so what a network *should* look at is known. Files and tables are LUMIERE's.
"""

from __future__ import annotations

from xrano.data.phantom.cohort import PhantomSummary, write_phantom
from xrano.data.phantom.patients import PhantomSession, phantom_patient
from xrano.data.phantom.settings import PhantomSettings

__all__ = [
    "PhantomSession",
    "PhantomSettings",
    "PhantomSummary",
    "phantom_patient",
    "write_phantom",
]
