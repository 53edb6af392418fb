"""Attribution methods for 3D networks: Captum's definitions, shared passes over classes.

Captum says what each method means, and every method here is tested to equal Captum's result for
the same settings. What xrano adds is that the passes through the network are shared: one forward
serves saliency and Grad-CAM for all classes, and a step of integrated gradients serves all of
them. Values stay raw and signed.
"""
