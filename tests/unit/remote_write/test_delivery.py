from __future__ import annotations

from consumer.remote_write.delivery import Delivery


def test_a_delivery_is_done_once_every_part_is_settled() -> None:
    delivery = Delivery(2)
    delivery.settle_part()
    assert not delivery.done
    assert not delivery.wait(0)
    delivery.settle_part()
    assert delivery.done
    assert delivery.wait(0)


def test_a_delivery_without_parts_is_done() -> None:
    assert Delivery(0).done
