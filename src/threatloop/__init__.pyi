from threatloop.api import Result as Result
from threatloop.api import audit as audit

__all__ = ["Result", "audit"]
