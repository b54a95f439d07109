from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from handbench.errors import TrainError
from handbench.models.architecture import Normalisation
from handbench.models.checkpoint import (
    TrainedModel,
    copy_weights,
    load_model,
    new_network,
    read_checkpoint,
    save_model,
)
from handbench.models.codecs import Codec, Integral, Rounded, Udp, Unbiased
from handbench.models.looks import Looks


def model(codec: Codec, normalisation: Normalisation | None = None) -> TrainedModel:
    return TrainedModel(new_network(18, 0, normalisation), 32, codec, "m", ("a/train",), 0.8)


@pytest.mark.parametrize(
    "codec", [Unbiased(1.5, "corner"), Rounded(3.0), Udp(), Integral()], ids=str
)
def test_a_checkpoint_keeps_what_is_needed_to_use_the_network(codec: Codec, tmp_path: Path) -> None:
    order = Normalisation("bgr", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    save_model(tmp_path / "m.pt", model(codec, order))
    loaded = load_model(tmp_path / "m.pt")
    assert (loaded.codec, loaded.box_factor, loaded.size) == (codec, 0.8, 32)
    assert loaded.network.normalisation == order
    torch.testing.assert_close(loaded.network.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))


def test_a_checkpoint_says_how_its_model_looks_at_images(tmp_path: Path) -> None:
    looks = Looks(views=True, sides=True)
    save_model(tmp_path / "m.pt", replace(model(Unbiased()), looks=looks))
    assert load_model(tmp_path / "m.pt").looks == looks
    values = torch.load(tmp_path / "m.pt", weights_only=True)
    # Earlier ones did not say.
    torch.save({key: value for key, value in values.items() if key != "looks"}, tmp_path / "o.pt")
    assert load_model(tmp_path / "o.pt").looks == Looks()
    torch.save({**values, "looks": {"twice": True}}, tmp_path / "x.pt")
    with pytest.raises(TrainError, match="does not fit its own description"):
        load_model(tmp_path / "x.pt")


def test_checkpoints_of_version_1_are_read_as_the_unbiased_codec(tmp_path: Path) -> None:
    # As version 1 wrote them: there was one codec, and RGB with the numbers of ImageNet.
    network = new_network(18, 0)
    torch.save(
        {
            "handbench_checkpoint": 1,
            "depth": 18,
            "joints": 21,
            "size": 64,
            "sigma": 1.5,
            "grid": "corner",
            "name": "old",
            "training_data": ["freihand/train"],
            "weights": network.state_dict(),
        },
        tmp_path / "old.pt",
    )
    loaded = load_model(tmp_path / "old.pt")
    assert loaded.codec == Unbiased(1.5, "corner")
    assert loaded.box_factor == 1.0
    assert loaded.network.normalisation == Normalisation()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network.eval()(images), network.eval()(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codec": "simcc"}, "does not fit its own description .a codec is one of unbiased"),
        ({"grid": "center"}, "does not fit its own description .the codec rounded has the grid"),
        ({"sigma": "wide"}, "does not fit its own description"),
        ({"mean": None}, "does not fit its own description"),
        ({"depth": 34}, "does not fit its own description"),
        ({"handbench_checkpoint": 3}, "has version 3; this handbench reads 2: upgrade"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save_model(tmp_path / "m.pt", model(Rounded()))
    torch.save({**read_checkpoint(tmp_path / "m.pt"), **change}, tmp_path / "m.pt")
    with pytest.raises(TrainError, match=rf"m\.pt .*{message}"):
        load_model(tmp_path / "m.pt")


def test_weights_for_other_channels_do_not_start_a_run(tmp_path: Path) -> None:
    save_model(tmp_path / "m.pt", model(Rounded(), Normalisation("bgr")))
    with pytest.raises(
        TrainError, match=r"input as BGR with mean 0\.485, .* but this run as RGB .*order bgr"
    ):
        copy_weights(new_network(18, 0), tmp_path / "m.pt")
    assert copy_weights(new_network(18, 0, Normalisation("bgr")), tmp_path / "m.pt") == ("a/train",)
