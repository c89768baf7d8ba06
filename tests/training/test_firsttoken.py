"""The last block computes what the head reads, and the logits stay what they were."""

import pytest
import torch

from tests.model.tiny import tiny_network
from training.ship.firsttoken import read_first_token_alone

IDS = torch.tensor([[2, 9, 10, 11, 3], [2, 12, 3, 0, 0], [2, 3, 0, 0, 0]])


@pytest.mark.parametrize("mask", [(IDS != 0).long(), None])
def test_the_logits_are_those_of_all_tokens(mask: torch.Tensor | None) -> None:
    network = tiny_network(20)
    network.set_attn_implementation("eager")
    tokens: list[torch.Size] = []
    with torch.inference_mode():
        expected = network(input_ids=IDS, attention_mask=mask).logits
        read_first_token_alone(network)
        last = network.distilbert.transformer.layer[-1]
        last.ffn.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0].shape))
        torch.testing.assert_close(network(input_ids=IDS, attention_mask=mask).logits, expected)
    assert tokens == [(3, 1, 32)]


def test_another_network_stays_as_it_is() -> None:
    network = torch.nn.Linear(2, 3)
    read_first_token_alone(network)
    assert network(torch.ones(1, 2)).shape == (1, 3)
