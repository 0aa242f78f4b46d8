"""What moto's AWS holds, remembered and put back. Making a stage's resources takes 30 ms by calls, and 5 so."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import FakeKey, S3Backend, s3_backends
from moto.ssm.models import Parameter, SimpleSystemManagerBackend


@dataclass(frozen=True)
class Snapshot:
    """The buckets, tables and parameters of an account. Queues are not among them: moto's have locks."""

    kept: bytes
    parameters: dict[str, list[Parameter]]

    @classmethod
    def taken(cls, region: str) -> Snapshot:
        """Remember what there is."""
        parameters = dict(_parameters(region)._parameters)
        return cls(pickle.dumps([_s3().__dict__, _tables(region)]), parameters)

    def put_back(self, region: str) -> None:
        """Make it what an account holds that has been reset."""
        FakeKey.instances_tracked.clear()  # moto closes each at every reset, those of earlier tests as well
        buckets, tables = pickle.loads(self.kept)  # noqa: S301 - this process has pickled it
        _s3().__dict__.update(buckets)
        for name in _s3().buckets:
            s3_backends.bucket_accounts[name] = ("aws", DEFAULT_ACCOUNT_ID)
        _tables(region).update(tables)
        for name, versions in self.parameters.items():
            _parameters(region)._parameters[name] = list(versions)


def _s3() -> S3Backend:
    return get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"]


def _tables(region: str) -> dict[str, object]:
    tables: dict[str, object] = get_backend("dynamodb")[DEFAULT_ACCOUNT_ID][region].tables
    return tables


def _parameters(region: str) -> SimpleSystemManagerBackend:
    return get_backend("ssm")[DEFAULT_ACCOUNT_ID][region]
