"""Arm the import hook before any test imports the host, also where the .pth line is missing."""

import projects_registry

projects_registry.arm()
