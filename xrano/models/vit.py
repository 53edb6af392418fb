"""MONAI's vision transformer on a grid of any size, to its last slice."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from monai.networks.blocks.pos_embed_utils import build_sincos_position_embedding
from monai.networks.nets.vit import ViT
from torch import Tensor, nn

from xrano.models.checkpointing import Recomputing

Patch = tuple[int, int, int]
"""Voxels of a patch along i, j, k."""


class PairViT(Recomputing, ViT):
    """Dosovitskiy et al. 2021 (arXiv:2010.11929) by MONAI.

    MONAI's drops in silence what is left of an axis after the last whole patch (the top 5 of 155
    slices with patches of 10) and takes the one grid that it was made for. Here the grid is filled
    up with zeros behind its last voxel, and the positions are sines and cosines of the patch's
    index, computed for the grid at hand: one network takes any grid.

    There is no layer for Grad-CAM, since attention mixes places: a token of the last block does
    not stand for its patch.

    Args:
        in_channels: of the patch embedding.
        num_classes: number of logits.
        joined: how many class tokens the classifier takes.
        patch: voxels along i, j, k.
        hidden: size of a token, a multiple of 6 and of ``heads``.
        mlp: features inside each block.
        depth: number of blocks.
        heads: of the attention.
        dropout: share of values dropped while training.
        checkpointing: keep less for the backward pass of a training step.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        joined: int = 1,
        *,
        patch: Patch,
        hidden: int = 768,
        mlp: int = 3072,
        depth: int = 12,
        heads: int = 12,
        dropout: float = 0.1,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            img_size=patch,
            patch_size=patch,
            hidden_size=hidden,
            mlp_dim=mlp,
            num_layers=depth,
            num_heads=heads,
            pos_embed_type="none",
            classification=True,
            num_classes=num_classes,
            dropout_rate=dropout,
            # MONAI's default is a tanh, which would bound the logits by 1.
            post_activation="",
        )
        # Positions are computed for each grid; none is learnt or saved.
        del self.patch_embedding.position_embeddings
        self.patch = patch
        self.checkpointing = checkpointing
        if joined != 1:
            self.add_module("classification_head", nn.Linear(joined * hidden, num_classes))

    def reset_parameters(self) -> None:
        """Forget the class token; its other weights belong to modules that reset themselves."""
        nn.init.zeros_(self.cls_token)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(batch, num_classes)``; MONAI's gives the blocks' outputs too."""
        return self.classify(self.encode(x))

    def encode(self, inputs: Tensor) -> Tensor:
        """The class token after the last normalisation, ``(batch, hidden)``."""
        embedding = self.patch_embedding
        cells = embedding.patch_embeddings(fill_patches(inputs, self.patch))
        positions = grid_positions(cells.shape[2:], cells.shape[1]).to(cells)
        tokens = embedding.dropout(cells.flatten(2).transpose(1, 2) + positions)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = self.run_through(self.blocks, tokens, size=1, randomness=True)
        token: Tensor = self.norm(tokens[:, 0])
        return token

    def classify(self, features: Tensor) -> Tensor:
        """Logits of class tokens by one linear layer."""
        logits: Tensor = self.classification_head(features)
        return logits

    def drop_head(self) -> int:
        """Take the linear layer off, so that the class token comes out; its size."""
        features = self.get_parameter("classification_head.weight").shape[1]
        self.add_module("classification_head", nn.Identity())
        return features


def fill_patches(inputs: Tensor, patch: Patch) -> Tensor:
    """Zeros behind the last voxel of each axis, up to whole patches.

    Example:
        >>> fill_patches(torch.ones(1, 1, 9, 8, 3), (4, 4, 4)).shape
        torch.Size([1, 1, 12, 8, 4])
    """
    behind = [-size % whole for size, whole in zip(inputs.shape[2:], patch, strict=True)]
    return F.pad(inputs, (0, behind[2], 0, behind[1], 0, behind[0])) if any(behind) else inputs


def grid_positions(shape: torch.Size, hidden: int) -> Tensor:
    """Sines and cosines of each patch's place, ``(1, a · b · c, hidden)``, last axis fastest."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid")
        return build_sincos_position_embedding(list(shape), hidden, 3).detach()
