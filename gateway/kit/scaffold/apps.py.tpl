"""Makes this folder a module of the gateway, at /gateway/${name}/."""

from gateway.kit.modules import ModuleConfig


class ${Name}Config(ModuleConfig):
    name = "gateway.${name}"
    verbose_name = "${title}"
