"""The colours of the labels can be told apart by everybody, on both themes.

Colour vision deficiencies by the matrices of Machado, Oliveira and Fernandes (2009) at full severity, in
linear RGB; differences as distances in OKLab (Ottosson, 2020); contrast by WCAG 2.2, 1.4.11.
"""

import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from model.labels import LABELS

Vector = npt.NDArray[np.float64]

LEAST_DISTANCE = 0.08
VISION = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

CSS = (files("stream.dashboard") / "static" / "palette.css").read_text()
THEMES = {
    "light": CSS[CSS.index(":root {") : CSS.index("@media")],
    "dark": CSS[CSS.index("@media") : CSS.index(':root[data-theme="dark"]')],
    "dark, chosen": CSS[CSS.index(':root[data-theme="dark"]') :],
}


def linear(theme: str, name: str) -> Vector:
    found = re.search(rf"--{name}: #([0-9a-f]{{6}});", THEMES[theme])
    assert found is not None, name
    value = np.array([int(found[1][place : place + 2], 16) for place in (0, 2, 4)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def luminance(colour: Vector) -> float:
    return float(colour @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
def test_no_two_labels_look_alike(theme: str, vision: str) -> None:
    seen = {
        label: TO_OKLAB @ np.cbrt(TO_LMS @ np.clip(VISION[vision] @ linear(theme, label), 0, 1))
        for label in LABELS
    }
    near = {(a, b): float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(LABELS, 2)}
    assert not {pair: distance for pair, distance in near.items() if distance < LEAST_DISTANCE}


@pytest.mark.parametrize("theme", THEMES)
def test_labels_stand_out_from_the_card(theme: str) -> None:
    card = luminance(linear(theme, "card")) + 0.05
    for label in LABELS:
        colour = luminance(linear(theme, label)) + 0.05
        assert max(colour, card) / min(colour, card) >= 3, label
