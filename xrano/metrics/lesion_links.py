"""Which components of two masks are linked in the world, and what the links make of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from xrano.geometry import Grid
from xrano.types import Labels, Mask


def components(mask: Mask) -> Labels:
    """Components of a mask, numbered from 1; voxels touch by a face, an edge or a corner."""
    labels = np.zeros(mask.shape, dtype=np.int32)
    ndimage.label(mask, structure=np.ones((3, 3, 3), dtype=bool), output=labels)
    return labels


def linked_groups(links: NDArray[np.intp], n_prior: int, n_current: int) -> NDArray[np.intp]:
    """(component,) group of each, prior ones first; ``links`` are rows of numbers from 1."""
    n = n_prior + n_current
    rows, columns = links[:, 0] - 1, links[:, 1] - 1 + n_prior
    graph = sparse.coo_array((np.ones(len(links)), (rows, columns)), shape=(n, n))
    _, group_of = connected_components(graph, directed=False)
    return np.asarray(group_of, dtype=np.intp)


def component_links(
    prior: Labels, current: Labels, prior_grid: Grid, current_grid: Grid, tolerance_mm: float
) -> NDArray[np.intp]:
    """(link, 2) numbers of linked components: prior, current."""
    found = {
        *_shared(prior, prior_grid, current, current_grid),
        *((p, c) for c, p in _shared(current, current_grid, prior, prior_grid)),
        *_near(prior, prior_grid, current, current_grid, tolerance_mm),
    }
    return np.array(sorted(found), dtype=np.intp).reshape(-1, 2)


def _shared(a: Labels, a_grid: Grid, b: Labels, b_grid: Grid) -> set[tuple[int, int]]:
    """Components of a with a voxel centre inside a voxel of a component of b."""
    index = np.argwhere(a > 0)
    at = np.floor(b_grid.voxel(a_grid.world(index)) + (0.5 + 1e-9)).astype(np.intp)
    within = ((at >= 0) & (at < np.array(b_grid.shape))).all(axis=1)
    ours, theirs = a[tuple(index[within].T)], b[tuple(at[within].T)]
    return {(int(p), int(c)) for p, c in zip(ours, theirs, strict=True) if c > 0}


def _near(
    prior: Labels, prior_grid: Grid, current: Labels, current_grid: Grid, tolerance_mm: float
) -> set[tuple[int, int]]:
    """Components of which two voxel centres lie within the tolerance."""
    there = np.argwhere(current > 0)
    if tolerance_mm == 0 or not len(there):
        return set()
    points, names = current_grid.world(there), current[tuple(there.T)]
    links: set[tuple[int, int]] = set()
    for number, box in enumerate(ndimage.find_objects(prior), start=1):
        start = [part.start for part in box]
        ours = prior_grid.world(np.argwhere(prior[box] == number) + start)
        # Only what lies in the component's box, grown by the tolerance, can be near.
        low, high = ours.min(axis=0) - tolerance_mm, ours.max(axis=0) + tolerance_mm
        candidates = ((points >= low - 1e-6) & (points <= high + 1e-6)).all(axis=1)
        if not candidates.any():
            continue
        distance, _ = KDTree(ours).query(points[candidates])
        near = names[candidates][distance <= tolerance_mm + 1e-6]
        links.update((number, int(name)) for name in np.unique(near))
    return links
