"""Non-negative least squares in JAX: minimise ½ xᵀQx - qᵀx subject to x >= 0, with a certificate.

After the interface of jaxnnls (C. Krawczyk) and the relaxed gradients of qpax (K. Tracy); see LICENSE.txt.
"""

from ._algorithms import ALGORITHMS as ALGORITHMS
from ._api import NNLSResult as NNLSResult
from ._api import solve_nnls as solve_nnls
from ._api import solve_nnls_certified as solve_nnls_certified
from ._api import solve_nnls_forward as solve_nnls_forward
from ._api import solve_nnls_primal as solve_nnls_primal
from ._api import solve_nnls_primal_with_status as solve_nnls_primal_with_status
from ._certificate import Certificate as Certificate
from ._certificate import ResultCode as ResultCode
from ._certificate import certificate as certificate
from ._options import Choices as Choices
