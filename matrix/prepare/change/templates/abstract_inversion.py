# mypy: ignore-errors
"""What vendoring puts into `AbstractInversion`: the columns of the solved system without regularization."""

from typing import List

from autoarray.inversion.mappers.abstract import Mapper


class AbstractInversion:
    def unregularized_columns_from(self, edge_zeroed: bool) -> List[int]:
        """
        Returns the columns of the linear system which belong to linear objects without regularization (e.g. linear
        light profiles), counted as they stand in the system which is solved.

        The positive-only solver of the JAX path treats these columns separately, because they are nearly collinear.
        It needs them as Python integers, known while `jax.jit` traces, so they are counted here from the sizes of
        the linear objects and meshes, and not taken from `zeroed_ids_to_keep`, which is traced.

        Parameters
        ----------
        edge_zeroed
            Whether the system has been restricted to `zeroed_ids_to_keep`, whereby every column which follows a
            removed edge pixel moves forward.

        Returns
        -------
        The columns without regularization, in ascending order.
        """
        zeroed_ids = set()

        if edge_zeroed:
            mapper_list = self.cls_list_from(cls=Mapper)

            # The pixels of all mappers are the last entries of the parameter vector.
            start = self.total_params - sum(
                mapper.mesh.pixels for mapper in mapper_list
            )

            for mapper in mapper_list:
                zeroed_ids.update(
                    start + int(pixel) for pixel in mapper.mesh.zeroed_pixels
                )
                start += mapper.mesh.pixels

        kept_ids = [
            index for index in range(self.total_params) if index not in zeroed_ids
        ]
        unregularized_ids = set(self.no_regularization_index_list)

        return [
            column
            for column, index in enumerate(kept_ids)
            if index in unregularized_ids
        ]
