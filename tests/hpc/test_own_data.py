"""A cluster gets the data that a run here would read, a person's own among them."""

from pathlib import Path

from matrix.ground.layout import open_layout
from matrix.hpc.profile import Profile
from matrix.hpc.ship import Places, Stack, relocated
from matrix.run.plan import OwnDataset
from tests.factory import make_plan

PIPELINE = "imaging-mge@euclid"


def test_over_there_likelihoods_read_the_folder_that_is_sent(tmp_path: Path) -> None:
    own = OwnDataset(given="~/lens", files={"data.fits": "0"})
    plan = make_plan(
        tmp_path, (PIPELINE,), datasets={"euclid": own}, own_workspace=tmp_path / "laid-out", cell_timeout=9.0
    )
    assert plan.data_workspace == tmp_path / "laid-out"
    profile = Profile(root="/scratch/us", driver="/usr/bin/python3", python="/stack/python")
    stack = Stack("3.12.1", {"autolens": plan.release}, {}, ())
    there = relocated(plan, profile, stack, open_layout(tmp_path / "ours"))
    assert str(there.data_workspace) == Places("/scratch/us").workspace
    assert there.datasets == plan.datasets
    assert there.pipelines == (PIPELINE,)
