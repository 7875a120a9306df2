from typing import Any

from typing_extensions import Self

class AspineCache:
    def __init__(
        self,
        url: str = "aspine://127.0.0.1:5116",
        default_timeout: int = 300,
        key_prefix: str | None = None,
        **options: Any,
    ) -> None: ...
    @classmethod
    def factory(cls, app: Any, config: Any, args: Any, kwargs: Any) -> Self: ...
    def __getattr__(self, name: str) -> Any: ...
