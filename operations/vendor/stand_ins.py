"""Modules that the packages in vendor/ import and no function uses: what takes their place imports nothing.

botocore imports what writes its reference to describe each method of a client, and urllib3 looks for HTTP/2, which it
does not speak without a package that is not installed. That is a tenth of what `import botocore.session` costs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from operations.deploy.commands import DeployError

_NOTICE = "# Dragonpost's package has this in place of the original (operations/vendor/stand_ins.py).\n"
_UNDOCUMENTED = '''

class Undocumented(str):
    """The description of a method: none."""

    def __new__(cls, *arguments, **options):
        return super().__new__(cls)


ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = Undocumented
'''

# Beside each of these modules, only those are left that are imported as they are.
STAND_INS: Mapping[str, str] = {
    "botocore/docs/__init__.py": _NOTICE,
    "botocore/docs/docstring.py": _NOTICE + _UNDOCUMENTED,
    "urllib3/http2/__init__.py": _NOTICE,
}
_IMPORTED = frozenset({"botocore/docs/utils.py", "urllib3/http2/probe.py"})


def put(folder: Path) -> None:
    """Put the stand-ins into a folder that packages are installed in. Raises DeployError if it has no such module."""
    for name, text in STAND_INS.items():
        path = folder / name
        if (folder / name.partition("/")[0]).exists():
            if not path.exists():
                raise DeployError(f"{name} is no longer there: correct operations/vendor/stand_ins.py")
            path.write_text(text, encoding="utf-8")
    for beside in {path for name in STAND_INS for path in (folder / name).parent.glob("*")}:
        if beside.relative_to(folder).as_posix() not in _IMPORTED | STAND_INS.keys():
            shutil.rmtree(beside) if beside.is_dir() else beside.unlink()
