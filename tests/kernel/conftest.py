"""Fixtures of the kernel room's tests."""

from tests.support.netns import router

__all__ = ["router"]
