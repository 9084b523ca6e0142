"""What the simulations share: the lens, and how a dataset's folder is put in place."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import autolens as al

DATASETS = Path(__file__).resolve().parents[1] / "dataset"


def lens_mass():
    """The deflector's truth: an elliptical isothermal mass with external shear."""
    ellipticity = al.convert.ell_comps_from(axis_ratio=0.9, angle=45.0)
    mass = al.mp.Isothermal(centre=(0.0, 0.0), einstein_radius=1.6, ell_comps=ellipticity)
    return {"mass": mass, "shear": al.mp.ExternalShear(gamma_1=0.05, gamma_2=0.05)}


@contextmanager
def dataset_folder(kind, instrument):
    """Give a folder to fill, which takes the dataset's place only when all of it is written."""
    place = DATASETS / kind / instrument
    aside = place.with_name(f".{instrument}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    yield aside
    shutil.rmtree(place, ignore_errors=True)
    os.replace(aside, place)
    print(f"simulated {place}")


def write_truth(tracer, path):
    """Write what was simulated, in an order of members that does not change from run to run."""
    al.output_to_json(obj=tracer, file_path=path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True) + "\n")
