"""The Docker engine that tests may use: ``FINETUNE_GATE_TEST_IMAGE`` names an image of Python on it, by digest."""

from __future__ import annotations

import os

from finetune_gate.gate.sandbox.backends.containers import Containers

IMAGE = os.environ.get("FINETUNE_GATE_TEST_IMAGE")
NO_ENGINE = Containers(IMAGE).missing() if IMAGE else "FINETUNE_GATE_TEST_IMAGE names no image to try containers with"
