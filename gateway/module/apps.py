"""Makes this folder a module of the gateway, at /gateway/module/."""

from gateway.kit.modules import ModuleConfig


class ExampleConfig(ModuleConfig):
    name = "gateway.module"
    verbose_name = "Example module"
