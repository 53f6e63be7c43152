"""Models behind OpenAI-compatible APIs.

model = EndpointModel(Endpoint("https://api.openai.com/v1", "gpt-4.1-mini"), EndpointLimits(max_in_flight=32))
"""

from .background import EndpointLimits
from .endpoint_model import EndpointModel

__all__ = ["EndpointLimits", "EndpointModel"]
