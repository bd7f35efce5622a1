"""Files: weights and configurations in one .safetensors file; and the registry of classes that files may name."""

from .registry import custom_object_scope, deserialize, get_registered_name, register, serialize

__all__ = ["custom_object_scope", "deserialize", "get_registered_name", "register", "serialize"]
