"""The contract of export formats, as tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sartor import targets
from sartor.compression import tensor_identity
from sartor.errors import UsageError
from sartor.export import Format, drift, export
from sartor.testing._example import example_network

_METADATA = {"policy": '{"schema": 1}', "command": "sartor search --seed 0"}
#: Error that is allowed, relative to the largest output.
_EXACT = 1e-3


class FormatConformance:
    """What every export format must do.

    A new one inherits this as a test class and supplies the fixture ``form``, which returns one;
    ``tmp_path`` is pytest's.
    """

    def test_it_says_where_an_artifact_comes_from(self, form: Format, tmp_path: Path) -> None:
        """Metadata are read as they were written, with what tells the network."""
        path = _exported(form, tmp_path)
        network, _ = example_network()
        made_of = tensor_identity(network.module.state_dict())
        expected = {**_METADATA, "network": made_of}
        assert form.read_metadata(path) == expected

    def test_an_artifact_is_all_of_its_files(self, form: Format, tmp_path: Path) -> None:
        """Nothing else is left in the folder, and all bytes count."""
        path = _exported(form, tmp_path)
        files = form.files(path)
        assert path in files

        written = list(tmp_path.iterdir())
        assert sorted(files) == sorted(written)

        sizes = [file.stat().st_size for file in written]
        assert form.size_bytes(path) == sum(sizes)

    def test_its_runtime_computes_what_the_network_computes(
        self, form: Format, tmp_path: Path
    ) -> None:
        """Within 1e-3 of the largest output."""
        if not form.runtime:
            pytest.skip("nothing here runs it")

        network, images = example_network()
        with torch.no_grad():
            expected = network.module(images).numpy()

        path = _exported(form, tmp_path)
        session = targets.make(form.runtime).load(path)
        (outputs,) = session.run([images.numpy()])

        largest = np.abs(expected).max()
        farthest = np.abs(outputs - expected).max()
        assert farthest <= _EXACT * largest

    def test_layers_that_it_names_compute_what_they_should(
        self, form: Format, tmp_path: Path
    ) -> None:
        """All of them, and none has drifted."""
        network, images = example_network()
        names = []
        if form.names_layers:
            names = [layer.name for layer in network.layers]

        # an artifact without an open batch size takes one image
        batch = images[:1]
        if form.dynamic:
            batch = images

        path = _exported(form, tmp_path)
        found = drift(path, form, network.module, batch)

        assert [item.layer for item in found] == names
        assert not any(item.drifted for item in found)

    def test_what_it_cannot_do_is_refused(self, form: Format, tmp_path: Path) -> None:
        """Another suffix, and an open batch size where there is none."""
        network, images = example_network()
        example = (images[:1],)

        other = tmp_path / "a.other"
        with pytest.raises(UsageError, match=f"ends in {form.suffix}"):
            export(network.module, example, other, form, batch=1)

        if form.dynamic:
            return
        own = tmp_path / f"a{form.suffix}"
        with pytest.raises(UsageError, match="needs a fixed batch size"):
            export(network.module, example, own, form)


def _exported(form: Format, folder: Path) -> Path:
    network, images = example_network()
    return export(
        network.module,
        (images[:1],),
        folder / f"model{form.suffix}",
        form,
        metadata=_METADATA,
        batch=None if form.dynamic else 1,
    )
