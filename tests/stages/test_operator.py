"""Stage 1."""

import torch

from ups.stages.operator import with_input_noise


def test_noise_is_a_share_of_each_channels_deviation_on_the_first_frame_alone() -> None:
    torch.manual_seed(0)
    frames, std = torch.randn(200, 3, 2, 64), torch.tensor([2.0, 0.5])
    noisy = with_input_noise(frames, 0.1, std)
    assert torch.equal(noisy[:, 1:], frames[:, 1:])
    measured = (noisy[:, 0] - frames[:, 0]).transpose(0, 1).flatten(1).std(1)
    torch.testing.assert_close(measured, 0.1 * std, rtol=0.03, atol=0.0)
    assert with_input_noise(frames, 0.0, std) is frames
