"""Fill vendor/ of this project."""

import os
import sys

from operations import PROJECT, vendor
from operations.deploy.commands import DeployError

try:
    vendor.fill(PROJECT, os.environ)
except DeployError as error:
    sys.exit(f"error: {error}")
