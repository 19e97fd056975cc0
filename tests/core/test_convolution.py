import pytest
import torch

from recollect.core import causal_convolution


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lags", [4, 7, 12])
def test_causal_convolution_is_the_sum_over_the_past(rng, dtype, channels, lags):
    x = torch.randn(2, 7, 3, generator=rng, dtype=dtype)
    taps = torch.randn(lags, channels, generator=rng, dtype=dtype)
    past = [sum(taps[s] * x[:, t - s] for s in range(min(t + 1, lags))) for t in range(7)]
    torch.testing.assert_close(causal_convolution(x, taps), torch.stack(past, 1), rtol=1e-12, atol=1e-12)
