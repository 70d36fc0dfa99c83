"""The small networks and tasks of the heads' tests serve transfers too."""

from tests.heads.conftest import lacking, network, networks, task, tasks

__all__ = ["lacking", "network", "networks", "task", "tasks"]
