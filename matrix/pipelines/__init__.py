"""The six likelihoods: what they are (`catalogue`) and how one is evaluated (`likelihood`)."""

from matrix.pipelines.catalogue import PIPELINES as PIPELINES
from matrix.pipelines.catalogue import Pipeline as Pipeline
from matrix.pipelines.catalogue import Settings as Settings
from matrix.pipelines.catalogue import pipeline_named as pipeline_named
