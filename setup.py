"""Puts ``evbridge.pth`` beside the packages; everything else about packaging is in setup.cfg.

setuptools has no setting for a file at the top of site-packages that holds for wheels and for
editable installs alike: ``data_files`` are left out of the latter.
"""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithHook(build_py):
    """Copy the hook to where the packages go; for an editable install that is the wheel itself."""

    def run(self) -> None:
        super().run()
        destination = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        self.mkpath(destination)
        self.copy_file("evbridge.pth", destination)


setup(cmdclass={"build_py": BuildWithHook})
