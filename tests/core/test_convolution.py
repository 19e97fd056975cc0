import torch

from recollect.core.convolution import causal_convolution


def test_causal_convolution_is_the_sum_over_the_past(rng):
    x = torch.randn(3, 7, generator=rng, dtype=torch.float64)
    kernel = torch.randn(7, generator=rng, dtype=torch.float64)
    expected = torch.stack([sum(kernel[s] * x[:, t - s] for s in range(t + 1)) for t in range(7)], dim=1)
    torch.testing.assert_close(causal_convolution(kernel, x), expected, rtol=1e-12, atol=1e-12)
    along_first = causal_convolution(kernel[:, None], x.T.contiguous(), dim=0)
    torch.testing.assert_close(along_first.T, expected, rtol=1e-12, atol=1e-12)
