"""Is this machine and this installation fit for xrano? What ``xrano doctor`` measures.

* :mod:`~xrano.doctor.machine`: processor, memory, disk, and what limits them
* :mod:`~xrano.doctor.devices`: GPUs
* :mod:`~xrano.doctor.packages`: versions, and what does not fit together
* :mod:`~xrano.doctor.extras`: optional packages, and the line that installs them
* :mod:`~xrano.doctor.self_test`: a lesion on the left, found on the left
* :mod:`~xrano.doctor.checkup`: all of these as findings with advice
"""
